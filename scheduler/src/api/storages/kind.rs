//! What the API must know of a kind of storage: its own fields. A kind is a file.

use longshore_model::{Connection, Direction, FailureReason, StorageKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::azure::{Azure, AzureFields};
use super::draft::Draft;
use super::fields::Fields;
use super::gcs::{Gcs, GcsFields};
use super::localfiles::{Localfiles, LocalfilesFields};
use super::redis::{Redis, RedisFields};
use super::s3::{S3, S3Fields};
use super::s3s::{S3s, S3sFields};
use crate::api::error::{ApiError, ApiResult};

/// The kinds, in the order of Label Studio's list.
pub(crate) const KINDS: &[&dyn Kind] = &[&S3, &S3s, &Gcs, &Azure, &Redis, &Localfiles];

/// A kind of storage, as the API sees it.
pub(crate) trait Kind: Sync {
    fn kind(&self) -> StorageKind;

    /// The name people know it by.
    fn title(&self) -> &'static str;

    /// The connection of a storage of which nothing is known yet.
    fn blank(&self, direction: Direction) -> Connection;

    /// The fields that say how the storage is reached, without the secret ones.
    fn connection_fields(&self) -> &'static [&'static str];

    /// The fields that are accepted and never shown.
    fn secret_fields(&self) -> &'static [&'static str];

    /// The secret that whoever runs the server may use elsewhere, and the server it was entered for; `None`
    /// if servers get only signatures that are good for themselves.
    ///
    /// Whoever may change a storage does not know its secrets, and shall not have them sent to a server
    /// of their own.
    fn bound_secret(&self, _: &Connection) -> Option<(&'static str, String)> {
        None
    }

    /// Reads the kind's own fields over a draft. `whole` requests must bring all that is required.
    fn read(&self, fields: &mut Fields, draft: &mut Draft, whole: bool);

    /// The field to blame for a connection that fails so.
    fn field(&self, reason: FailureReason) -> &'static str;
}

/// The kind of a path, or 404.
pub(crate) fn find(word: &str) -> ApiResult<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.kind().as_str() == word).ok_or_else(ApiError::no_route)
}

/// The fields of a storage in a request: those of all kinds, and those of its own.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "the fields are read one by one, so that every fault is named at once; this documents them"
)]
pub(crate) struct StorageFields {
    project: i64,
    #[schema(max_length = 256)]
    title: Option<String>,
    description: Option<String>,
    synchronizable: Option<bool>,
    /// Python regular expression, matched at the start of the full key.
    regex_filter: Option<String>,
    /// Every object becomes one task that names it; otherwise objects hold tasks as JSON.
    use_blob_urls: Option<bool>,
    /// Import only; kinds with folders.
    recursive_scan: Option<bool>,
    /// Import only; kinds that sign URLs.
    presign: Option<bool>,
    /// Import only: minutes, 0 to 32767.
    #[schema(maximum = 32767)]
    presign_ttl: Option<u16>,
    /// Export only.
    can_delete_objects: Option<bool>,
    /// Export only: one object per task instead of one per annotation.
    export_tasks: Option<bool>,
    /// Export only: annotation objects are named `<id>.json` instead of `<id>`.
    json_suffix: Option<bool>,
    /// `validate` and `files` only: the storage whose stored secrets are used where none are sent.
    #[schema(minimum = 1)]
    id: Option<i64>,
    /// `files` only: how many keys to show.
    #[schema(minimum = 1, maximum = 10000)]
    limit: Option<u16>,
    #[serde(flatten)]
    own: KindFields,
}

/// The fields of one kind.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the fields are read one by one; this documents them")]
pub(crate) enum KindFields {
    S3s(S3sFields),
    S3(S3Fields),
    Gcs(GcsFields),
    Azure(AzureFields),
    Redis(RedisFields),
    Localfiles(LocalfilesFields),
}

/// A kind, by its word in paths and its name for people.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KindBody {
    name: StorageKind,
    title: &'static str,
}

/// The kinds that this build can reach.
pub(crate) fn all() -> Vec<KindBody> {
    KINDS.iter().map(|kind| KindBody { name: kind.kind(), title: kind.title() }).collect()
}
