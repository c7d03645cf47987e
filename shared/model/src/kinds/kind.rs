//! What a kind declares of itself.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::field::Field;
use super::shared_fields::{PRESIGN, RECURSIVE_SCAN};
use crate::{Direction, FailureReason, Secret};

/// A kind as data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KindData {
    /// The name people know it by; Label Studio's.
    pub title: &'static str,
    /// One sentence about it, for the help of the command line.
    pub about: &'static str,
    /// The fields that say how the storage is reached, in groups. A request that brings one is probed.
    pub connection: &'static [&'static [Field]],
    /// The fields that it shares with other kinds, in groups.
    pub shared: &'static [&'static [Field]],
    /// The setting that says best where the objects are.
    pub place: &'static str,
    /// How task data names an object.
    pub uri: UriForm,
    /// Whether the file filter is matched against names of files instead of whole keys: keys of local files begin with
    /// the path of the folder, which users do not write into an expression.
    pub filters_names: bool,
}

/// How task data names an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UriForm {
    /// `scheme`, a bucket, `/` and the key. The bucket is the value of a setting.
    Bucket { scheme: &'static str, setting: &'static str },
    /// `scheme`, a server, `/`, the number of a database, `/` and the key.
    Database { scheme: &'static str },
    /// The host's link to a local file.
    LocalFile,
}

/// How links to local files begin, as the host spells them and without its slash.
pub(crate) const LOCAL_FILES: &[&str] = &["/data/local-files/?", "/data/local-files?"];

impl UriForm {
    /// How URIs of this form begin.
    pub const fn starts(&self) -> &[&'static str] {
        match self {
            Self::Bucket { scheme, .. } | Self::Database { scheme } => std::slice::from_ref(scheme),
            Self::LocalFile => LOCAL_FILES,
        }
    }

    /// The setting that holds the bucket of a URI. `None` if no single one does.
    pub const fn bucket_setting(self) -> Option<&'static str> {
        match self {
            Self::Bucket { setting, .. } => Some(setting),
            Self::Database { .. } | Self::LocalFile => None,
        }
    }
}

impl KindData {
    /// All fields, in the order of the user page.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.connection.iter().chain(self.shared).copied().flatten()
    }

    /// The fields that say how the storage is reached, secrets included.
    pub fn connection_fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.connection.iter().copied().flatten()
    }

    /// The fields that are accepted and never shown.
    pub fn secret_fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.connection_fields().filter(|field| field.secrecy().is_some())
    }

    /// The field to blame for a connection that fails so. `None` if it is no single one.
    pub fn blamed_field(&self, reason: FailureReason) -> Option<&'static str> {
        self.connection_fields().find(|field| field.blamed_for.contains(&reason)).map(|field| field.name)
    }

    /// Whether `/` in a key makes a folder, which a scan may stay out of.
    pub fn has_folders(&self) -> bool {
        self.has(RECURSIVE_SCAN)
    }

    /// Whether a URL can be signed that reads an object without further credentials.
    pub fn signs_urls(&self) -> bool {
        self.has(PRESIGN)
    }

    fn has(&self, name: &str) -> bool {
        self.fields().any(|field| field.name == name)
    }
}

/// The settings of a kind that say how a storage is reached. Nothing here is secret.
pub trait KindConnection: Serialize + DeserializeOwned + Default {
    /// What the kind declares of itself.
    const DATA: KindData;

    /// Its secret fields.
    type Secrets: KindSecrets;

    /// The connection of a storage of which nothing is known yet.
    fn blank(_: Direction) -> Self {
        Self::default()
    }

    /// What every key starts with. See [`super::Connection::prefix`].
    fn prefix(&self) -> String;

    /// What stands for the bucket in URIs. See [`crate::uri::ObjectUri::bucket`].
    fn bucket(&self) -> Cow<'_, str>;

    /// The server that the user names; empty if there is one for all.
    fn address(&self) -> String {
        String::new()
    }

    /// The server and account that the secrets belong to.
    fn server(&self, _: &Self::Secrets) -> String {
        self.address()
    }

    /// Takes the fields that say who asks, and not for what, from a newer version of the same connection. By default
    /// there are none: the identity is all in the secrets.
    fn take_identity(&mut self, _: &Self) {}

    /// The key that written objects are encrypted with.
    fn kms_key_id(&self) -> Option<&str> {
        None
    }
}

/// The secret fields of a kind.
pub trait KindSecrets: DeserializeOwned + Default {
    /// Each secret field with its value.
    fn texts(&self) -> Vec<(&'static str, Option<&Secret>)>;
}

/// A prefix as keys have it where `/` makes folders: without the slashes that the user typed at its end, and with one.
/// Empty stays empty.
pub(super) fn folder(typed: Option<&str>) -> String {
    let trimmed = typed.unwrap_or_default().trim_end_matches('/');
    if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") }
}
