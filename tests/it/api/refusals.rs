//! Refusals of wrong settings, by real servers of every kind: each names the field and speaks of its kind.

use serde_json::{Value, json};

use super::sent_back::merged;
use crate::all_kinds::AllKinds;

/// One wrong setting of a kind.
struct Wrong {
    kind: &'static str,
    setting: Value,
    /// The field that the refusal names.
    field: &'static str,
    /// The server's own code, if it answers.
    server: Option<&'static str>,
}

fn wrong(kind: &'static str, setting: Value, field: &'static str, server: Option<&'static str>) -> Wrong {
    Wrong { kind, setting, field, server }
}

/// Words that belong to other kinds.
fn foreign(kind: &str) -> &'static [&'static str] {
    match kind {
        "s3" | "s3s" => &["container", "azure", "google", "redis", "folder", "account key"],
        "gcs" => &["container", "azure", "aws", "redis", "folder", "access key"],
        "azure" => &["bucket", "aws", "google", "redis", "folder", "access key id"],
        "redis" => &["bucket", "container", "azure", "google", "aws", "folder", "access key"],
        _ => &["bucket", "container", "azure", "google", "aws", "redis", "access key", "endpoint"],
    }
}

fn mistakes(all: &AllKinds, closed: &str, port: &str) -> Vec<Wrong> {
    // A key of the right form, of an account that the server does not know.
    let mut stranger = all.gcs().key_file();
    stranger["client_email"] = json!("stranger@longshore.iam.gserviceaccount.com");
    let file = all.folder().join("in/task.json");
    vec![
        wrong("s3", json!({"bucket": "nowhere"}), "bucket", Some("NoSuchBucket")),
        wrong("s3", json!({"bucket": "no where"}), "bucket", None),
        wrong("s3", json!({"aws_access_key_id": "AKIASTRANGER"}), "aws_access_key_id", Some("InvalidAccessKeyId")),
        wrong("s3", json!({"aws_secret_access_key": "x"}), "aws_secret_access_key", Some("SignatureDoesNotMatch")),
        wrong("s3", json!({"s3_endpoint": closed}), "s3_endpoint", None),
        wrong("s3", json!({"s3_endpoint": "ftp://minio"}), "s3_endpoint", None),
        wrong("s3", json!({"region_name": "Frankfurt am Main"}), "region_name", None),
        wrong("s3s", json!({"bucket": "nowhere-at-all"}), "bucket", Some("NoSuchBucket")),
        wrong("s3s", json!({"role_arn": "labels"}), "role_arn", None),
        wrong("s3s", json!({"role_arn": "arn:aws:iam::12:user/labels"}), "role_arn", None),
        wrong("gcs", json!({"bucket": "nowhere"}), "bucket", None),
        wrong("gcs", json!({"google_application_credentials": "key.json"}), "google_application_credentials", None),
        wrong("gcs", json!({"google_application_credentials": "{}"}), "google_application_credentials", None),
        wrong(
            "gcs",
            json!({"google_application_credentials": stranger.to_string()}),
            "google_application_credentials",
            Some("invalid_grant"),
        ),
        wrong("azure", json!({"container": "nowhere"}), "container", Some("ContainerNotFound")),
        wrong("azure", json!({"container": "No_Where"}), "container", None),
        wrong("azure", json!({"account_key": "bm90LWl0"}), "account_key", Some("AuthorizationFailure")),
        wrong("azure", json!({"account_key": "not base64!"}), "account_key", None),
        wrong("azure", json!({"endpoint": closed}), "endpoint", None),
        wrong("redis", json!({"password": "not-it"}), "password", Some("WRONGPASS")),
        wrong("redis", json!({"password": ""}), "password", Some("NOAUTH")),
        wrong("redis", json!({"db": 9_999}), "db", None),
        wrong("redis", json!({"port": port}), "host", None),
        wrong("redis", json!({"port": "http"}), "port", None),
        wrong("redis", json!({"host": "redis://127.0.0.1:6379"}), "host", None),
        wrong("localfiles", json!({"path": all.folder().join("nowhere")}), "path", None),
        wrong("localfiles", json!({"path": file}), "path", None),
        wrong("localfiles", json!({"path": "/etc"}), "path", None),
        wrong("localfiles", json!({"path": ""}), "path", None),
    ]
}

/// Goal: a user who enters a wrong setting learns which one, in the words of the kind. Method: one wrong setting after the other, on
/// real servers of all kinds.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_of_any_kind_is_named_in_the_words_of_its_kind() {
    let all = AllKinds::start("wrong").await;
    let port = longshore_local::ports::free().expect("a port").to_string();
    let closed = format!("http://127.0.0.1:{port}");
    let mut faults = Vec::new();
    for Wrong { kind, setting, field, server } in mistakes(&all, &closed, &port) {
        let sent = merged(&[&all.settings(kind, "import"), &json!({"project": all.project}), &setting]);
        let (status, body) = all.rig.call("POST", &format!("/api/storages/{kind}/validate"), Some(sent)).await;
        let text = body["validation_errors"][field][0].as_str().unwrap_or_default();
        let lower = text.to_lowercase();
        let of_others: Vec<&str> = foreign(kind).iter().copied().filter(|word| lower.contains(word)).collect();
        let is_quoted = server.is_none_or(|code| text.ends_with(&format!("{code}`.")));
        if !matches!(status, 400 | 403) || text.is_empty() || !of_others.is_empty() || !is_quoted {
            faults.push(format!("{kind} {setting}: {status}, other words {of_others:?}: {body}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
