//! Caches open storages for some seconds: one that signs with a private key takes longer to open than to use.

use std::sync::Arc;
use std::time::Duration;

use longshore_db::resolve::{Candidate, CandidateSecrets};
use longshore_db::storages::seal_name;
use longshore_model::{FailureReason, Secrets, StorageKind};
use longshore_storage::{ErrorKind, Op, Storage, StorageError};
use moka::sync::Cache;

use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};

/// How long a storage stays open. With a longer time, unused secrets would stay in memory; with a much shorter one,
/// pages of images would load more slowly.
const LIFETIME: Duration = Duration::from_secs(30);

/// Open storages, a few kilobytes each. If more than this many storages are in use, they are opened again for many of
/// their images.
const CAPACITY: u64 = 1_000;

/// Open storages by kind and ID: Label Studio counts the storages of each kind for itself.
pub(in crate::api) struct StorageCache(Cache<(StorageKind, i64), OpenStorage>);

#[derive(Clone)]
struct OpenStorage {
    /// The project and settings that it was opened with. If the row has others, the storage is opened again.
    project: i64,
    settings: String,
    secrets: CandidateSecrets,
    storage: Arc<dyn Storage>,
}

impl Default for StorageCache {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(LIFETIME).build())
    }
}

impl StorageCache {
    /// The open storage of a row. The row must be current.
    pub(super) fn get(&self, state: &ApiState, row: &Candidate) -> ApiResult<Arc<dyn Storage>> {
        let key = (row.settings.kind(), row.id);
        if let Some(open) = self.0.get(&key)
            && open.project == row.project_id
            && open.settings == row.settings_text
            && open.secrets == row.secrets
        {
            return Ok(open.storage);
        }
        let storage = open(state, row)?;
        let (settings, secrets) = (row.settings_text.clone(), row.secrets.clone());
        self.0.insert(key, OpenStorage { project: row.project_id, settings, secrets, storage: Arc::clone(&storage) });
        Ok(storage)
    }
}

fn open(state: &ApiState, row: &Candidate) -> ApiResult<Arc<dyn Storage>> {
    let kind = row.settings.kind();
    let secrets = match &row.secrets {
        CandidateSecrets::None => Secrets::none(kind),
        CandidateSecrets::Open(secrets) => secrets.clone(),
        CandidateSecrets::Sealed(sealed) => {
            let json = state.sealer.open(&seal_name(row.id), sealed).map_err(sealed_secrets)?;
            Secrets::read(kind, &json).map_err(sealed_secrets)?
        }
    };
    (state.open)(row.project_id, &row.settings, &secrets).map_err(ApiError::Storage)
}

fn sealed_secrets(error: impl std::error::Error + Send + Sync + 'static) -> ApiError {
    ApiError::Storage(StorageError::with_source(Op::Connect, ErrorKind::Invalid, FailureReason::SealedSecrets, error))
}
