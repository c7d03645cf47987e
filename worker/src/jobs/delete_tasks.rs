//! Deletes the tasks of a storage or a project, with their annotations, predictions and ledger rows.
//!
//! The pages follow each other in three steps: tasks by ID; then ledger rows without a task, so that the next sync imports
//! their objects again; or, if the storage or the project goes too, the rest of their rows. The last page ends the deletion.
//! Makes no storage call.

use async_trait::async_trait;
use longshore_db::lifecycle::{self, ClaimedJob};
use longshore_db::objects::{self, LedgerPlace};
use longshore_db::syncs::NewDeletion;
use longshore_db::tasks::{self, TaskRange};
use longshore_db::{Counts, Transaction, storages};

use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::{Handler, Page, Writes};
use crate::slots::Quantum;

/// Rows that a page looks at. With more, a page would take long to commit; with fewer, the commits would cost more than the
/// deletions.
const PAGE_ROWS: i64 = 1_000;

/// Rows of each table that a page of the last step deletes. They are small, and nothing depends on them.
const REMAINING_ROWS: i64 = 10_000;

/// Where the next page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// After the task with this ID.
    Tasks(i64),
    /// After this row of the ledger of a storage.
    Ledger(i64, LedgerPlace),
    /// The rest of what is removed.
    Rest,
}

impl Place {
    /// The place that a cursor names.
    fn read(cursor: Option<&str>) -> Option<Self> {
        let Some(cursor) = cursor else { return Some(Self::Tasks(0)) };
        if cursor == "rest" {
            return Some(Self::Rest);
        }
        let (step, place) = cursor.split_once(':')?;
        match step {
            "tasks" => Some(Self::Tasks(place.parse().ok()?)),
            "ledger" => {
                // The key comes last, because it may contain any character.
                let mut parts = place.splitn(3, ':');
                let (storage, row) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
                Some(Self::Ledger(storage, LedgerPlace { row_index: row, key: parts.next()?.to_owned() }))
            }
            _ => None,
        }
    }

    fn cursor(&self) -> String {
        match self {
            Self::Tasks(after) => format!("tasks:{after}"),
            Self::Ledger(storage, place) => format!("ledger:{storage}:{}:{}", place.row_index, place.key),
            Self::Rest => "rest".to_owned(),
        }
    }
}

/// The rows that the commit of a page deletes.
#[derive(Debug, Clone)]
enum DeletedRows {
    Nothing,
    Tasks(TaskRange, bool),
    Ledger(i64, LedgerPlace, LedgerPlace),
    Rest(NewDeletion),
    End(NewDeletion),
}

/// A deletion of tasks.
pub(crate) struct DeleteTasks<'a> {
    context: &'a Context,
    deletion: NewDeletion,
    /// The last task to delete.
    until: i64,
    place: Place,
    /// Rows that a page looks at; fewer once the job has ended its worker several times.
    page_rows: i64,
}

impl<'a> DeleteTasks<'a> {
    /// Prepares a claimed job.
    ///
    /// # Errors
    /// [`JobError::Settings`] if its range or cursor cannot be read.
    pub(crate) fn new(context: &'a Context, job: &ClaimedJob, deletion: NewDeletion) -> Result<Self, JobError> {
        let unreadable = || JobError::Settings("the range of the deletion cannot be read".to_owned());
        let until = match &job.range_until {
            Some(until) => until.parse().map_err(|_| unreadable())?,
            None => i64::MAX,
        };
        let place = Place::read(job.cursor.as_deref()).ok_or_else(unreadable)?;
        let page_rows = job.page_limit().map_or(PAGE_ROWS, |limit| PAGE_ROWS.min(limit.into()));
        Ok(Self { context, deletion, until, place, page_rows })
    }

