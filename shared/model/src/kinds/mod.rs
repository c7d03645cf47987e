//! The storage kinds, as data: each kind has a file that declares its fields once.
//!
//! [`KindData`] lists the fields of a kind as [`Field`]s. From this list, the scheduler reads requests, writes
//! responses, finds the secrets and describes its API; the command line makes its flags; the user page gets its table
//! ([`markdown`]); and `resolve` finds the URIs that name objects of the kind. Each file also has the same settings as
//! typed structs, which storage adapters read. A test checks that the list and the structs agree.
//!
//! This file lists the kinds and has the enums over them. To add a kind, add its file and a line in `kinds!`.

mod azure;
mod field;
mod gcs;
mod kind;
mod localfiles;
mod no_secrets;
mod redis;
mod s3;
mod s3s;
mod shared_fields;
mod table;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::word::words;
use crate::{Direction, Secret};

pub use azure::{AzureConnection, AzureSecrets};
pub use field::{Field, Flag, MAX_TEXT_BYTES, Scope, Secrecy, Value};
pub use gcs::{GcsConnection, GcsSecrets};
pub use kind::{KindConnection, KindData, KindSecrets, UriForm};
pub use localfiles::{LocalfilesConnection, plain_path};
pub use no_secrets::NoSecrets;
pub use redis::{RedisConnection, RedisSecrets};
pub use s3::{S3Connection, S3Secrets};
pub use s3s::S3sConnection;
pub use table::markdown;

/// Declares the enums over all kinds, and the functions that dispatch to the kind's file.
macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident = $text:tt: $connection:ident, $secrets:ident;)+) => {
        words! {
            /// The kind of a storage. The spellings are Label Studio's.
            StorageKind { $($(#[$meta])* $kind = $text,)+ }
        }

        /// The part of the settings that differs by kind, tagged by `kind` in JSON.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum Connection { $($(#[$meta])* #[serde(rename = $text)] $kind($connection),)+ }

        /// The secret fields of a storage, by kind. Sealed in column `secrets`, never serialized elsewhere.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Secrets { $($(#[$meta])* $kind($secrets),)+ }

        /// The forms of URIs, by kind.
        pub const URI_FORMS: &[UriForm] = &[$($connection::DATA.uri),+];

        impl StorageKind {
            /// The declaration of the kind.
            pub const fn data(self) -> &'static KindData {
                match self { $(Self::$kind => &$connection::DATA),+ }
            }
        }

        impl Connection {
            /// The connection of a new storage, without any input yet.
            pub fn blank(kind: StorageKind, direction: Direction) -> Self {
                match kind { $(StorageKind::$kind => Self::$kind($connection::blank(direction))),+ }
            }

            /// The kind of the storage.
            pub fn kind(&self) -> StorageKind {
                match self { $(Self::$kind(_) => StorageKind::$kind),+ }
            }

            /// The exact prefix of all keys of the storage: listings use it, and the names of exported objects directly
            /// follow it.
            ///
            /// If keys have folders, it is the typed text with exactly one slash at its end, as in Label Studio; an
            /// empty text stays empty. For Redis, it is the typed text.
            pub fn prefix(&self) -> String {
                match self { $(Self::$kind(own) => own.prefix()),+ }
            }

            /// The bucket part of the storage's URIs. `longshore-uri` reads it from a URI.
            pub fn bucket(&self) -> Cow<'_, str> {
                match self { $(Self::$kind(own) => own.bucket()),+ }
            }

            /// The server that the user configured, to which bound secrets belong; empty if all storages of the kind
            /// have the same server.
            pub fn address(&self) -> String {
                match self { $(Self::$kind(own) => own.address()),+ }
            }

            /// The server and account that the secrets belong to. Another server cannot use the secrets and must not
            /// receive them.
            pub fn server(&self, secrets: &Secrets) -> String {
                match (self, secrets) {
                    $((Self::$kind(own), Secrets::$kind(secrets)) => own.server(secrets),)+
                    _ => self.address(),
                }
            }

            /// Copies the identity fields (who sends requests) from a newer version of the same connection.
            pub fn take_identity(&mut self, newer: &Self) {
                match (self, newer) {
                    $((Self::$kind(own), Self::$kind(newer)) => own.take_identity(newer),)+
                    // The kind of a storage never changes.
                    _ => {}
                }
            }

            /// Whether requests are signed by the processes' own cloud identity, because the storage names no
            /// credentials.
            pub fn uses_own_identity(&self, secrets: &Secrets) -> bool {
                match (self, secrets) {
                    $((Self::$kind(own), Secrets::$kind(secrets)) => own.uses_own_identity(secrets),)+
                    // Such a storage cannot be opened.
                    _ => true,
                }
            }

            /// The KMS key for the encryption of written objects; `None` if it is not set or the kind has no such
            /// setting.
            pub fn kms_key_id(&self) -> Option<&str> {
                match self { $(Self::$kind(own) => own.kms_key_id()),+ }
            }
        }

        impl Secrets {
            /// No secrets: credentials come from the environment or the default chain.
            pub fn none(kind: StorageKind) -> Self {
                match kind { $(StorageKind::$kind => Self::$kind($secrets::default())),+ }
            }

            /// The kind of the storage.
            pub fn kind(&self) -> StorageKind {
                match self { $(Self::$kind(_) => StorageKind::$kind),+ }
            }

            /// Each secret field with its value.
            pub fn texts(&self) -> Vec<(&'static str, Option<&Secret>)> {
                match self { $(Self::$kind(own) => own.texts()),+ }
            }

            /// Reads the unsealed JSON that [`Secrets::write`] made.
            ///
            /// # Errors
            /// The JSON is not that of this kind. The error never contains it.
            pub fn read(kind: StorageKind, json: &Secret) -> Result<Self, UnreadableSecrets> {
                match kind { $(StorageKind::$kind => fields(kind, json).map(Self::$kind)),+ }
            }
        }
    };
}

