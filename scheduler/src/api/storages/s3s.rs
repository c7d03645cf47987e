//! Amazon S3 through an IAM role: a bucket's fields, and the role's instead of keys.

use longshore_model::{Connection, Direction, FailureReason, S3sConnection, Secrets, StorageKind};
use serde::Deserialize;
use utoipa::ToSchema;

use super::draft::{Draft, set};
use super::fields::{Fields, OTHER_KIND};
use super::kind::Kind;
use super::s3::{bucket_field, read_bucket};
use crate::api::error::NON_FIELD;

/// The kind `s3s`.
pub(crate) struct S3s;

impl Kind for S3s {
    fn kind(&self) -> StorageKind {
        StorageKind::S3s
    }

    fn title(&self) -> &'static str {
        "AWS S3 (IAM role access)"
    }

    fn blank(&self, _: Direction) -> Connection {
        Connection::S3s(S3sConnection::default())
    }

    fn read(&self, fields: &mut Fields, draft: &mut Draft, whole: bool) {
        let (Connection::S3s(s3s), Secrets::S3s) = (&mut draft.settings.connection, &draft.secrets) else {
            return fields.refuse(NON_FIELD, OTHER_KIND);
        };
        read_bucket(fields, &mut s3s.s3, whole);
        fields.required("role_arn", &mut s3s.role_arn, whole);
        set(&mut s3s.external_id, fields.word("external_id"));
        set(&mut s3s.legacy_auth, fields.boolean_or_null("legacy_auth"));
    }

    fn connection_fields(&self) -> &'static [&'static str] {
        &["bucket", "prefix", "region_name", "s3_endpoint", "aws_sse_kms_key_id", "role_arn", "external_id"]
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn field(&self, reason: FailureReason) -> &'static str {
        // AWS does not say whether the role's name or the external id is wrong.
        bucket_field(reason)
    }
}

/// The own fields of an S3 storage with an IAM role in a request.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "the fields are read one by one; this documents them")]
pub(crate) struct S3sFields {
    bucket: String,
    prefix: Option<String>,
    region_name: Option<String>,
    /// Base URL of a compatible store.
    s3_endpoint: Option<String>,
    /// The role that Longshore assumes with its own identity.
    role_arn: String,
    /// What the trust policy of the role asks for.
    external_id: Option<String>,
    /// Kept and shown; changes nothing.
    legacy_auth: Option<bool>,
    /// Export only.
    aws_sse_kms_key_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::{ApiError, FieldErrors};
    use crate::api::storages::draft::Base;
    use serde_json::{Value, json};

    const ROLE: &str = "arn:aws:iam::123456789012:role/labels/reader";

    fn read(base: Base, sent: Value) -> Result<Draft, FieldErrors> {
        let Value::Object(sent) = sent else { panic!("an object") };
        Draft::read(&S3s, Direction::Import, base, &sent).map_err(|error| match error {
            ApiError::Invalid(errors) => errors,
            other => panic!("field errors, not {other:?}"),
        })
    }

    fn refused(sent: Value) -> FieldErrors {
        read(Base::Nothing, sent).expect_err("must be refused")
    }

    #[test]
    fn a_role_takes_the_place_of_keys_which_are_not_kept() {
        let sent = json!({"project": 1, "bucket": "pics", "role_arn": format!(" {ROLE}\n"), "external_id": "ours-1",
            "legacy_auth": null, "aws_access_key_id": "AK", "aws_secret_access_key": "hunter2"});
        let draft = read(Base::Nothing, sent).unwrap();
        assert_eq!(draft.secrets, Secrets::S3s);
        let Connection::S3s(s3s) = &draft.settings.connection else { panic!("a connection of the kind") };
        assert_eq!((s3s.role_arn.as_str(), s3s.external_id.as_deref()), (ROLE, Some("ours-1")));
        assert!(!serde_json::to_string(&draft.settings).unwrap().contains("hunter2"));

        let moved = read(Base::Stored(Box::new(draft.clone())), json!({"title": "T"})).unwrap();
        assert!(moved.connects_like(&draft));
        let other = read(Base::Stored(Box::new(draft.clone())), json!({"external_id": ""})).unwrap();
        assert!(!other.connects_like(&draft));
    }

    #[test]
    fn roles_that_cannot_be_are_refused_when_they_are_saved() {
        assert_eq!(refused(json!({"project": 1, "bucket": "pics"}))["role_arn"], ["This field is required."]);
        for arn in ["reader", "arn:aws:iam::12345678901:role/r", "arn:aws:iam::123456789012:user/u", "arn:aws:s3:::b"] {
            let errors = refused(json!({"project": 1, "bucket": "pics", "role_arn": arn}));
            assert!(errors["role_arn"][0].contains("arn:aws:iam::123456789012:role/name"), "{arn}: {errors:?}");
        }
        for id in ["x", "two words", "ü-1"] {
            let errors = refused(json!({"project": 1, "bucket": "pics", "role_arn": ROLE, "external_id": id}));
            assert!(errors.contains_key("external_id"), "{id}: {errors:?}");
        }
        assert!(refused(json!({"project": 1, "bucket": "B!", "role_arn": ROLE})).contains_key("bucket"));
    }
}
