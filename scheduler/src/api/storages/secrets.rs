//! The secret fields of a storage, between the draft and its sealed column.

use longshore_db::Sealed;
use longshore_db::storages::seal_name;
use longshore_model::{FailureReason, Secrets};
use serde_json::{Map, Value};

use super::kind::Kind;
use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};

/// Seals the secrets of a storage for its row; `None` if there are none.
pub(super) fn seal(state: &ApiState, id: i64, secrets: &Secrets, none: &Secrets) -> ApiResult<Option<Sealed>> {
    if secrets == none {
        return Ok(None);
    }
    Ok(Some(state.sealer.seal(&seal_name(id), &secrets.write())?))
}

/// Opens what was sealed.
///
/// Where the keys at hand do not open it, a request that brings secrets of its own starts from none:
/// this is how a storage is mended after its key was lost.
pub(super) fn open(
    state: &ApiState,
    kind: &dyn Kind,
    id: i64,
    sealed: Option<Sealed>,
    sent: &Map<String, Value>,
) -> ApiResult<Secrets> {
    let none = Secrets::none(kind.kind());
    let Some(sealed) = sealed else { return Ok(none) };
    let opened = state.sealer.open(&seal_name(id), &sealed);
    match opened.ok().and_then(|json| Secrets::read(kind.kind(), &json).ok()) {
        Some(secrets) => Ok(secrets),
        None if kind.secret_fields().iter().any(|field| sent.contains_key(*field)) => Ok(none),
        None => {
            let reason = FailureReason::SealedSecrets;
            Err(ApiError::refused(reason.as_str(), reason.advice()))
        }
    }
}
