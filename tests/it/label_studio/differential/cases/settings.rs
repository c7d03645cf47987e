//! Settings of S3 storages: whose keys sign, where the bucket is, and which objects count.

use longshore_rig::rig::{SECRET_ACCESS_KEY, SESSION_TOKEN, TEMPORARY_ACCESS_KEY_ID};
use serde_json::{Value, json};

use super::{Case, TASK};

/// Objects with a task each, so that both modes can read them.
const KEYS: &[&str] = &["a.json", "b.jsonl", "p/a.json", "p/b.json", "p/c.JSON", "p/sub/b.json", "p.json", "pp/b.json"];

pub(crate) fn cases() -> Vec<Case> {
    let one = |name: &str, settings: Value| Case::new(name).object("a.json", TASK).settings(settings);
    let none = json!({"aws_access_key_id": null, "aws_secret_access_key": null});
    let blank = json!({"aws_access_key_id": "", "aws_secret_access_key": "", "aws_session_token": ""});
    let temporary = json!({"aws_access_key_id": TEMPORARY_ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
        "aws_session_token": SESSION_TOKEN});
    let mut cases = vec![
        one("keys-of-the-environment", none.clone()),
        one("keys-of-the-environment-blank", blank),
        Case::blobs("keys-of-the-environment-blobs").keys(&["a.jpg", "p/b.jpg"]).settings(none),
        one("session-token", temporary.clone()),
        Case::blobs("session-token-blobs").keys(&["a.jpg"]).settings(temporary),
        one("region-elsewhere", json!({"region_name": "eu-north-1"})),
        one("region-none", json!({"region_name": null})),
        one("region-blank", json!({"region_name": " "})),
        one("kms-key", json!({"aws_sse_kms_key_id": "arn:aws:kms:eu-north-1:111122223333:key/1234abcd"})),
        one("title", json!({"title": "A title", "description": "Words about it"})),
    ];
    let combinations = [false, true].into_iter().flat_map(|recursive| {
        let prefixes = [None, Some("p"), Some("p/sub/")].into_iter();
        prefixes.flat_map(move |prefix| {
            let filters = [None, Some(r".*\.json$"), Some("p/.*b")].into_iter();
            filters.flat_map(move |filter| [false, true].map(|blobs| (recursive, prefix, filter, blobs)))
        })
    });
    cases.extend(combinations.enumerate().map(|(n, (recursive, prefix, filter, blobs))| {
        let settings =
            json!({"recursive_scan": recursive, "prefix": prefix, "regex_filter": filter, "use_blob_urls": blobs});
        KEYS.iter().fold(Case::new(&format!("combined-{n:02}")), |case, key| case.object(key, TASK)).settings(settings)
    }));
    cases
}
