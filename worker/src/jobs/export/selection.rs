//! What a page of export writes: read from the host, as bodies ready to be put.

mod poison;

use longshore_telemetry::error_chain;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use longshore_db::host::{Host, JobStorage, Selection, Unit};
use longshore_db::jobs::Lease;
use longshore_db::lifecycle::Claimed;
use longshore_db::quarantine::QuarantinedObject;
use longshore_db::{Client, Db, exports};
use longshore_model::{ExportMode, ExportOptions, QuarantineReason};
use tracing::info;

use super::size::{PAGE_BYTES, Size};
use crate::body;
use crate::context::{Context, Memory, Reserved};
use crate::job_error::JobError;
use crate::jobs::ahead::Ahead;

/// Units that a page goes through, as many as an import's page has keys.
const PAGE_UNITS: i64 = 1_000;

/// The largest row after which a database connection is used again. Less, and pages of ordinary annotations would each
/// open one; more times the connections of a worker would be much beside its memory budget.
const LARGE_ROW: usize = 256 * 1024;

/// Where a job's pages come from.
pub(super) struct Source {
    db: Db,
    host: Arc<dyn Host>,
    memory: Memory,
    pub(super) storage: JobStorage,
    options: ExportOptions,
    sync_id: i64,
    /// Units that a page goes through; fewer once the job ended its worker several times.
    page_units: i64,
    /// The lease of the attempt, if that works on one unit after the other to find the one that ends its worker.
    lone: Option<Lease>,
    /// The unit that is known to.
    poison: Option<i64>,
    /// What the keys of objects start with.
    prefix: String,
    /// Units up to this id exist; later ones belong to the next sync.
    until: i64,
}

/// A page to write, in ascending order of the units' ids.
pub(super) struct Selected {
    pub(super) prepared: Vec<Prepared>,
    /// A unit that can never be written, which is the last of the page.
    pub(super) aside: Option<QuarantinedObject>,
    /// Where the next page starts.
    pub(super) until: i64,
    /// Whether units come after that.
    pub(super) more: bool,
    /// Units that were gone through.
    pub(super) walked: i64,
    _reserved: Reserved,
}

/// An object to write.
pub(super) struct Prepared {
    pub(super) unit_id: i64,
    pub(super) key: String,
    pub(super) updated_at: Timestamp,
    pub(super) digest: [u8; 32],
    /// `None` if the same one is there already.
    pub(super) body: Option<Bytes>,
}

/// Why a unit is not in its page.
enum Left {
    /// It is larger than this page has room for.
    TooLarge { unit_id: i64, bytes: Option<usize> },
    /// The database cannot print it.
    Unreadable { unit_id: i64 },
}

/// Units as they were read.
struct Units {
    units: Vec<Unit>,
    walked: i64,
    until: i64,
    more: bool,
    left: Option<Left>,
}

/// Keys and digests of objects written before, by unit.
type Before = HashMap<i64, (String, Vec<u8>)>;

impl Source {
    /// # Errors
    /// The database is away, or the sync's options cannot be read.
    pub(super) async fn new(
        context: &Context,
        claimed: &Claimed,
        storage: JobStorage,
        until: Option<i64>,
    ) -> Result<Self, JobError> {
        let options = serde_json::from_str(&claimed.options).map_err(|error| JobError::Settings(error.to_string()))?;
        let (db, per_task) = (context.db.clone(), storage.settings.export_tasks);
        let read = async { context.host.last_unit_id(&db.client().await?, storage.project_id, per_task).await };
        let last = db.in_time(read).await?;
        Ok(Self {
            db,
            host: Arc::clone(&context.host),
            memory: context.memory.clone(),
            prefix: storage.settings.connection.prefix(),
            storage,
            options,
            sync_id: claimed.sync_id,
            lone: (claimed.page_limit() == Some(1)).then_some(claimed.lease),
            poison: claimed.poison.as_deref().and_then(|unit_id| unit_id.parse().ok()),
            page_units: claimed.page_limit().map_or(PAGE_UNITS, |limit| PAGE_UNITS.min(limit.into())),
            until: until.map_or(last, |until| until.min(last)),
        })
    }

