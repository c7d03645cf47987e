//! Seals and opens the secret fields of a storage.

use longshore_db::storages::{self, StorageRow, seal_name};
use longshore_db::{Client, SealedSecrets};
use longshore_model::{FailureReason, Secrets};

use super::change::Draft;
use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};

/// Seals the secrets of a storage for its row; `None` if there are none.
pub(super) fn seal(state: &ApiState, id: i64, secrets: &Secrets) -> ApiResult<Option<SealedSecrets>> {
    if *secrets == Secrets::none(secrets.kind()) {
        return Ok(None);
    }
    Ok(Some(state.sealer.seal(&seal_name(id), &secrets.write())?))
}

/// A stored storage, with its secrets opened.
///
/// If no key of this process opens the secrets and the request sends new ones (`sends_secrets`), the stored ones are
/// ignored. In this way a user can repair a storage whose key is lost.
///
/// # Errors
/// No key of this process opens the secrets.
pub(super) async fn open(state: &ApiState, client: &Client, row: StorageRow, sends_secrets: bool) -> ApiResult<Draft> {
    let none = Secrets::none(row.kind);
    let secrets = match storages::secrets(client, row.id).await? {
        None => none,
        Some(sealed) => {
            let opened = state.sealer.open(&seal_name(row.id), &sealed);
            match opened.ok().and_then(|json| Secrets::read(row.kind, &json).ok()) {
                Some(secrets) => secrets,
                None if sends_secrets => none,
                None => {
                    let reason = FailureReason::SealedSecrets;
                    return Err(ApiError::refused(reason.as_str(), reason.advice()));
                }
            }
        }
    };
    Ok(Draft { fields: row.into(), secrets })
}
