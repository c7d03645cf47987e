//! Writes objects, as long as the host still has the sync.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longshore_db::exports::ExportRecord;
use longshore_db::host::{ExportedUnit, Host, JobStorage};
use longshore_db::{Db, Error as DbError};
use longshore_storage::{PutOptions, Storage, StorageError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::selection::PreparedObject;

/// How long an answer of the host counts. A page takes longer to write than to check, and a host starts its own sync only
/// after 25 s without a sign of ours.
const CHECK_VALID: Duration = Duration::from_secs(5);

/// A unit whose object could not be written, with its key.
pub(super) type FailedPut = (i64, String, StorageError);

/// An object that the storage has confirmed, or that did not change.
pub(super) struct WrittenObject {
    pub(super) record: ExportRecord,
    /// The annotations in the object.
    pub(super) annotation_ids: Vec<i64>,
    /// Its bytes. `None` if it is unchanged.
    pub(super) bytes: Option<usize>,
}

impl WrittenObject {
    pub(super) fn unit(&self) -> ExportedUnit<'_> {
        ExportedUnit {
            unit_id: self.record.unit_id,
            updated_at: self.record.unit_updated_at,
            annotation_ids: &self.annotation_ids,
        }
    }
}

/// What writes the objects of an attempt.
pub(super) struct Writer {
    db: Db,
    host: Arc<dyn Host>,
    storage: JobStorage,
    pub(super) store: Arc<dyn Storage>,
    options: PutOptions,
    /// When the host last said that it has this sync.
    checked_at: Mutex<Option<Instant>>,
}

impl Writer {
    pub(super) fn new(db: Db, host: Arc<dyn Host>, storage: JobStorage, store: Arc<dyn Storage>) -> Self {
        let kms_key_id = storage.settings.connection.kms_key_id().map(str::to_owned);
        let options = PutOptions { content_type: Some("application/json"), kms_key_id };
        Self { db, host, storage, store, options, checked_at: Mutex::default() }
    }

    /// Looks whether the host still has this sync, unless it was asked a moment ago. After a pause of this process, the
    /// prepared objects may be older than those that another sync wrote meanwhile.
    async fn check(&self) -> Result<(), DbError> {
        // All objects of a page wait for one answer.
        let mut checked_at = self.checked_at.lock().await;
        if checked_at.is_some_and(|at| at.elapsed() < CHECK_VALID) {
            return Ok(());
        }
        let ask = async { self.host.check_sync(&self.db.client().await?, &self.storage).await };
        self.db.in_time(ask).await?;
        *checked_at = Some(Instant::now());
        Ok(())
    }

    /// Writes an object unless it is unchanged. The inner error is that of the storage.
    ///
    /// # Errors
    /// The sync was taken over, its storage was deleted, or the database is unavailable.
    pub(super) async fn put(&self, prepared: PreparedObject) -> Result<Result<WrittenObject, FailedPut>, DbError> {
        let PreparedObject { unit_id, annotation_ids, key, updated_at, digest, body } = prepared;
        let bytes = body.as_ref().map(Bytes::len);
        let etag = match body {
            None => None,
            Some(body) => {
                self.check().await?;
                match self.store.put(&key, body, &self.options).await {
                    Ok(etag) => etag,
                    Err(error) => return Ok(Err((unit_id, key, error))),
                }
            }
        };
        let record = ExportRecord { unit_id, key, etag, digest: digest.to_vec(), unit_updated_at: updated_at };
        Ok(Ok(WrittenObject { record, annotation_ids, bytes }))
    }

    /// Deletes the object of a deleted unit, if the storage's settings permit it. Returns whether it is gone.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub(super) async fn delete(&self, key: &str) -> Result<bool, DbError> {
        if !self.storage.settings.can_delete_objects.unwrap_or_default() {
            return Ok(false);
        }
        self.check().await?;
        // What cannot be deleted now is left to the delete job of the next sync.
        Ok(self.store.delete(key).await.is_ok())
    }
}
