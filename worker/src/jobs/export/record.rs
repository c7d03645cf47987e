//! Records a page of an export, and writes objects again whose units changed meanwhile.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use longshore_db::exports::{self, ExportRecord};
use longshore_db::host::{ExportedUnit, OutdatedUnit};
use longshore_db::lifecycle::ClaimedJob;
use longshore_db::quarantine::{self, QuarantinedObject};
use longshore_db::{Counts, Transaction, syncs};
use longshore_model::FailureReason;

use super::selection::{Size, Source};
use super::writer::{Writer, WrittenObject};
use super::{count, target};
use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::Writes;

/// How often the objects of a page are written again before the rest is left to the next sync, which finds it by its times:
/// more often only if users change the same annotations without a pause.
pub(super) const REWRITES: u32 = 3;

/// The rows that the commit of a page writes.
pub(super) struct ExportWrites {
    pub(super) source: Arc<Source>,
    pub(super) writer: Arc<Writer>,
    /// The memory of the page.
    pub(super) size: Size,
    pub(super) written: Vec<WrittenObject>,
    /// Objects whose units were deleted meanwhile. The delete job of the next sync decides about them.
    pub(super) orphaned: Vec<ExportRecord>,
    pub(super) quarantined: Vec<QuarantinedObject>,
    /// Whether objects that were exported earlier are missing.
    pub(super) is_target_changed: bool,
    pub(super) rewrites_left: u32,
}

#[async_trait]
impl Writes for ExportWrites {
    fn is_empty(&self) -> bool {
        self.written.is_empty() && self.quarantined.is_empty() && !self.is_target_changed
    }

    async fn record(&self, context: &Context, job: &ClaimedJob, tx: &Transaction<'_>) -> Result<Counts, JobError> {
        let (storage, unit) = (&self.source.storage, self.source.unit());
        let units: Vec<ExportedUnit<'_>> = self.written.iter().map(WrittenObject::unit).collect();
        let outdated = context.host.link_exports(tx, storage, &units).await?;
        if !outdated.is_empty() && self.rewrites_left > 0 {
            return Err(JobError::Outdated(outdated));
        }
        let records = || self.written.iter().map(|object| &object.record).chain(&self.orphaned);
        exports::record(tx, storage.id, job.sync_id, unit, records()).await?;
        quarantine::insert(tx, storage.id, job.sync_id, &self.quarantined).await?;
        // Their objects are written now.
        let released: Vec<&str> = records().map(|record| record.key.as_str()).collect();
        quarantine::remove(tx, storage.id, &released).await?;
        // Last: all jobs of the sync need this row at their ends, and a delete job locks it after its export records.
        if self.is_target_changed {
            syncs::warn(tx, job.sync_id, FailureReason::TargetChanged, &target::advice(storage.id)).await?;
        }
        Ok(Counts::default())
    }

    async fn renew(&mut self, outdated: &[OutdatedUnit], counts: &mut Counts) -> Result<(), JobError> {
        self.rewrites_left = self.rewrites_left.saturating_sub(1);
        let at = |(at, object): (usize, &WrittenObject)| (object.record.unit_id, at);
        let places: HashMap<i64, usize> = self.written.iter().enumerate().map(at).collect();
        let mut deleted = Vec::new();
        for unit in outdated {
            let Some(&at) = places.get(&unit.unit_id) else { continue };
            if unit.is_deleted {
                deleted.push(at);
                continue;
            }
            // One that is too large now is found by the next sync.
            let Some(prepared) = self.source.select_again(unit.unit_id, self.size).await? else { continue };
            let renewed = self.writer.put(prepared).await?.map_err(|(_, _, error)| error)?;
            self.add(&self.written[at], -1, counts);
            self.add(&renewed, 1, counts);
            self.written[at] = renewed;
        }
        deleted.sort_unstable();
        for at in deleted.into_iter().rev() {
            let object = self.written.swap_remove(at);
            if self.writer.delete(&object.record.key).await? {
                self.add(&object, -1, counts);
            } else {
                self.orphaned.push(object.record);
            }
        }
        Ok(())
    }

    fn quarantined(&self) -> &[QuarantinedObject] {
        &self.quarantined
    }
}

impl ExportWrites {
    /// Counts an object this many times more.
    fn add(&self, object: &WrittenObject, times: i64, counts: &mut Counts) {
        let units = times * self.source.count(&object.annotation_ids);
        match object.bytes {
            Some(bytes) => {
                counts.exported += units;
                counts.bytes += times * count(bytes);
            }
            None => counts.unchanged += units,
        }
    }
}
