//! What a request makes of a storage of each kind.

use longshore_model::{Connection, NoSecrets, S3Secrets};
use serde_json::json;

use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/labels/reader";
const MOVED: &str = "Enter it again: the address changed.";

fn apply(kind: StorageKind, base: Base, sent: &Value) -> Result<Draft, FieldErrors> {
    let sent = sent.as_object().expect("an object");
    Change::parse(kind, Direction::Import, sent).apply(base).map_err(|error| match error {
        ApiError::Invalid(errors) | ApiError::SecretsRequired(errors) => errors,
        other => panic!("field errors, not {other:?}"),
    })
}

fn created(kind: StorageKind, sent: &Value) -> Box<Draft> {
    Box::new(apply(kind, Base::Nothing, sent).unwrap_or_else(|errors| panic!("{errors:?}")))
}

fn refused(kind: StorageKind, sent: &Value) -> FieldErrors {
    apply(kind, Base::Nothing, sent).map(drop).expect_err("must be refused")
}

fn bucket() -> Box<Draft> {
    created(
        StorageKind::S3,
        &json!({"project": 1, "bucket": "pics", "prefix": "a", "title": "T", "presign_ttl": 7, "aws_access_key_id": "AK",
                "aws_secret_access_key": "hunter2", "aws_session_token": "ST"}),
    )
}

#[test]
fn the_defaults_are_label_studios_and_secrets_are_no_settings() {
    let draft = created(StorageKind::S3, &json!({"project": 1, "bucket": "pics", "aws_secret_access_key": "hunter2"}));
    let settings = &draft.fields.settings;
    assert_eq!((settings.presign, settings.presign_ttl), (true, 1));
    assert_eq!((settings.use_blob_urls, settings.recursive_scan, draft.fields.synchronizable), (false, false, true));
    assert_eq!((settings.can_delete_objects, &draft.fields.title), (None, &None));
    assert!(!serde_json::to_string(&draft.fields).unwrap().contains("hunter2"));
    let redis = |direction| match UserFields::blank(StorageKind::Redis, direction).settings.connection {
        Connection::Redis(redis) => redis.db,
        other => panic!("a connection of the kind, not {other:?}"),
    };
    assert_eq!((redis(Direction::Import), redis(Direction::Export)), (1, 2));
}

#[test]
fn a_patch_changes_what_it_sends_and_keeps_secrets_it_does_not_send() {
    let stored = bucket();
    let patched = |sent| apply(StorageKind::S3, Base::Stored(stored.clone()), &sent);
    let renamed = patched(json!({"title": "U", "status": "failed", "meta": {"x": 1}})).unwrap();
    assert_eq!(renamed.fields.title.as_deref(), Some("U"));
    assert_eq!((&renamed.fields.settings, &renamed.secrets), (&stored.fields.settings, &stored.secrets));

    let keys = |sent| match patched(sent).unwrap().secrets {
        Secrets::S3(secrets) => secrets,
        other => panic!("secrets of S3, not {other:?}"),
    };
    let cleared = keys(json!({"aws_session_token": ""}));
    assert_eq!((cleared.aws_session_token, cleared.aws_access_key_id), (None, Some(Secret::new("AK"))));
    let token = Some(Secret::new("ST"));
    assert_eq!(
        keys(json!({"aws_access_key_id": null, "aws_secret_access_key": null})),
        S3Secrets { aws_session_token: token, ..S3Secrets::default() }
    );
    assert!(patched(json!({"bucket": null})).map(drop).unwrap_err().contains_key("bucket"));
}

#[test]
fn a_put_starts_from_the_defaults_but_keeps_the_secrets() {
    let stored = bucket();
    let sent = json!({"project": 1, "bucket": "others", "region_name": "eu-west-1"});
    let put = apply(StorageKind::S3, Base::Secrets(stored.clone()), &sent).unwrap();
    assert_eq!((put.secrets, put.fields.settings.presign_ttl, put.fields.title), (stored.secrets, 1, None));
}

#[test]
fn everything_that_cannot_work_is_named_at_once_before_anything_is_stored() {
    let errors = refused(StorageKind::S3, &json!({"regex_filter": "(", "presign": "maybe"}));
    assert_eq!(errors["project"], ["This field is required."]);
    assert_eq!(errors["bucket"], ["This field is required."]);
    assert!(errors["regex_filter"][0].contains("not a valid regular expression"));
    assert!(errors.contains_key("presign"));
    for bucket in ["..", "a/b", "a b", "ü", "B!"] {
        assert!(refused(StorageKind::S3, &json!({"project": 1, "bucket": bucket})).contains_key("bucket"), "{bucket}");
    }
    for endpoint in ["minio:9000", "ftp://x", "http://", "http://me:pw@minio", "http://minio?x=1", "a b"] {
        let errors = refused(StorageKind::S3, &json!({"project": 1, "bucket": "pics", "s3_endpoint": endpoint}));
        assert!(errors.contains_key("s3_endpoint"), "{endpoint}: {errors:?}");
    }
}

