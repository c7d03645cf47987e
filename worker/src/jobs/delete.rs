//! Delete: removes the objects of deleted annotations and tasks, if the storage's settings permit it.
//!
//! The tables show which annotations and tasks are missing, so it does not matter how they were deleted, and the next
//! job finds what a crash left. Without permission the object stays, and its row in `exports` records that.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use longshore_db::exports::{self, Orphan};
use longshore_db::host::JobStorage;
use longshore_db::lifecycle::ClaimedJob;
use longshore_db::{Counts, Transaction};
use longshore_storage::{ErrorKind, Storage};

use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::{Handler, Page, Writes};
use crate::slots::Quantum;

/// Objects that a page checks; few of them are removed.
const PAGE_OBJECTS: i64 = 1_000;

/// The rows that the commit of a page writes.
struct DeleteWrites {
    storage_id: i64,
    deleted: Vec<Orphan>,
    kept: Vec<Orphan>,
}

/// The removal of a storage's orphans.
pub(crate) struct Delete<'a> {
    context: &'a Context,
    storage: JobStorage,
    store: Arc<dyn Storage>,
    after: (String, i64),
    /// Objects that a page checks; fewer once the job has ended its worker several times.
    page_objects: i64,
}

impl<'a> Delete<'a> {
    /// Prepares a claimed job. Its cursor has the form `unit:id`.
    pub(crate) fn new(context: &'a Context, job: &ClaimedJob, storage: JobStorage, store: Arc<dyn Storage>) -> Self {
        let after = job.cursor.as_deref().and_then(|cursor| {
            let (unit, id) = cursor.split_once(':')?;
            Some((unit.to_owned(), id.parse().ok()?))
        });
        let page_objects = job.page_limit().map_or(PAGE_OBJECTS, |limit| PAGE_OBJECTS.min(limit.into()));
        Self { context, storage, store, after: after.unwrap_or_default(), page_objects }
    }
}

#[async_trait]
impl Handler for Delete<'_> {
    async fn perform(&mut self, _: &Quantum) -> Result<Page, JobError> {
        let may_delete = self.storage.settings.can_delete_objects.unwrap_or_default();
        let after = (self.after.0.as_str(), self.after.1);
        let db = &self.context.db;
        let (id, limit) = (self.storage.id, self.page_objects);
        let annotations = self.context.host.annotations_table();
        let read = async { exports::orphans(&db.client().await?, annotations, id, may_delete, after, limit).await };
        let (orphans, next) = db.in_time(read).await?;

        let last = next.is_none();
        if let Some(next) = next {
            self.after = next;
        }
        let (mut deleted, mut kept, mut failure) = (Vec::new(), Vec::new(), None);
        if may_delete {
            let store = &self.store;
            let mut answers = stream::iter(orphans)
                .map(|orphan| async move {
                    let answer = store.delete(&orphan.key).await;
                    (orphan, answer)
                })
                .buffer_unordered(self.context.config.transfers);
            while let Some((orphan, answer)) = answers.next().await {
                match answer {
                    Ok(()) => deleted.push(orphan),
                    Err(error) if error.kind == ErrorKind::Denied => kept.push(orphan),
                    Err(error) => failure = Some(JobError::from(error)),
                }
            }
        } else {
            kept = orphans;
        }
        let count = |rows: &Vec<Orphan>| i64::try_from(rows.len()).unwrap_or(i64::MAX);
        Ok(Page {
            passed: i32::try_from(limit).unwrap_or(i32::MAX),
            counts: Counts { pages: 1, deleted: count(&deleted), kept: count(&kept), ..Counts::default() },
            cursor: failure.is_none().then(|| format!("{}:{}", self.after.0, self.after.1)),
            last: last && failure.is_none(),
            holds: false,
            failure,
            writes: Box::new(DeleteWrites { storage_id: self.storage.id, deleted, kept }),
            split: Vec::new(),
            reserved: None,
        })
    }
}

#[async_trait]
impl Writes for DeleteWrites {
    fn is_empty(&self) -> bool {
        self.deleted.is_empty() && self.kept.is_empty()
    }

    async fn record(&self, _: &Context, _: &ClaimedJob, tx: &Transaction<'_>) -> Result<Counts, JobError> {
        exports::settle(tx, self.storage_id, &self.deleted, "deleted").await?;
        exports::settle(tx, self.storage_id, &self.kept, "kept").await?;
        Ok(Counts::default())
    }
}
