//! What the routes that start syncs have in common.

use axum::http::HeaderName;
use longshore_db::Error;

use super::error::ApiError;

/// The header that names the sync of a request.
pub(super) const SYNC_ID: HeaderName = HeaderName::from_static("x-longshore-sync");

/// The answer to a request whose sync could not be enqueued.
pub(super) fn not_started(error: Error) -> ApiError {
    match error {
        Error::SyncLive => live_in_label_studio(),
        error => error.into(),
    }
}

/// The answer while a sync of Label Studio itself has the storage.
pub(super) fn live_in_label_studio() -> ApiError {
    ApiError::refused("sync_live", "Label Studio itself is syncing this storage. Try again when that sync has ended.")
}
