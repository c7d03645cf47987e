//! What the API must know of a kind of storage: its own fields, in and out. A kind is a file.

use longshore_db::storages::StorageRow;
use longshore_model::{Connection, Direction, FailureReason, StorageKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::draft::Draft;
use super::fields::Fields;
use super::s3::{S3, S3Body, S3Fields};
use super::s3s::{S3s, S3sBody, S3sFields};
use crate::api::error::{ApiError, ApiResult};

/// The kinds that this build can reach, in the order of Label Studio's list.
pub(crate) const KINDS: &[&dyn Kind] = &[&S3, &S3s];

/// A kind of storage, as the API sees it.
pub(crate) trait Kind: Sync {
    fn kind(&self) -> StorageKind;

    /// The name people know it by.
    fn title(&self) -> &'static str;

    /// The connection of a storage of which nothing is known yet.
    fn blank(&self, direction: Direction) -> Connection;

    /// Reads the kind's own fields over a draft. `whole` requests must bring all that is required.
    fn read(&self, fields: &mut Fields, draft: &mut Draft, whole: bool);

    /// Whether a request brings a field that says how the storage is reached.
    fn is_connection_field(&self, field: &str) -> bool;

    /// Whether a field is one of the kind's secrets.
    fn is_secret_field(&self, field: &str) -> bool;

    /// The field to blame for a connection that fails so.
    fn field(&self, reason: FailureReason) -> &'static str;

    /// A storage as an answer.
    ///
    /// # Errors
    /// Its settings are those of another kind.
    fn show(&self, row: StorageRow) -> ApiResult<StorageBody>;
}

/// The kind of a path, or 404.
pub(crate) fn find(word: &str) -> ApiResult<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.kind().as_str() == word).ok_or_else(ApiError::no_route)
}

/// Shows a stored storage by its kind.
pub(crate) fn show(row: StorageRow) -> ApiResult<StorageBody> {
    match KINDS.iter().find(|kind| kind.kind() == row.kind) {
        Some(kind) => kind.show(row),
        None => Err(ApiError::internal(format!("storage {} is of a kind that this build cannot reach", row.id))),
    }
}

/// A stored storage whose settings are not those of its kind.
pub(crate) fn mixed_up(id: i64) -> ApiError {
    ApiError::internal(format!("the settings of storage {id} are those of another kind"))
}

/// A storage as an answer. Fields come in Label Studio's order; secrets never come.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum StorageBody {
    S3(S3Body),
    S3s(S3sBody),
}

/// The fields of a storage in a request, by kind.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the fields are read one by one; this documents them")]
pub(crate) enum StorageFields {
    S3(S3Fields),
    S3s(S3sFields),
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
