//! The declaration of a storage kind.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::field::Field;
use super::shared_fields::{PRESIGN, RECURSIVE_SCAN};
use crate::{Direction, FailureReason, Secret};

/// The declaration of a storage kind, as data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KindData {
    /// The display name, as in Label Studio.
    pub title: &'static str,
    /// One sentence about the kind, for the command line's help.
    pub about: &'static str,
    /// The fields of the connection, in groups. A request with one of them causes a probe.
    pub connection: &'static [&'static [Field]],
    /// The fields that other kinds have too, in groups.
    pub shared: &'static [&'static [Field]],
    /// The name of the setting that best describes where the objects are.
    pub place: &'static str,
    /// How task data names an object.
    pub uri: UriForm,
    /// Whether the file filter is matched against file names instead of whole keys: keys of local files begin with the
    /// path of the folder, which users do not want to repeat in an expression.
    pub filters_names: bool,
}

/// How task data names an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UriForm {
    /// `scheme`, a bucket, `/` and the key. The bucket is the value of a setting.
    Bucket { scheme: &'static str, setting: &'static str },
    /// `scheme`, a server, `/`, the number of a database, `/` and the key.
    Database { scheme: &'static str },
    /// A link of the host to a local file.
    LocalFile,
}

/// The starts of links to local files: as the host writes them, and without the slash before `?`.
pub(crate) const LOCAL_FILES: &[&str] = &["/data/local-files/?", "/data/local-files?"];

impl UriForm {
    /// The starts of URIs of this form.
    pub const fn starts(&self) -> &[&'static str] {
        match self {
            Self::Bucket { scheme, .. } | Self::Database { scheme } => std::slice::from_ref(scheme),
            Self::LocalFile => LOCAL_FILES,
        }
    }

    /// The name of the setting with the bucket of a URI; `None` if there is no single one.
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

    /// The fields of the connection, including secrets.
    pub fn connection_fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.connection.iter().copied().flatten()
    }

    /// The fields that are accepted and never shown.
    pub fn secret_fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.connection_fields().filter(|field| field.secrecy().is_some())
    }

    /// The field to blame for a connection failure with this reason; `None` if there is no single one.
    pub fn blamed_field(&self, reason: FailureReason) -> Option<&'static str> {
        self.connection_fields().find(|field| field.blamed_for.contains(&reason)).map(|field| field.name)
    }

    /// Whether `/` in a key makes a folder, which a scan may skip.
    pub fn has_folders(&self) -> bool {
        self.has(RECURSIVE_SCAN)
    }

    /// Whether the kind has presigned URLs.
    pub fn signs_urls(&self) -> bool {
        self.has(PRESIGN)
    }

    fn has(&self, name: &str) -> bool {
        self.fields().any(|field| field.name == name)
    }
}

/// The connection settings of a storage kind. None of them is secret.
pub trait KindConnection: Serialize + DeserializeOwned + Default {
    /// The declaration of the kind.
    const DATA: KindData;

    /// Its secret fields.
    type Secrets: KindSecrets;

    /// The connection of a new storage, without any input yet.
    fn blank(_: Direction) -> Self {
        Self::default()
    }

    /// The prefix of all keys. See [`super::Connection::prefix`].
    fn prefix(&self) -> String;

    /// The bucket part of URIs. `longshore-uri` reads it from a URI.
    fn bucket(&self) -> Cow<'_, str>;

    /// The server that the user configured; empty if all storages of the kind have the same server.
    fn address(&self) -> String {
        String::new()
    }

    /// The server and account that the secrets belong to.
    fn server(&self, _: &Self::Secrets) -> String {
        self.address()
    }

    /// Copies the identity fields (who sends requests) from a newer version of the same connection. By default there
    /// are none, because the whole identity is in the secrets.
    fn take_identity(&mut self, _: &Self) {}

    /// Whether requests are signed by the processes' own cloud identity, because the storage names no credentials.
    fn uses_own_identity(&self, _: &Self::Secrets) -> bool {
        false
    }

    /// The KMS key for the encryption of written objects.
    fn kms_key_id(&self) -> Option<&str> {
        None
    }
}

/// The secret fields of a kind.
pub trait KindSecrets: DeserializeOwned + Default {
    /// Each secret field with its value.
    fn texts(&self) -> Vec<(&'static str, Option<&Secret>)>;
}

/// Whether a storage has none of these secrets. White space counts as nothing, as adapters trim it.
pub(super) fn are_blank(secrets: &[(&'static str, Option<&Secret>)]) -> bool {
    secrets.iter().all(|(_, secret)| secret.is_none_or(|secret| secret.expose().trim().is_empty()))
}

/// The prefix of keys in which `/` makes folders: the typed text, with exactly one slash at its end. An empty text
/// stays empty.
pub(super) fn folder(typed: Option<&str>) -> String {
    let trimmed = typed.unwrap_or_default().trim_end_matches('/');
    if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") }
}
