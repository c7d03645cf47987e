//! Google's published examples: `storage/v1/v4_signatures.json` and the public dummy account from the repository
//! googleapis/conformance-tests (Apache-2.0). Only the examples that sign a GET with no header but the host.

use serde_json::Value;

use super::super::key_file::KeyFile;
use super::*;

fn examples() -> Value {
    serde_json::from_str(include_str!("v4_signatures.json")).unwrap()
}

/// The inactive account that the examples are signed with.
pub(in crate::gcs) fn service_account() -> Value {
    examples()["service_account"].clone()
}

#[test]
fn urls_equal_googles_published_examples() {
    let KeyFile::Service(account) = KeyFile::read(&service_account().to_string()).unwrap() else {
        panic!("a service account")
    };
    let examples = examples();
    let examples = examples["signingV4Tests"].as_array().unwrap();
    assert_eq!(examples.len(), 7);
    for example in examples {
        let text = |name: &str| example[name].as_str().unwrap_or_else(|| panic!("{name} of {example}"));
        let expected = text("expectedUrl");
        let (scheme, rest) = expected.split_once("://").unwrap();
        let host = rest.split_once('/').unwrap().0;
        let (path, _) = rest[host.len()..].split_once('?').unwrap();
        let now: Timestamp = text("timestamp").parse().unwrap();
        let ttl = Duration::from_secs(example["expiration"].as_u64().unwrap());
        let url = url(&account, scheme, host, path, ttl, now).unwrap();
        assert_eq!(url, expected, "{}", text("description"));
    }
}

#[test]
fn a_bucket_and_a_key_make_the_path_of_the_examples() {
    use super::super::bucket::{Bucket, service};
    for example in examples()["signingV4Tests"].as_array().unwrap() {
        let (Some(bucket), Some(key)) = (example["bucket"].as_str(), example["object"].as_str()) else { continue };
        let path = Bucket::new(bucket, service(None).unwrap()).unwrap().public_path(key).unwrap();
        let expected = example["expectedUrl"].as_str().unwrap();
        assert!(expected.starts_with(&format!("https://storage.googleapis.com{path}?")), "{path}: {expected}");
    }
}
