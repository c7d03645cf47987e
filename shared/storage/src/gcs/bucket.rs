//! The address of Cloud Storage, and the exact URI of each bucket and key.

use http::Uri;
use http::uri::{Authority, Scheme};
use longshore_model::FailureReason;
use percent_encoding::utf8_percent_encode;

use crate::wire::{BaseUri, PATH, QUERY};
use crate::{ErrorKind, InvalidSetting, Op, StorageError, names, pasted};

/// Cloud Storage's limit for keys, in bytes.
const LONGEST_KEY: usize = 1_024;

/// A bucket's validated address.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) service: BaseUri,
}

/// The operator set an invalid address. Only the operator can fix it.
#[derive(Debug, thiserror::Error)]
#[error("STORAGE_EMULATOR_HOST is neither host:port nor a URL without a path")]
struct InvalidHost;

/// Returns the address that the operator set, or else Google's.
pub(crate) fn service(operator: Option<&str>) -> Result<BaseUri, StorageError> {
    let invalid =
        |error| StorageError::with_source(Op::Connect, ErrorKind::Invalid, FailureReason::InvalidSettings, error);
    operator.map_or_else(|| Ok(google()), |text| parse(text).map_err(invalid))
}

fn google() -> BaseUri {
    BaseUri::new(Scheme::HTTPS, Authority::from_static("storage.googleapis.com"))
}

/// Parses `http://host:port`, `https://host`, or `host:port` for http.
fn parse(text: &str) -> Result<BaseUri, InvalidHost> {
    let text = text.trim();
    let (scheme, authority) = match text.split_once("://") {
        Some(("https", authority)) => (Scheme::HTTPS, authority),
        Some(("http", authority)) => (Scheme::HTTP, authority),
        Some(_) => return Err(InvalidHost),
        None => (Scheme::HTTP, text),
    };
    // Presigned URLs sign the host as browsers send it, and browsers omit the default port.
    let default_port = if scheme == Scheme::HTTPS { ":443" } else { ":80" };
    let authority = authority.trim_end_matches('/');
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    let authority: Authority = authority.parse().map_err(|_| InvalidHost)?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(InvalidHost);
    }
    Ok(BaseUri::new(scheme, authority))
}

/// Validates a bucket's name.
pub(super) fn check_name(name: &str) -> Result<(), InvalidSetting> {
    if names::is_gcs_bucket(name) {
        return Ok(());
    }
    if let Some(message) = pasted::message(name, "bucket", None) {
        return Err(InvalidSetting::new("bucket", message));
    }
    Err(InvalidSetting::new(
        "bucket",
        "a bucket name must have 3 to 222 lower-case letters, digits, hyphens, underscores and dots, and begin and end with a letter or digit",
    ))
}

impl Bucket {
    pub(super) fn new(name: &str, service: BaseUri) -> Result<Self, InvalidSetting> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), service })
    }

    /// The URI of the bucket's objects with these query parameters.
    pub(super) fn objects(&self, parameters: &[(&str, &str)]) -> Option<Uri> {
        self.service.uri(&format!("/storage/v1/b/{}/o", self.name), parameters)
    }

    /// The URI for uploads.
    pub(super) fn upload(&self, parameters: &[(&str, &str)]) -> Option<Uri> {
        self.service.uri(&format!("/upload/storage/v1/b/{}/o", self.name), parameters)
    }

    /// The URI of an object, with the key as one path segment. `None` for a key that no bucket can have: an empty one
    /// would name the bucket's object list.
    pub(super) fn object(&self, key: &str, parameters: &[(&str, &str)]) -> Option<Uri> {
        let path = format!("/storage/v1/b/{}/o/{}", self.name, utf8_percent_encode(valid_key(key)?, QUERY));
        self.service.uri(&path, parameters)
    }

    /// The path of an object in the XML API, which presigned URLs use.
    pub(super) fn public_path(&self, key: &str) -> Option<String> {
        Some(format!("/{}/{}", self.name, utf8_percent_encode(valid_key(key)?, PATH)))
    }
}

fn valid_key(key: &str) -> Option<&str> {
    (!key.is_empty() && key.len() <= LONGEST_KEY).then_some(key)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn bucket() -> Bucket {
        Bucket::new("b-1", google()).unwrap()
    }

    #[test]
    fn a_key_is_one_segment_of_the_path_and_browsers_see_its_slashes() {
        for (key, segment, path) in [
            ("a//b", "a%2F%2Fb", "/b-1/a//b"),
            ("./x", ".%2Fx", "/b-1/./x"),
            ("a/../b", "a%2F..%2Fb", "/b-1/a/../b"),
            ("dir/", "dir%2F", "/b-1/dir/"),
            ("+ %2F", "%2B%20%252F", "/b-1/%2B%20%252F"),
            ("?#*\\\n", "%3F%23%2A%5C%0A", "/b-1/%3F%23%2A%5C%0A"),
            ("ü😀", "%C3%BC%F0%9F%98%80", "/b-1/%C3%BC%F0%9F%98%80"),
        ] {
            let uri = bucket().object(key, &[("alt", "media")]).unwrap();
            assert_eq!(uri, format!("https://storage.googleapis.com/storage/v1/b/b-1/o/{segment}?alt=media").as_str());
            assert_eq!(bucket().public_path(key).unwrap(), path);
        }
        let list = bucket().objects(&[("prefix", "a/b c+"), ("startOffset", "&")]).unwrap();
        assert_eq!(list.path_and_query().unwrap(), "/storage/v1/b/b-1/o?prefix=a%2Fb%20c%2B&startOffset=%26");
    }

    #[test]
    fn empty_and_too_long_keys_have_no_uri() {
        for key in [String::new(), "k".repeat(1_025), "ü".repeat(513)] {
            assert!(bucket().object(&key, &[]).is_none() && bucket().public_path(&key).is_none());
        }
        assert!(bucket().object(&"k".repeat(1_024), &[]).is_some());
    }

    #[test]
    fn an_invalid_bucket_name_is_refused() {
        for name in ["", "ab", "Photos", "-ab", "ab-", "a/b", "gs://photos", "b?x", "b#x", "b@evil.com", "a b", "a%2fb"]
        {
            assert_eq!(check_name(name).unwrap_err().field, "bucket", "{name:?}");
        }
        for name in ["photos", "my_photos-1", "photos.example.org", "123"] {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn the_operator_may_set_another_host() {
        for (text, scheme, authority) in [
            ("127.0.0.1:4443", "http", "127.0.0.1:4443"),
            ("http://fake:4443/", "http", "fake:4443"),
            ("https://gcs.example.com:443", "https", "gcs.example.com"),
            (" http://[::1]:80", "http", "[::1]"),
        ] {
            let service = parse(text).unwrap();
            assert_eq!((service.scheme(), service.authority()), (scheme, authority), "{text:?}");
        }
        for text in ["", "ftp://h", "http://u@h", "http://", "h/path", "a b"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_key_can_be_decoded_from_its_uris(key in "\\PC{1,200}|[\\x00-\\x7f]{1,200}|[./]{1,12}") {
            let uri = bucket().object(&key, &[]).unwrap();
            let segment = uri.path().strip_prefix("/storage/v1/b/b-1/o/").unwrap();
            prop_assert!(!segment.contains('/'));
            prop_assert_eq!(percent_decode_str(segment).decode_utf8().unwrap(), key.as_str());
            let path = bucket().public_path(&key).unwrap();
            let path = path.strip_prefix("/b-1/").unwrap();
            prop_assert_eq!(percent_decode_str(path).decode_utf8().unwrap(), key.as_str());
        }
    }
}
