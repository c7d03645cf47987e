//! Amazon S3 through an IAM role: the fields of a bucket, and those of the role instead of access keys.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::field::Field;
use super::kind::{KindConnection, KindData};
use super::no_secrets::NoSecrets;
use super::s3::{BUCKET, S3Connection, URI};
use super::shared_fields::{EXPORT, FOLDERS, IDENTITY, IMPORT, SIGNING, VERIFICATION};
use crate::FailureReason;

/// The fields of the role. AWS does not report whether its name or the external ID is wrong, so no field is blamed.
const ROLE: &[Field] = &[
    Field::word("role_arn", "The role that scheduler and workers assume: `arn:aws:iam::<account>:role/<name>`")
        .required()
        .example("\"arn:aws:iam::123456789012:role/labels\"")
        .flag_value("role-arn", "ARN")
        .blamed_for(&[FailureReason::OwnIdentityDenied]),
    Field::word(
        "external_id",
        "External ID for the role's trust policy. Longshore makes one for each project; a request leaves it out or repeats it",
    ),
    Field::nullable_bool("legacy_auth", "Stored and shown for clients that send it; has no effect"),
];

/// A bucket of S3 that is reached through an IAM role. The identity of the process assumes the role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3sConnection {
    /// The bucket.
    #[serde(flatten)]
    pub s3: S3Connection,
    /// The role to assume.
    #[serde(default)]
    pub role_arn: String,
    /// The external ID that the role's trust policy requires.
    ///
    /// It is that of the project, or in a storage of an earlier release one that its user chose. It is not secret: what counts is that no other project can send it.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Stored because the host has such a switch; it has no effect.
    #[serde(default)]
    pub legacy_auth: Option<bool>,
}

impl KindConnection for S3sConnection {
    const DATA: KindData = KindData {
        title: "AWS S3 (IAM role access)",
        about: "Amazon S3 through an IAM role",
        connection: &[BUCKET, ROLE],
        shared: &[FOLDERS, IMPORT, VERIFICATION, SIGNING, EXPORT, IDENTITY],
        place: "bucket",
        uri: URI,
        filters_names: false,
    };

    type Secrets = NoSecrets;

    fn prefix(&self) -> String {
        self.s3.prefix()
    }

    fn bucket(&self) -> Cow<'_, str> {
        self.s3.bucket()
    }

    fn address(&self) -> String {
        self.s3.address()
    }

    /// A role is assumed with it.
    fn uses_own_identity(&self, _: &NoSecrets) -> bool {
        true
    }

    fn take_identity(&mut self, newer: &Self) {
        self.role_arn.clone_from(&newer.role_arn);
        self.external_id.clone_from(&newer.external_id);
    }

    fn kms_key_id(&self) -> Option<&str> {
        self.s3.kms_key_id()
    }
}
