//! Amazon S3 through an IAM role: a bucket's fields, and the role's instead of keys.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::field::Field;
use super::kind::{KindConnection, KindData};
use super::no_secrets::NoSecrets;
use super::s3::{BUCKET, S3Connection, URI};
use super::shared_fields::{EXPORT, FOLDERS, IDENTITY, IMPORT, SIGNING};

/// The role. AWS does not say whether its name or the external ID is wrong, so no field is blamed.
const ROLE: &[Field] = &[
    Field::word("role_arn", "The role that scheduler and workers assume: `arn:aws:iam::<account>:role/<name>`")
        .required()
        .example("\"arn:aws:iam::123456789012:role/labels\"")
        .flag_value("role-arn", "ARN"),
    Field::word("external_id", "What the trust policy of the role asks for: 2 to 1,224 characters")
        .example("\"labels-7f3a\"")
        .flag_value("external-id", "ID"),
    Field::nullable_bool("legacy_auth", "Kept and shown for clients that send it; changes nothing"),
];

/// A bucket of S3 that is reached as an IAM role, which this process's own identity assumes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3sConnection {
    /// The bucket.
    #[serde(flatten)]
    pub s3: S3Connection,
    /// The role to assume.
    #[serde(default)]
    pub role_arn: String,
    /// What the role's trust policy asks for. It is no secret, but each project has its own.
    #[serde(default)]
    pub external_id: Option<String>,
    /// Kept for the host, which has such a switch; it changes nothing here.
    #[serde(default)]
    pub legacy_auth: Option<bool>,
}

impl KindConnection for S3sConnection {
    const DATA: KindData = KindData {
        title: "AWS S3 (IAM role access)",
        about: "Amazon S3 through an IAM role",
        connection: &[BUCKET, ROLE],
        shared: &[FOLDERS, IMPORT, SIGNING, EXPORT, IDENTITY],
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

    fn take_identity(&mut self, newer: &Self) {
        self.role_arn.clone_from(&newer.role_arn);
        self.external_id.clone_from(&newer.external_id);
    }

    fn kms_key_id(&self) -> Option<&str> {
        self.s3.kms_key_id()
    }
}
