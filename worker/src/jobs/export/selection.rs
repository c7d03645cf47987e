//! What a page of export writes: read from the host, as bodies ready to be put.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use longshore_db::host::{Host, JobStorage, Selection, Unit};
use longshore_db::jobs::Claimed;
use longshore_db::{Db, exports};
use longshore_model::{ExportMode, ExportOptions};

use crate::body::{self, Body};
use crate::context::{Context, Memory, Reserved};
use crate::job_error::JobError;
use crate::jobs::ahead::Ahead;

/// Units that a page goes through, as many as an import's page has keys.
const PAGE_UNITS: i64 = 1_000;

/// Bytes of rows per page, unless a single unit is larger. Pages of usual annotations stay below.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The memory of a page: its rows, and the bodies made of them.
const PAGE_MEMORY: u64 = 2 * PAGE_BYTES as u64;

/// Where a job's pages come from.
pub(super) struct Source {
    db: Db,
    host: Arc<dyn Host>,
    memory: Memory,
    pub(super) storage: JobStorage,
    options: ExportOptions,
    sync_id: i64,
    /// What the keys of objects start with.
    prefix: String,
    /// Units up to this id exist; later ones belong to the next sync.
    until: i64,
}

/// A page to write, in ascending order of the units' ids.
pub(super) struct Selected {
    pub(super) prepared: Vec<Prepared>,
    /// Where the next page starts.
    pub(super) until: i64,
    /// Whether units come after that.
    pub(super) more: bool,
    _reserved: Reserved,
}

/// An object to write.
pub(super) struct Prepared {
    pub(super) unit_id: i64,
    pub(super) key: String,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) body: Body,
    /// The same one is there already.
    pub(super) unchanged: bool,
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
            until: until.map_or(last, |until| until.min(last)),
        })
    }

    pub(super) fn unit(&self) -> &'static str {
        if self.per_task() { "task" } else { "annotation" }
    }

    fn per_task(&self) -> bool {
        self.storage.settings.export_tasks
    }

    /// Reads the units after an id and makes their bodies.
    ///
    /// # Errors
    /// The database is away.
    pub(super) async fn select(self: Arc<Self>, after: i64) -> Result<Selected, JobError> {
        // A page that waits for memory holds none: the pages that have some are written without more.
        let reserved = self.memory.reserve(PAGE_MEMORY).await;
        let selection = Selection {
            project_id: self.storage.project_id,
            storage_id: self.storage.id,
            sync_id: self.sync_id,
            options: &self.options,
            after,
            until: self.until,
            limit: PAGE_UNITS,
            bytes: PAGE_BYTES,
        };
        let read = async {
            let mut client = self.db.client().await?;
            let selected = match self.per_task() {
                true => self.host.annotated_tasks(&mut client, &selection).await?,
                false => self.host.annotations(&mut client, &selection).await?,
            };
            let ids: Vec<i64> = selected.units.iter().map(|unit| self.unit_id(unit)).collect();
            let digests = match self.options.mode {
                ExportMode::Changed => exports::digests(&client, self.storage.id, self.unit(), &ids).await?,
                ExportMode::All => Vec::new(),
            };
            Ok((selected, digests))
        };
        let (selected, digests) = self.db.in_time(read).await?;
        let (units, until, more) = (selected.units, selected.until, selected.more);
        let before: Before = digests.into_iter().map(|(id, key, digest)| (id, (key, digest))).collect();
        let source = Arc::clone(&self);
        let prepared = Ahead::compute(move || units.into_iter().map(|unit| source.prepare(&unit, &before)).collect());
        Ok(Selected { prepared: prepared.result().await, until, more, _reserved: reserved })
    }

    fn unit_id(&self, unit: &Unit) -> i64 {
        unit.annotations.first().filter(|_| !self.per_task()).map_or(unit.task.id, |annotation| annotation.id)
    }

    /// The object that a unit becomes.
    fn prepare(&self, unit: &Unit, before: &Before) -> Prepared {
        let prefix = &self.prefix;
        let last_change = unit.annotations.iter().map(|annotation| annotation.updated_at).max();
        let (key, updated_at, body) = match unit.annotations.first() {
            Some(annotation) if !self.per_task() => (
                body::object_key(prefix, body::Unit::Annotation, annotation.id, self.storage.settings.json_suffix),
                annotation.updated_at,
                body::annotation_body(annotation, &unit.task, Utc::now()),
            ),
            _ => (
                body::object_key(prefix, body::Unit::Task, unit.task.id, true),
                last_change.map_or(unit.task.updated_at, |change| change.max(unit.task.updated_at)),
                body::task_body(&unit.task, &unit.annotations),
            ),
        };
        let unit_id = self.unit_id(unit);
        let same = |(old_key, digest): &(String, Vec<u8>)| *old_key == key && *digest == body.digest;
        let unchanged = before.get(&unit_id).is_some_and(same);
        Prepared { unit_id, key, updated_at, body, unchanged }
    }
}