#[test]
fn only_fields_of_the_connection_ask_for_a_probe() {
    let reconnects = |sent: Value| {
        let change = Change::parse(StorageKind::S3, Direction::Import, sent.as_object().unwrap());
        (change.reconnects(), change.sends_secrets())
    };
    assert_eq!(reconnects(json!({"title": "T", "presign": false, "status": "x"})), (false, false));
    assert_eq!(reconnects(json!({"prefix": "a"})), (true, false));
    assert_eq!(reconnects(json!({"aws_session_token": null})), (true, true));
}

#[test]
fn a_role_takes_the_place_of_keys_which_are_not_kept() {
    let sent = json!({"project": 1, "bucket": "pics", "role_arn": format!(" {ROLE}\n"), "external_id": "ours-1",
                      "legacy_auth": null, "aws_access_key_id": "AK", "aws_secret_access_key": "hunter2"});
    let draft = created(StorageKind::S3s, &sent);
    assert_eq!(draft.secrets, Secrets::S3s(NoSecrets {}));
    let Connection::S3s(s3s) = &draft.fields.settings.connection else { panic!("a connection of the kind") };
    assert_eq!((s3s.role_arn.as_str(), s3s.external_id.as_deref()), (ROLE, Some("ours-1")));
    assert!(!serde_json::to_string(&draft.fields).unwrap().contains("hunter2"));
}

#[test]
fn roles_that_cannot_be_are_refused_when_they_are_saved() {
    let with = |name: &str, value: &str| {
        let mut sent = json!({"project": 1, "bucket": "pics", "role_arn": ROLE});
        sent[name] = json!(value);
        refused(StorageKind::S3s, &sent)
    };
    let missing = refused(StorageKind::S3s, &json!({"project": 1, "bucket": "pics"}));
    assert_eq!(missing["role_arn"], ["This field is required."]);
    for arn in ["reader", "arn:aws:iam::12345678901:role/r", "arn:aws:iam::123456789012:user/u", "arn:aws:s3:::b"] {
        let errors = with("role_arn", arn);
        assert!(errors["role_arn"][0].contains("arn:aws:iam::123456789012:role/name"), "{arn}: {errors:?}");
    }
    for id in ["x", "two words", "ü-1"] {
        assert!(with("external_id", id).contains_key("external_id"), "{id}");
    }
    assert!(with("bucket", "B!").contains_key("bucket"));
}

#[test]
fn a_stored_account_key_signs_for_no_other_server_than_it_was_entered_for() {
    let own = json!({"project": 1, "container": "pics", "account_name": "labels", "account_key": "aHVudGVyMg=="});
    let stored = created(StorageKind::Azure, &own);
    let moved = json!({"project": 1, "container": "pics", "endpoint": "https://evil.test"});
    for base in [Base::Stored(stored.clone()), Base::Secrets(stored.clone())] {
        let errors = apply(StorageKind::Azure, base, &moved).map(drop).expect_err("must be refused");
        assert_eq!(errors["account_key"], [MOVED]);
    }
    let mut entered = moved;
    entered["account_key"] = json!("aHVudGVyMg==");
    assert!(apply(StorageKind::Azure, Base::Stored(stored.clone()), &entered).is_ok());
    let other = json!({"project": 1, "container": "others"});
    assert!(apply(StorageKind::Azure, Base::Secrets(stored), &other).is_ok());
}

#[test]
fn a_stored_password_is_sent_to_no_other_server_than_it_was_entered_for() {
    let stored = created(StorageKind::Redis, &json!({"project": 1, "host": "h", "tls": true, "password": "hunter2"}));
    for moved in [json!({"host": "evil"}), json!({"port": "6380"}), json!({"tls": false}), json!({"host": null})] {
        let patched = |sent: &Value| apply(StorageKind::Redis, Base::Stored(stored.clone()), sent).map(drop);
        assert_eq!(patched(&moved).expect_err("must be refused")["password"], [MOVED], "{moved}");
        for password in [json!("again"), Value::Null] {
            let mut entered = moved.clone();
            entered["password"] = password;
            assert!(patched(&entered).is_ok(), "{moved}");
        }
    }
    let put = |sent: Value| apply(StorageKind::Redis, Base::Secrets(stored.clone()), &sent);
    assert!(put(json!({"project": 1, "host": "h"})).map(drop).unwrap_err().contains_key("password"));
    let same = put(json!({"project": 1, "host": " h ", "port": 6379, "db": 3, "tls": true})).unwrap();
    assert_eq!(same.secrets, stored.secrets);
    let without = created(StorageKind::Redis, &json!({"project": 1, "host": "h"}));
    assert!(apply(StorageKind::Redis, Base::Stored(without), &json!({"host": "other", "tls": true})).is_ok());
}

