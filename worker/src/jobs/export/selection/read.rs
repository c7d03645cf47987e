//! Reading the units of a page from the host.

use longshore_db::Client;
use longshore_db::host::{Selection, Unit};
use longshore_telemetry::error_chain;
use tracing::info;

use super::{Size, Source};
use crate::job_error::JobError;
use crate::jobs::export::size::PAGE_BYTES;

/// The largest row, in bytes, after which a database connection is used again, because a connection keeps a buffer of
/// that size. With a lower limit, each page of ordinary annotations would open a connection; with a higher one, the
/// buffers of all connections would take much memory beside the budget.
const LARGE_ROW: usize = 256 * 1024;

/// Why a unit is not part of its page.
pub(super) enum Leftover {
    /// It is larger than the memory of this page.
    TooLarge { unit_id: i64, bytes: Option<usize> },
    /// The database cannot print it.
    Unreadable { unit_id: i64 },
}

/// The units of a page, as read from the host.
pub(super) struct Units {
    pub(super) units: Vec<Unit>,
    /// Units that the page covers.
    pub(super) walked: i64,
    pub(super) until: i64,
    pub(super) more: bool,
    pub(super) leftover: Option<Leftover>,
}

impl Source {
    /// Reads the units of a page.
    pub(super) async fn read(&self, after: i64, size: Size, limit: i64) -> Result<Units, longshore_db::Error> {
        self.read_selection(self.selection(after, size, limit)).await
    }

    /// Reads one unit, if it still must be written and fits into this memory.
    pub(super) async fn read_unit(&self, unit_id: i64, size: Size) -> Result<Option<Unit>, longshore_db::Error> {
        let selection = Selection { until: unit_id, ..self.selection(unit_id - 1, size, 1) };
        Ok(self.read_selection(selection).await?.units.pop())
    }

    async fn read_selection(&self, selection: Selection<'_>) -> Result<Units, longshore_db::Error> {
        let read = async {
            let mut client = self.db.client().await?;
            let read = match self.per_task() {
                true => self.host.annotated_tasks(&mut client, &selection).await,
                false => self.host.annotations(&mut client, &selection).await,
            };
            if read.as_ref().map_or(true, |read| read.largest_row > LARGE_ROW) {
                // While it is open, the connection would keep a buffer of up to twice the row's size.
                drop(Client::take(client));
            }
            read
        };
        let read = self.db.in_time(read).await?;
        let leftover = read.oversize.map(|unit| Leftover::TooLarge { unit_id: unit.unit_id, bytes: unit.bytes });
        Ok(Units { units: read.units, walked: read.walked, until: read.until, more: read.more, leftover })
    }

    /// Reads a page with an unreadable row, up to that row. Names its unit if the page has no other.
    pub(super) async fn read_one_by_one(
        &self,
        after: i64,
        size: Size,
        error: longshore_db::Error,
    ) -> Result<Units, JobError> {
        info!(
            event = "export_row_unreadable",
            sync.id = self.sync_id,
            error = error_chain(&error),
            "Postgres cannot return a row of the page; quarantining it"
        );
        let mut page = Units { units: Vec::new(), walked: 0, until: after, more: true, leftover: None };
        let mut bytes = 0;
        for _ in 0..self.page_units {
            match self.read(page.until, size, 1).await {
                Ok(next) if next.leftover.is_some() => {
                    page.leftover = next.leftover.filter(|_| page.units.is_empty());
                    break;
                }
                Ok(next) => {
                    bytes += next.units.iter().map(raw_bytes).sum::<usize>();
                    page.units.extend(next.units);
                    page.walked += next.walked;
                    (page.until, page.more) = (next.until, next.more);
                }
                Err(error) if error.is_unreadable_row() => {
                    let selection = self.selection(page.until, size, 1);
                    let next =
                        async { self.host.next_unit_id(&self.db.client().await?, &selection, self.per_task()).await };
                    let next = self.db.in_time(next).await?;
                    page.leftover =
                        next.filter(|_| page.units.is_empty()).map(|unit_id| Leftover::Unreadable { unit_id });
                    page.more = next.is_some();
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            if !page.more || bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(page)
    }
}

/// The bytes of a unit's JSON in memory.
pub(super) fn raw_bytes(unit: &Unit) -> usize {
    let labels: usize = unit.annotations.iter().map(|annotation| annotation.result.get().len()).sum();
    labels + unit.task.data.get().len() + unit.task.meta.get().len()
}