    /// What the next page deletes, where it ends, and whether it is the last.
    async fn next(&self) -> longshore_db::Result<(DeletedRows, Place, bool)> {
        let (db, new) = (&self.context.db, &self.deletion);
        let keeps_ledger = new.deletion.keep || new.deletion.removes.is_some();
        let end = || (DeletedRows::End(*new), self.place.clone(), true);
        match &self.place {
            Place::Tasks(after) => {
                let range = TaskRange {
                    project_id: new.project_id,
                    storage_id: new.storage_id,
                    after: *after,
                    until: self.until,
                };
                match tasks::next_of_range(&db.client().await?, &range, self.page_rows).await? {
                    Some(next) => {
                        let range = TaskRange { until: next.until, ..range };
                        let is_empty = next.count == 0;
                        let rows = DeletedRows::Tasks(range, new.deletion.keep);
                        let rows = if is_empty { DeletedRows::Nothing } else { rows };
                        Ok((rows, Place::Tasks(next.until), false))
                    }
                    None if new.deletion.removes.is_some() => Ok((DeletedRows::Nothing, Place::Rest, false)),
                    None if keeps_ledger => Ok(end()),
                    None => Ok((DeletedRows::Nothing, Place::Ledger(0, LedgerPlace::START), false)),
                }
            }
            Place::Ledger(storage, after) => {
                let client = db.client().await?;
                if let Some(until) = objects::next_of_ledger(&client, *storage, after, self.page_rows).await? {
                    let place = Place::Ledger(*storage, until.clone());
                    return Ok((DeletedRows::Ledger(*storage, after.clone(), until), place, false));
                }
                let storages = storages::imports_of(&client, new.project_id, new.storage_id).await?;
                match storages.into_iter().find(|id| id > storage) {
                    Some(next) => Ok((DeletedRows::Nothing, Place::Ledger(next, LedgerPlace::START), false)),
                    None => Ok(end()),
                }
            }
            Place::Rest => {
                let has_more = lifecycle::has_rows_left(&db.client().await?, new).await?;
                if has_more { Ok((DeletedRows::Rest(*new), Place::Rest, false)) } else { Ok(end()) }
            }
        }
    }
}

#[async_trait]
impl Handler for DeleteTasks<'_> {
    async fn perform(&mut self, _: &Quantum) -> Result<Page, JobError> {
        let (rows, place, last) = self.context.db.in_time(self.next()).await?;
        self.place = place;
        Ok(Page {
            counts: Counts { pages: 1, ..Counts::default() },
            passed: i32::try_from(self.page_rows).unwrap_or(i32::MAX),
            cursor: Some(self.place.cursor()),
            last,
            holds: false,
            failure: None,
            writes: Box::new(rows),
            split: Vec::new(),
            reserved: None,
        })
    }
}

#[async_trait]
impl Writes for DeletedRows {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    async fn record(&self, _: &Context, _: &ClaimedJob, tx: &Transaction<'_>) -> Result<Counts, JobError> {
        Ok(match self {
            Self::Nothing => Counts::default(),
            Self::Tasks(range, keep) => lifecycle::delete_range(tx, range, *keep).await?,
            Self::Ledger(storage, after, until) => lifecycle::forget_range(tx, *storage, after, until).await?,
            Self::Rest(deletion) => lifecycle::delete_rows_left(tx, deletion, REMAINING_ROWS).await?,
            Self::End(deletion) => {
                lifecycle::end_deletion(tx, deletion).await?;
                Counts::default()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_its_cursor_whatever_the_key() {
        let ledger = |key: &str| Place::Ledger(7, LedgerPlace { key: key.to_owned(), row_index: 3 });
        for place in [Place::Tasks(12), Place::Rest, ledger(""), ledger("a:b/::"), ledger("rest")] {
            assert_eq!(Place::read(Some(&place.cursor())), Some(place));
        }
        assert_eq!(Place::read(None), Some(Place::Tasks(0)));
        for damaged in ["", "tasks", "tasks:x", "ledger:1:2", "other:1"] {
            assert_eq!(Place::read(Some(damaged)), None, "{damaged}");
        }
    }
}