#[test]
fn stored_keys_of_s3_sign_for_no_other_endpoint_and_account_names_move_azure_keys() {
    let stored = created(
        StorageKind::S3,
        &json!({"project": 1, "bucket": "pics", "s3_endpoint": "https://a.test", "aws_access_key_id": "AK",
                "aws_secret_access_key": "hunter2"}),
    );
    let patched = |stored: &Draft, sent: Value| {
        let sent = sent.as_object().expect("an object").clone();
        let base = Base::Stored(Box::new(stored.clone()));
        Change::parse(StorageKind::S3, Direction::Import, &sent).apply(base).map_err(|error| match error {
            ApiError::SecretsRequired(errors) => errors,
            other => panic!("required secrets, not {other:?}"),
        })
    };
    for moved in ["https://evil.test", "http://a.test", "https://a.test:8443", ""] {
        let errors = patched(&stored, json!({"s3_endpoint": moved})).map(drop).expect_err("must be refused");
        // The session token is not stored, so it need not be entered.
        assert_eq!(errors, FieldErrors::from([("aws_secret_access_key".into(), vec![MOVED.to_owned()])]), "{moved}");
        assert!(patched(&stored, json!({"s3_endpoint": moved, "aws_secret_access_key": "again"})).is_ok());
    }
    for stays in
        [json!({"bucket": "others"}), json!({"region_name": "eu-west-1"}), json!({"s3_endpoint": "https://a.test"})]
    {
        assert!(patched(&stored, stays).is_ok());
    }
    let temporary = patched(&stored, json!({"aws_session_token": "ST"})).expect("a token");
    let errors = patched(&temporary, json!({"s3_endpoint": "https://b.test", "aws_secret_access_key": "again"}));
    assert_eq!(errors.map(drop).expect_err("must be refused")["aws_session_token"], [MOVED]);

    let azure = json!({"project": 1, "container": "pics", "account_name": "labels", "account_key": "aHVudGVyMg=="});
    let azure = created(StorageKind::Azure, &azure);
    let renamed = apply(StorageKind::Azure, Base::Stored(azure), &json!({"account_name": "evil"}));
    assert_eq!(renamed.map(drop).expect_err("must be refused")["account_key"], [MOVED]);
}

#[test]
fn stored_secrets_go_to_no_other_project() {
    let key_file = json!({"project": 1, "bucket": "pics", "google_application_credentials": "{}"});
    let azure = json!({"project": 1, "container": "pics", "account_name": "labels", "account_key": "aHVudGVyMg=="});
    for (kind, stored, expected) in [
        (StorageKind::S3, bucket(), "aws_access_key_id aws_secret_access_key aws_session_token"),
        (StorageKind::Gcs, created(StorageKind::Gcs, &key_file), "google_application_credentials"),
        (StorageKind::Azure, created(StorageKind::Azure, &azure), "account_key account_name"),
        (StorageKind::Redis, created(StorageKind::Redis, &json!({"project": 1, "password": "hunter2"})), "password"),
    ] {
        let moved = json!({"project": 2, "bucket": "pics", "container": "pics"});
        for base in [Base::Stored(stored.clone()), Base::Secrets(stored)] {
            let errors = apply(kind, base, &moved).map(drop).expect_err("must be refused");
            let names: Vec<&str> = errors.keys().map(|name| &**name).collect();
            assert_eq!(names.join(" "), expected, "{kind}");
        }
    }
    let role = created(StorageKind::S3s, &json!({"project": 1, "bucket": "pics", "role_arn": ROLE}));
    assert!(apply(StorageKind::S3s, Base::Stored(role), &json!({"project": 2})).is_ok());
}

#[test]
fn settings_stored_under_another_kind_are_refused() {
    let errors = apply(StorageKind::Gcs, Base::Stored(bucket()), &json!({})).map(drop).unwrap_err();
    assert!(errors.contains_key(NON_FIELD), "{errors:?}");
}
