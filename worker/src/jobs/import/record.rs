//! Writes a part of a page (tasks, ledger, quarantine) by binary `COPY`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use longshore_db::host::{JobStorage, NewTask, SummaryDelta};
use longshore_db::job_warnings::{self, WarnedItems};
use longshore_db::jobs;
use longshore_db::lifecycle::ClaimedJob;
use longshore_db::objects::{self, NewObject};
use longshore_db::quarantine::{self, QuarantinedObject};
use longshore_db::{Client, Counts, Error as DbError, Transaction, scanned_keys};
use longshore_model::{ItemWarning, QuarantineReason};
use longshore_storage::ObjectMeta;
use uuid::Uuid;

use super::{count, references, summary};
use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::Writes;
use crate::quarantine::object;
use longshore_items::{Item, Warnings, new_task};

/// Rows per `COPY`: the keys of a page, so that a page of objects with one item each needs one `COPY`.
const CHUNK_ROWS: usize = 1_000;

/// The rows that the commit of one part of a page writes.
pub(super) struct ImportWrites {
    pub(super) storage: Arc<JobStorage>,
    pub(super) imported: Vec<ImportedObject>,
    /// JSON text of what the tasks add to the summary of their project, if the host has one.
    pub(super) summary: Option<String>,
    pub(super) quarantined: Vec<QuarantinedObject>,
    /// Keys that leave quarantine.
    pub(super) released: Vec<String>,
    /// IDs of quarantine rows whose objects left the bucket.
    pub(super) unlisted: Vec<i64>,
    /// Digests of the keys of a page without order. The pruner deletes them after the end of the job.
    pub(super) scanned: Vec<Uuid>,
}

/// An imported object and its items.
pub(super) struct ImportedObject {
    pub(super) object: ObjectMeta,
    pub(super) items: Vec<Item>,
    /// What the items add to the summary of their project, if the host has one.
    pub(super) summary: Option<Arc<SummaryDelta>>,
    pub(super) warnings: Warnings,
}

#[async_trait]
impl Writes for ImportWrites {
    fn is_empty(&self) -> bool {
        self.imported.is_empty()
            && self.quarantined.is_empty()
            && self.released.is_empty()
            && self.unlisted.is_empty()
            && self.scanned.is_empty()
    }

    async fn record(&self, context: &Context, job: &ClaimedJob, tx: &Transaction<'_>) -> Result<Counts, JobError> {
        context.host.hold(tx, &self.storage).await?;
        let all: Vec<&ImportedObject> = self.imported.iter().collect();
        self.insert(context, job, tx, &all, self.summary.as_deref()).await?;
        job_warnings::add(tx, job.lease.job, &self.warned()).await?;
        quarantine::insert(tx, self.storage.id, job.sync_id, &self.quarantined).await?;
        let released: Vec<&str> = self.released.iter().map(String::as_str).collect();
        quarantine::remove(tx, self.storage.id, &released).await?;
        quarantine::close(tx, &self.unlisted).await?;
        scanned_keys::insert(tx, job.lease.job, &self.scanned).await?;
        Ok(Counts::default())
    }

    /// Finds the objects with values that the database refuses: inserts each alone, in a transaction that is never
    /// committed. Moves them to quarantine and corrects the counts.
    ///
    /// # Errors
    /// The lease is lost or the database is unavailable.
    async fn isolate(
        &mut self,
        context: &Context,
        job: &ClaimedJob,
        client: &mut Client,
        counts: &mut Counts,
    ) -> Result<(), JobError> {
        // Again, because what they refer to may have changed since then.
        let mut imported = std::mem::take(&mut self.imported);
        references::correct(&*context.host, client, self.storage.project_id, &mut imported).await?;
        let mut accepted = Vec::with_capacity(imported.len());
        for imported in imported {
            let summary = match &imported.summary {
                Some(summary) => Some(summary.to_json()?),
                None => None,
            };
            let tx = client.transaction().await.map_err(DbError::from)?;
            jobs::hold(&tx, job.lease).await?;
            let tried = self.insert(context, job, &tx, &[&imported], summary.as_deref()).await;
            tx.rollback().await.map_err(DbError::from)?;
            match tried {
                Ok(()) => accepted.push(imported),
                Err(JobError::Db(error)) if error.is_data_exception() => {
                    self.quarantine(&imported, unsupported_value(&imported, &error), counts);
                }
                Err(error) => return Err(error),
            }
        }
        self.summary = summary::sum(&accepted).await?;
        self.imported = accepted;
        Ok(())
    }

    fn quarantined(&self) -> &[QuarantinedObject] {
        &self.quarantined
    }
}

impl ImportWrites {
    /// What is left out of the tasks of the part, with an example for each warning.
    fn warned(&self) -> Vec<WarnedItems> {
        let mut all: BTreeMap<ItemWarning, WarnedItems> = BTreeMap::new();
        for imported in &self.imported {
            for (warning, rows) in imported.warnings.rows() {
                let example =
                    || WarnedItems { warning, items: 0, key: imported.object.key.clone(), row_index: rows.first };
                all.entry(warning).or_insert_with(example).items += rows.items;
            }
        }
        all.into_values().collect()
    }

    /// Moves an object from the imported ones to quarantine.
    fn quarantine(&mut self, imported: &ImportedObject, row: QuarantinedObject, counts: &mut Counts) {
        counts.imported -= 1;
        counts.created -= count(imported.items.len());
        counts.quarantined += 1;
        self.released.retain(|key| *key != imported.object.key);
        self.quarantined.push(row);
    }

    /// Inserts the tasks of objects, then their ledger rows with the task IDs, and what they add to a summary.
    ///
    /// Writes in chunks, because an object may have 100,000 items: the row of a small item takes more memory than the
    /// item, and the memory budget does not count rows.
    async fn insert(
        &self,
        context: &Context,
        job: &ClaimedJob,
        tx: &Transaction<'_>,
        imported: &[&ImportedObject],
        summary: Option<&str>,
    ) -> Result<(), JobError> {
        let mut all: Vec<(&ObjectMeta, Option<&Item>)> = Vec::new();
        for imported in imported {
            if imported.items.is_empty() {
                // An object without items gets a ledger row too; otherwise every sync would read it again.
                all.push((&imported.object, None));
            }
            all.extend(imported.items.iter().map(|item| (&imported.object, Some(item))));
        }
        for chunk in all.chunks(CHUNK_ROWS) {
            let tasks: Vec<NewTask<'_>> =
                chunk.iter().filter_map(|(object, item)| item.map(|item| new_task(&object.key, item))).collect();
            let mut ids = context.host.insert_tasks(tx, &self.storage, &tasks).await?.into_iter();
            let rows: Vec<NewObject<'_>> = chunk
                .iter()
                .map(|&(object, item)| NewObject {
                    key: &object.key,
                    row_index: item.map_or(0, |item| item.row_index),
                    task_id: item.and_then(|_| ids.next()),
                    etag: object.etag.as_deref(),
                    size: i64::try_from(object.size).unwrap_or(i64::MAX),
                    modified_at: object.modified_at,
                })
                .collect();
            objects::insert(tx, self.storage.id, job.sync_id, &rows).await?;
        }
        if let Some(summary) = summary {
            context.host.add_summary(tx, &self.storage, summary).await?;
        }
        Ok(())
    }
}

fn unsupported_value(imported: &ImportedObject, error: &DbError) -> QuarantinedObject {
    let detail = format!("The database cannot hold a value of this object. Correct it. ({error})");
    object(&imported.object, QuarantineReason::UnsupportedValue, detail)
}