    pub(super) fn unit(&self) -> &'static str {
        if self.per_task() { "task" } else { "annotation" }
    }

    fn per_task(&self) -> bool {
        self.storage.settings.export_tasks
    }

    /// Reads the units after an id and makes their bodies. What is larger than a page is read again with more memory;
    /// what is larger than any may be is named for the quarantine and never read.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(super) async fn select(self: Arc<Self>, after: i64) -> Result<Selected, JobError> {
        if let Some(lease) = self.lone
            && let Some(selected) = self.single_out(lease, after).await?
        {
            return Ok(selected);
        }
        let mut size = Size::Usual;
        loop {
            // A page that waits for memory holds none: the pages that have some are written without more.
            let reserved = self.memory.reserve(size.memory(self.memory.most())).await;
            let page = match self.read(after, size, self.page_units).await {
                Err(error) if error.is_unreadable_row() => self.read_one_by_one(after, size, error).await?,
                read => read?,
            };
            let Units { units, mut walked, mut until, mut more, mut left } = page;
            let mut prepared = Vec::new();
            if left.is_none() {
                let cut;
                (prepared, cut) = self.prepare(units, size).await?;
                if let Some(unit_id) = cut {
                    // All before it were gone through, whether they are to be written or not.
                    (until, more) = (unit_id - 1, true);
                    walked = i64::try_from(prepared.len()).unwrap_or(i64::MAX);
                    left = prepared.is_empty().then_some(Left::TooLarge { unit_id, bytes: None });
                }
            }
            let aside = match (left, size.next()) {
                (None, _) => None,
                (Some(Left::TooLarge { bytes, .. }), Some(next)) if self.may_fit(bytes) => {
                    size = next;
                    continue;
                }
                (Some(left), _) => {
                    let (Left::TooLarge { unit_id, .. } | Left::Unreadable { unit_id }) = left;
                    (until, more) = (unit_id, true);
                    Some(self.too_large(&left))
                }
            };
            return Ok(Selected { prepared, aside, until, more, walked, _reserved: reserved });
        }
    }

    /// Whether a unit of so many bytes can be read with all memory.
    fn may_fit(&self, bytes: Option<usize>) -> bool {
        bytes.is_none_or(|bytes| bytes <= Size::Largest.unit_bytes(self.memory.most()))
    }

    fn selection(&self, after: i64, size: Size, limit: i64) -> Selection<'_> {
        Selection {
            project_id: self.storage.project_id,
            storage_id: self.storage.id,
            sync_id: self.sync_id,
            options: &self.options,
            after,
            until: self.until,
            limit,
            // A unit that is larger than a page is read alone.
            bytes: if size == Size::Usual { PAGE_BYTES } else { 1 },
            unit_bytes: size.unit_bytes(self.memory.most()),
        }
    }

    async fn read(&self, after: i64, size: Size, limit: i64) -> Result<Units, longshore_db::Error> {
        let selection = self.selection(after, size, limit);
        let read = async {
            let mut client = self.db.client().await?;
            let read = match self.per_task() {
                true => self.host.annotated_tasks(&mut client, &selection).await,
                false => self.host.annotations(&mut client, &selection).await,
            };
            if read.as_ref().map_or(true, |read| read.largest_row > LARGE_ROW) {
                // The connection would keep a buffer of the row's size, or twice that, for as long as it is open.
                drop(Client::take(client));
            }
            read
        };
        let read = self.db.in_time(read).await?;
        let left = read.oversize.map(|left| Left::TooLarge { unit_id: left.unit_id, bytes: left.bytes });
        Ok(Units { units: read.units, walked: read.walked, until: read.until, more: read.more, left })
    }

    /// Reads a page in which some row cannot be read, up to that row; its unit is named if the page has no other.
    async fn read_one_by_one(&self, after: i64, size: Size, error: longshore_db::Error) -> Result<Units, JobError> {
        info!(
            event = "export_row_unreadable",
            sync.id = self.sync_id,
            error = error_chain(&error),
            "Postgres cannot return a row of the page; quarantining it"
        );
        let mut page = Units { units: Vec::new(), walked: 0, until: after, more: true, left: None };
        let mut bytes = 0;
        for _ in 0..self.page_units {
            match self.read(page.until, size, 1).await {
                Ok(next) if next.left.is_some() => {
                    page.left = next.left.filter(|_| page.units.is_empty());
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
                    page.left = next.filter(|_| page.units.is_empty()).map(|unit_id| Left::Unreadable { unit_id });
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

    /// Makes the bodies of units that are not there already, as far as there is memory for them; gives the first one
    /// for which there was none.
    async fn prepare(
        self: &Arc<Self>,
        units: Vec<Unit>,
        size: Size,
    ) -> Result<(Vec<Prepared>, Option<i64>), longshore_db::Error> {
        let ids: Vec<i64> = units.iter().map(|unit| self.unit_id(unit)).collect();
        let digests = async {
            match self.options.mode {
                ExportMode::Changed => {
                    exports::digests(&self.db.client().await?, self.storage.id, self.unit(), &ids).await
                }
                ExportMode::All => Ok(Vec::new()),
            }
        };
        let digests = self.db.in_time(digests).await?;
        let before: Before = digests.into_iter().map(|(id, key, digest)| (id, (key, digest))).collect();
        let memory = usize::try_from(size.memory(self.memory.most())).unwrap_or(usize::MAX);
        let source = Arc::clone(self);
        let preparing = Ahead::compute(move |abandoned| {
            let mut held: usize = units.iter().map(raw_bytes).sum();
            let mut prepared = Vec::with_capacity(units.len());
            for unit in units {
                let raw = raw_bytes(&unit);
                match source.prepare_one(&unit, &before, memory.saturating_sub(held)) {
                    Some(one) if !abandoned.is_cancelled() => {
                        held += one.body.as_ref().map_or(0, Bytes::len);
                        held -= raw;
                        prepared.push(one);
                    }
                    _ => return (prepared, Some(source.unit_id(&unit))),
                }
            }
            (prepared, None)
        });
        Ok(preparing.result().await)
    }

    /// The quarantine's row of a unit that can never be written, with the key that its object would have.
    fn too_large(&self, left: &Left) -> QuarantinedObject {
        let kind = self.unit();
        let (unit_id, detail) = match left {
            Left::TooLarge { unit_id, .. } => {
                let most = Size::Largest.unit_bytes(self.memory.most());
                let detail = format!(
                    "The {kind} with what belongs to it takes more than {most} bytes, or its object more memory than the \
                     workers' LONGSHORE_MEMORY_MB. Remove annotations or make them smaller."
                );
                (*unit_id, detail)
            }
            Left::Unreadable { unit_id } => {
                let detail = format!(
                    "The database cannot print the {kind} or its task: with numbers such as 1e131071 written out, a value \
                     has more than 1 GB. Write such numbers as strings."
                );
                (*unit_id, detail)
            }
        };
        QuarantinedObject::unit(unit_id, self.key(unit_id), QuarantineReason::TooLarge, detail)
    }

    fn key(&self, unit_id: i64) -> String {
        match self.per_task() {
            true => body::object_key(&self.prefix, body::Unit::Task, unit_id, true),
            false => {
                let json_suffix = self.storage.settings.json_suffix;
                body::object_key(&self.prefix, body::Unit::Annotation, unit_id, json_suffix)
            }
        }
    }

    fn unit_id(&self, unit: &Unit) -> i64 {
        unit.annotations.first().filter(|_| !self.per_task()).map_or(unit.task.id, |annotation| annotation.id)
    }

    /// The object that a unit becomes; `None` if its body takes more than so many bytes.
    fn prepare_one(&self, unit: &Unit, before: &Before, room: usize) -> Option<Prepared> {
        let last_change = unit.annotations.iter().map(|annotation| annotation.updated_at).max();
        let annotation = unit.annotations.first().filter(|_| !self.per_task());
        let (updated_at, measured) = match annotation {
            Some(annotation) => (annotation.updated_at, body::measure_annotation(annotation, &unit.task)),
            None => (
                last_change.map_or(unit.task.updated_at, |change| change.max(unit.task.updated_at)),
                body::measure_task(&unit.task, &unit.annotations),
            ),
        };
        let unit_id = self.unit_id(unit);
        let key = self.key(unit_id);
        let same = |(old_key, digest): &(String, Vec<u8>)| *old_key == key && *digest == measured.digest;
        let unchanged = before.get(&unit_id).is_some_and(same);
        if !unchanged && measured.length > room {
            return None;
        }
        let body = (!unchanged).then(|| match annotation {
            Some(annotation) => body::annotation_body(annotation, &unit.task, Timestamp::now(), measured),
            None => body::task_body(&unit.task, &unit.annotations, measured),
        });
        Some(Prepared { unit_id, key, updated_at, digest: measured.digest, body })
    }
}

/// Bytes of a unit's JSON as it is held.
fn raw_bytes(unit: &Unit) -> usize {
    let labels: usize = unit.annotations.iter().map(|annotation| annotation.result.get().len()).sum();
    labels + unit.task.data.get().len() + unit.task.meta.get().len()
}
