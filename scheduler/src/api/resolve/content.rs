//! The content type of an object, and whether a browser may show it as a page of this site.

use axum::http::HeaderValue;

/// The types that storages report for objects of unknown type.
const UNKNOWN: &[&str] = &["", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"];

/// Types that run no scripts, besides images, audio and video.
const PASSIVE: &[&str] = &[
    "application/json",
    "application/pdf",
    "application/x-ndjson",
    "text/csv",
    "text/plain",
    "text/tab-separated-values",
];

/// The type of an object: the stored one if it is a single type, otherwise by the key's extension.
pub(super) fn of(stored: Option<&str>, key: &str) -> HeaderValue {
    let stored = stored.filter(|stored| is_single(stored) && !UNKNOWN.contains(&essence(stored).as_str()));
    let guessed = || mime_guess::from_path(key).first_raw().unwrap_or("application/octet-stream");
    stored.and_then(|stored| HeaderValue::from_str(stored).ok()).unwrap_or_else(|| HeaderValue::from_static(guessed()))
}

/// Whether browsers run no scripts in this type. A page in a bucket must not run with the rights of this site.
pub(super) fn is_passive(content_type: &HeaderValue) -> bool {
    let essence = essence(content_type.to_str().unwrap_or_default());
    let is_media = ["image/", "audio/", "video/"].iter().any(|kind| essence.starts_with(kind));
    (is_media && !essence.ends_with("xml")) || PASSIVE.contains(&essence.as_str())
}

/// Whether this is only `type/subtype`, with or without parameters such as `; charset=utf-8`.
///
/// Anyone who can write to a bucket chooses the types of its objects. Browsers read a list such as `image/png,
/// text/html` in another way than this module, and quotes and angle brackets could break out of a page that embeds the
/// object.
fn is_single(content_type: &str) -> bool {
    let is_pair = |text: &str, mid| text.trim().split_once(mid).is_some_and(|(a, b)| is_token(a) && is_token(b));
    let mut parts = content_type.split(';');
    parts.next().is_some_and(|essence| is_pair(essence, '/')) && parts.all(|parameter| is_pair(parameter, '='))
}

/// HTTP's tokens without the characters that have a meaning in HTML.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%*+-.^_|~".contains(&byte))
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_if_the_storage_has_no_type() {
        for (stored, key, expected) in [
            (Some("image/webp"), "a.jpg", "image/webp"),
            (Some("binary/octet-stream"), "a/b.JPG", "image/jpeg"),
            (Some("Application/Octet-Stream; x=y"), "a.wav", "audio/wav"),
            (None, "a.mp4", "video/mp4"),
            (None, "noextension", "application/octet-stream"),
            (Some("bad\nheader"), "a.png", "image/png"),
            (Some("text/plain; charset=UTF-8"), "a.png", "text/plain; charset=UTF-8"),
            (Some("audio/ogg;codecs=opus"), "a", "audio/ogg;codecs=opus"),
        ] {
            assert_eq!(of(stored, key), expected, "{stored:?} {key}");
        }
    }

    #[test]
    fn a_stored_type_that_is_not_a_single_type_counts_as_none() {
        for stored in [
            "image/png, text/html",
            "image/png,text/html",
            "image/png; x=y, text/html",
            "image/png;charset=\"a\"",
            "image/png'><script>",
            "image/png;x='>",
            "image/png&",
            "image/p ng",
            "image/",
            "image",
            "image/png;",
            "image/a/b",
        ] {
            assert_eq!(of(Some(stored), "a.html"), "text/html", "{stored}");
        }
    }

    #[test]
    fn a_type_that_could_run_scripts_is_not_passive() {
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
