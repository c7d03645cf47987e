//! Whether the objects of earlier exports are still there.
//!
//! An export writes only what changed since the last one, so it would never write again what someone deleted: a bucket
//! that was deleted and created again would stay almost empty, and each sync would complete.

use futures::stream::{self, StreamExt};
use longshore_db::exports;
use longshore_model::ExportMode;
use longshore_storage::ErrorKind;

use super::Export;
use crate::job_error::JobError;

/// Objects to look for. If a tenth of all objects is missing, one of these is with a probability of 97 percent; the
/// requests cost less than a second before each export.
const SAMPLE: i64 = 32;

impl Export<'_> {
    /// Looks for random objects of earlier exports. Returns whether one is missing.
    ///
    /// An object that cannot be looked for is not missing: the credentials of an export need no right to read.
    pub(super) async fn is_target_changed(&self) -> Result<bool, JobError> {
        // This export writes all objects again, so none of them is missing at its end.
        if self.source.mode() == ExportMode::All && self.source.is_of_all_tasks() {
            return Ok(false);
        }
        let (db, storage, unit) = (&self.context.db, self.source.storage.id, self.source.unit());
        let sample = async { exports::sample(&db.client().await?, storage, unit, SAMPLE).await };
        let recorded = db.in_time(sample).await?;
        let missing: Vec<i64> = stream::iter(recorded)
            .map(|(id, key)| async move { (id, self.writer.store.head(&key).await) })
            .buffer_unordered(self.context.config.transfers)
            .filter_map(|(id, found)| async move {
                found.is_err_and(|error| error.kind == ErrorKind::NotFound).then_some(id)
            })
            .collect()
            .await;
        if missing.is_empty() {
            return Ok(false);
        }
        // The delete job of the same sync may have deleted the object of a deleted annotation meanwhile.
        let annotations = self.context.host.annotations_table();
        let due = async { exports::any_is_due(&db.client().await?, annotations, storage, unit, &missing).await };
        Ok(db.in_time(due).await?)
    }
}

/// What happened and what to do, for the user.
pub(super) fn advice(storage_id: i64) -> String {
    format!(
        "Objects that were exported earlier are missing in the storage: someone deleted them, or the bucket was created \
         again. This sync wrote only new and changed annotations. Export all of them again: `longshore sync start \
         {storage_id} --all`."
    )
}
