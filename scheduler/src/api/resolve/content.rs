//! What an object is, and whether a browser may show it as a page of this site.

use axum::http::HeaderValue;

/// What storages call objects of which they know nothing.
const UNKNOWN: &[&str] = &["", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"];

/// Types beside images, sound and video that run nothing.
const PASSIVE: &[&str] = &[
    "application/json",
    "application/pdf",
    "application/x-ndjson",
    "text/csv",
    "text/plain",
    "text/tab-separated-values",
];

/// The type of an object: as the storage has it, or else by the key's extension.
pub(super) fn of(stored: Option<&str>, key: &str) -> HeaderValue {
    let stored = stored.filter(|stored| !UNKNOWN.contains(&essence(stored).as_str()));
    let guessed = || mime_guess::from_path(key).first_raw().unwrap_or("application/octet-stream");
    stored.and_then(|stored| HeaderValue::from_str(stored).ok()).unwrap_or_else(|| HeaderValue::from_static(guessed()))
}

/// Whether nothing of this type runs scripts: a page of a bucket shall not run as one of this site.
pub(super) fn is_passive(content_type: &HeaderValue) -> bool {
    let essence = essence(content_type.to_str().unwrap_or_default());
    let is_media = ["image/", "audio/", "video/"].iter().any(|kind| essence.starts_with(kind));
    (is_media && !essence.ends_with("xml")) || PASSIVE.contains(&essence.as_str())
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_what_the_storage_does_not() {
        for (stored, key, expected) in [
            (Some("image/webp"), "a.jpg", "image/webp"),
            (Some("binary/octet-stream"), "a/b.JPG", "image/jpeg"),
            (Some("Application/Octet-Stream; x=y"), "a.wav", "audio/wav"),
            (None, "a.mp4", "video/mp4"),
            (None, "noextension", "application/octet-stream"),
            (Some("bad\nheader"), "a.png", "image/png"),
        ] {
            assert_eq!(of(stored, key), expected, "{stored:?} {key}");
        }
    }

    #[test]
    fn what_could_run_scripts_is_not_passive() {
        let passive = |text: &'static str| is_passive(&HeaderValue::from_static(text));
        for text in [
            "image/png",
            "audio/mpeg",
            "video/mp4; codecs=x",
            "text/plain; charset=utf-8",
            "application/pdf",
            "Image/JPEG",
        ] {
            assert!(passive(text), "{text}");
        }
        for text in [
            "text/html",
            "image/svg+xml",
            "IMAGE/SVG+XML; x=y",
            "application/xhtml+xml",
            "text/xml",
            "text/javascript",
            "x/y",
        ] {
            assert!(!passive(text), "{text}");
        }
    }
}
