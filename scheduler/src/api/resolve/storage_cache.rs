//! Storages kept open for seconds: one that signs with a private key takes longer to open than to use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore_db::Sealed;
use longshore_db::resolve::Candidate;
use longshore_db::storages::seal_name;
use longshore_model::{FailureReason, Secrets};
use longshore_storage::{ErrorKind, Op, Storage, StorageError};
use tokio::time::Instant;

use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};

/// Long enough that opening does not show, short enough that secrets are not kept for nothing.
const KEPT: Duration = Duration::from_secs(30);

/// As many are kept. Each is some kilobytes.
const MOST: usize = 1_000;

/// Opened storages by id.
#[derive(Default)]
pub(crate) struct Opened {
    kept: Mutex<HashMap<i64, Kept>>,
}

struct Kept {
    /// What it was opened with: a row that says something else is opened anew.
    settings: String,
    secrets: Option<Sealed>,
    storage: Arc<dyn Storage>,
    since: Instant,
}

impl Opened {
    /// The storage of a row that was just read.
    pub(super) fn get(&self, state: &ApiState, row: &Candidate) -> ApiResult<Arc<dyn Storage>> {
        let now = Instant::now();
        let fresh = |kept: &Kept| now.duration_since(kept.since) < KEPT;
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&row.id)
            && fresh(kept)
            && kept.settings == row.settings_text
            && kept.secrets == row.secrets
        {
            return Ok(Arc::clone(&kept.storage));
        }
        let storage = open(state, row)?;
        let (settings, secrets) = (row.settings_text.clone(), row.secrets.clone());
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Not only those that are asked for again: each holds secrets.
        all.retain(|_, kept| fresh(kept));
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(row.id, Kept { settings, secrets, storage: Arc::clone(&storage), since: now });
        Ok(storage)
    }
}

fn open(state: &ApiState, row: &Candidate) -> ApiResult<Arc<dyn Storage>> {
    let kind = row.settings.kind();
    let secrets = match &row.secrets {
        None => Secrets::none(kind),
        Some(sealed) => {
            let json = state.sealer.open(&seal_name(row.id), sealed).map_err(sealed_secrets)?;
            Secrets::read(kind, &json).map_err(sealed_secrets)?
        }
    };
    (state.open)(&row.settings, &secrets).map_err(ApiError::Storage)
}

fn sealed_secrets(error: impl std::error::Error + Send + Sync + 'static) -> ApiError {
    ApiError::Storage(StorageError::caused(Op::Connect, ErrorKind::Invalid, FailureReason::SealedSecrets, error))
}
