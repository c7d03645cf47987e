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

fn keys_of(draft: Draft) -> S3Secrets {
    match draft.secrets {
        Secrets::S3(secrets) => secrets,
        other => panic!("secrets of S3, not {other:?}"),
    }
}

#[test]
fn the_defaults_are_label_studios_and_secrets_are_no_settings() {
    let sent = json!({"project": 1, "bucket": "pics", "aws_access_key_id": "AK", "aws_secret_access_key": "hunter2"});
    let draft = read(Base::Nothing, Direction::Import, sent).unwrap();
    let settings = &draft.settings;
    assert_eq!((settings.presign, settings.presign_ttl), (true, 1));
    assert_eq!((settings.use_blob_urls, settings.recursive_scan, draft.synchronizable), (false, false, true));
    assert_eq!((settings.can_delete_objects, draft.title), (None, None));
    assert!(!serde_json::to_string(settings).unwrap().contains("hunter2"));
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
    let stored = read(
        Base::Nothing,
        Direction::Import,
        json!({"project": 1, "bucket": "pics", "title": "T", "presign_ttl": 7, "aws_access_key_id": "AK",
               "aws_secret_access_key": "SK"}),
    )
    .unwrap();
    let sent = json!({"project": 1, "bucket": "pics", "s3_endpoint": "https://elsewhere.test"});
    let put = read(Base::Secrets(Box::new(stored.clone())), Direction::Import, sent).unwrap();
    assert_eq!((put.secrets, put.settings.presign_ttl, put.title), (stored.secrets, 1, None));
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