kinds! {
    /// Amazon S3 or a compatible store.
    S3 = "s3": S3Connection, S3Secrets;
    /// S3 through an assumed IAM role.
    S3s = "s3s": S3sConnection, NoSecrets;
    /// Google Cloud Storage.
    Gcs = "gcs": GcsConnection, GcsSecrets;
    /// Azure Blob Storage.
    Azure = "azure": AzureConnection, AzureSecrets;
    /// A database of a Redis server.
    Redis = "redis": RedisConnection, RedisSecrets;
    /// A folder of the machines that Longshore runs on.
    Localfiles = "localfiles": LocalfilesConnection, NoSecrets;
}

impl Secrets {
    /// The JSON to seal.
    pub fn write(&self) -> Secret {
        let texts = self.texts().into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.expose().into())));
        Secret::new(Json::Object(texts.collect::<Map<String, Json>>()).to_string())
    }

    /// The same secrets with some replaced; `None` removes one.
    ///
    /// # Errors
    /// Never for names of the kind's secret fields.
    pub fn with(&self, changes: &BTreeMap<&'static str, Option<Secret>>) -> Result<Self, UnreadableSecrets> {
        let text = |name, stored| changes.get(name).map_or(stored, Option::as_ref);
        let texts = self.texts().into_iter().map(|(name, stored)| (name.to_owned(), text(name, stored)));
        let texts = texts.filter_map(|(name, text)| Some((name, text?.expose().into())));
        Self::read(self.kind(), &Secret::new(Json::Object(texts.collect()).to_string()))
    }
}

fn fields<T: DeserializeOwned>(kind: StorageKind, json: &Secret) -> Result<T, UnreadableSecrets> {
    serde_json::from_str(json.expose()).map_err(|_| UnreadableSecrets { kind })
}

/// The unsealed secrets do not have the fields of their storage kind.
#[derive(Debug, thiserror::Error)]
#[error("the secrets are not those of a {kind} storage")]
pub struct UnreadableSecrets {
    kind: StorageKind,
}

#[cfg(test)]
mod tests;
