//! What an S3 storage may look like, in and out.

use super::*;
use crate::api::error::{ApiError, FieldErrors};
use crate::api::storages::draft::Base;
use longshore_model::{S3Secrets, Secret};
use serde_json::{Value, json};

fn read(base: Base, direction: Direction, sent: Value) -> Result<Draft, FieldErrors> {
    let Value::Object(sent) = sent else { panic!("an object") };
    Draft::read(&S3, direction, base, &sent).map_err(|error| match error {
        ApiError::Invalid(errors) => errors,
        other => panic!("field errors, not {other:?}"),
    })
}

fn refused(sent: Value) -> FieldErrors {
    read(Base::Nothing, Direction::Import, sent).expect_err("must be refused")
}

fn row(draft: Draft, direction: Direction) -> StorageRow {
    StorageRow {
        id: 3,
        project_id: draft.project_id,
        kind: StorageKind::S3,
        direction,
        title: draft.title,
        description: draft.description,
        settings: draft.settings,
        synchronizable: draft.synchronizable,
        status: SyncStatus::Initialized,
        last_sync: None,
        last_sync_count: None,
        last_sync_job: None,
        traceback: None,
        meta: json!({}),
        created_at: DateTime::UNIX_EPOCH,
    }
}

fn keys_of(draft: Draft) -> S3Secrets {
    match draft.secrets {
        Secrets::S3(secrets) => secrets,
        other => panic!("secrets of S3, not {other:?}"),
    }
}

/// The keys of a JSON object in the order of its text.
fn keys(text: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut depth = 0;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}', '"']) {
        let (found, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        match found {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {
                let end = after.find('"').unwrap();
                if depth == 1 && after[end + 1..].starts_with(':') {
                    keys.push(after[..end].to_owned());
                }
                rest = &after[end + 1..];
                continue;
            }
        }
        rest = after;
    }
    keys
}

#[test]
fn the_defaults_and_the_order_of_fields_are_label_studios() {
    let sent = json!({"project": 1, "bucket": "pics", "aws_access_key_id": "AK", "aws_secret_access_key": "hunter2"});
    let import = read(Base::Nothing, Direction::Import, sent.clone()).unwrap();
    let text = serde_json::to_string(&S3.show(row(import, Direction::Import)).unwrap()).unwrap();
    let order = "id type synchronizable presign last_sync last_sync_count last_sync_job status traceback meta title \
                 description created_at bucket prefix regex_filter use_blob_urls aws_sse_kms_key_id region_name \
                 s3_endpoint presign_ttl recursive_scan project";
    assert_eq!(keys(&text).join(" "), order);
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&body["type"], &body["status"]), (&json!("s3"), &json!("initialized")));
    assert_eq!((&body["presign"], &body["presign_ttl"]), (&json!(true), &json!(1)));
    assert_eq!((&body["use_blob_urls"], &body["recursive_scan"]), (&json!(false), &json!(false)));
    assert_eq!((&body["title"], &body["meta"]), (&Value::Null, &json!({})));
    assert!(!text.contains("hunter2") && !text.contains("aws_secret_access_key"));

    let export = read(Base::Nothing, Direction::Export, sent).unwrap();
    let text = serde_json::to_string(&S3.show(row(export, Direction::Export)).unwrap()).unwrap();
    let order = "id type synchronizable last_sync last_sync_count last_sync_job status traceback meta title \
                 description created_at can_delete_objects bucket prefix regex_filter use_blob_urls \
                 aws_sse_kms_key_id region_name s3_endpoint project export_tasks json_suffix";
    assert_eq!(keys(&text).join(" "), order);
}

#[test]
fn a_patch_changes_what_it_sends_and_keeps_secrets_it_does_not_send() {
    let stored = read(
        Base::Nothing,
        Direction::Import,
        json!({"project": 1, "bucket": "pics", "prefix": "a", "aws_access_key_id": "AK", "aws_secret_access_key": "SK",
               "aws_session_token": "ST"}),
    )
    .unwrap();
    let patched = |sent| read(Base::Stored(Box::new(stored.clone())), Direction::Import, sent);
    let renamed = patched(json!({"title": "T", "status": "failed", "meta": {"x": 1}})).unwrap();
    assert_eq!(renamed.title.as_deref(), Some("T"));
    assert!(renamed.connects_like(&stored));

    let cleared = keys_of(patched(json!({"aws_session_token": ""})).unwrap());
    assert_eq!((cleared.aws_session_token, cleared.aws_access_key_id), (None, Some(Secret::new("AK"))));
    let none = keys_of(patched(json!({"aws_access_key_id": null, "aws_secret_access_key": null})).unwrap());
    assert_eq!(none.aws_secret_access_key, None);
    assert!(patched(json!({"bucket": null})).unwrap_err().contains_key("bucket"));
}

#[test]
fn a_put_starts_from_the_defaults_but_keeps_the_secrets() {
    let secrets = Secrets::S3(S3Secrets {
        aws_access_key_id: Some(Secret::new("AK")),
        aws_secret_access_key: Some(Secret::new("SK")),
        aws_session_token: None,
    });
    let put = read(Base::Secrets(secrets.clone()), Direction::Import, json!({"project": 1, "bucket": "pics"})).unwrap();
    assert_eq!((put.secrets, put.settings.presign_ttl, put.title), (secrets, 1, None));
}

#[test]
fn what_cannot_work_is_refused_field_by_field_before_anything_is_stored() {
    let errors = refused(json!({}));
    assert_eq!(errors["project"], ["This field is required."]);
    assert_eq!(errors["bucket"], ["This field is required."]);
    for bucket in ["..", "a/b", "a b", "ü", "B!"] {
        assert!(refused(json!({"project": 1, "bucket": bucket})).contains_key("bucket"), "{bucket}");
    }
    let regex = refused(json!({"project": 1, "bucket": "pics", "regex_filter": "("}));
    assert!(regex["regex_filter"][0].contains("not a valid regular expression"));
    for endpoint in ["minio:9000", "ftp://x", "http://", "http://me:pw@minio", "http://minio?x=1", "a b"] {
        let errors = refused(json!({"project": 1, "bucket": "pics", "s3_endpoint": endpoint}));
        assert!(errors.contains_key("s3_endpoint"), "{endpoint}: {errors:?}");
    }
}
