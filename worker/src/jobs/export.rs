//! Export: every new or changed annotation of a project becomes an object.
//!
//! The row in `exports` is written only after the storage confirmed the object, so a crash between
//! the two writes the same object again under the same key, and nothing is lost or doubled.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::Utc;
use futures::stream::{self, StreamExt};
use longshore_db::exports::{self, Exported};
use longshore_db::host::{JobStorage, Selection, Unit};
use longshore_db::jobs::Claimed;
use longshore_db::objects::{self, SetAside};
use longshore_db::{Counts, Transaction};
use longshore_model::{ExportMode, ExportOptions, QuarantineReason};
use longshore_storage::{ErrorKind, Probe, PutOptions, Storage, StorageError};

use crate::body::{self, Body};
use crate::context::Context;
use crate::job_error::JobError;
use crate::jobs::{Handler, Page, Writes as PageWrites};

/// Units per page. Bodies are held until they are written, so fewer than the keys of a listing.
const PAGE_UNITS: i64 = 500;

/// What a page of export writes.
pub(crate) struct Writes {
    storage_id: i64,
    unit: &'static str,
    written: Vec<Exported>,
    pub(crate) aside: Vec<SetAside>,
    /// Keys that left quarantine because they could be written now.
    released: Vec<String>,
}

/// The export of one id range.
pub(crate) struct Export<'a> {
    context: &'a Context,
    claimed: &'a Claimed,
    storage: JobStorage,
    store: Arc<dyn Storage>,
    options: ExportOptions,
    /// What the keys of objects start with.
    prefix: String,
    put: PutOptions,
    /// Units up to this id exist; later ones belong to the next sync.
    until: i64,
    after: i64,
}

impl<'a> Export<'a> {
    /// Prepares the export of a claimed job's range.
    ///
    /// # Errors
    /// The database is away, or the sync's options cannot be read.
    pub(crate) async fn new(
        context: &'a Context,
        claimed: &'a Claimed,
        storage: JobStorage,
        store: Arc<dyn Storage>,
    ) -> Result<Self, JobError> {
        let options: ExportOptions =
            serde_json::from_str(&claimed.options).map_err(|error| JobError::Settings(error.to_string()))?;
        let (db, per_task) = (&context.db, storage.settings.export_tasks);
        let read = async { context.host.last_unit_id(&db.client().await?, storage.project_id, per_task).await };
        let last = db.in_time(read).await?;
        let id = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<i64>().ok());
        let after = id(&claimed.cursor).or_else(|| id(&claimed.range_after)).unwrap_or_default();
        let until = id(&claimed.range_until).map_or(last, |until| until.min(last));
        let kms_key_id = storage.settings.connection.kms_key_id().map(str::to_owned);
        let put = PutOptions { content_type: Some("application/json"), kms_key_id };
        let prefix = storage.settings.connection.prefix();
        Ok(Self { context, claimed, storage, store, options, prefix, put, until, after })
    }

    fn unit(&self) -> &'static str {
        if self.storage.settings.export_tasks { "task" } else { "annotation" }
    }

    async fn select(&self) -> Result<Vec<Unit>, JobError> {
        let selection = Selection {
            project_id: self.storage.project_id,
            storage_id: self.storage.id,
            sync_id: self.claimed.sync_id,
            options: &self.options,
            after: self.after,
            until: self.until,
            limit: PAGE_UNITS,
        };
        let (db, host) = (&self.context.db, &self.context.host);
        let read = async {
            let client = db.client().await?;
            match self.storage.settings.export_tasks {
                true => host.annotated_tasks(&client, &selection).await,
                false => host.annotations(&client, &selection).await,
            }
        };
        Ok(db.in_time(read).await?)
    }

    /// The object that a unit becomes.
    fn prepare(&self, unit: &Unit) -> Prepared {
        let per_task = self.storage.settings.export_tasks;
        let prefix = &self.prefix;
        let last_change = unit.annotations.iter().map(|annotation| annotation.updated_at).max();
        match unit.annotations.first() {
            Some(annotation) if !per_task => Prepared {
                unit_id: annotation.id,
                key: body::object_key(prefix, body::Unit::Annotation, annotation.id, self.storage.settings.json_suffix),
                updated_at: annotation.updated_at,
                body: body::annotation_body(annotation, &unit.task, Utc::now()),
            },
            _ => Prepared {
                unit_id: unit.task.id,
                key: body::object_key(prefix, body::Unit::Task, unit.task.id, true),
                updated_at: last_change.map_or(unit.task.updated_at, |change| change.max(unit.task.updated_at)),
                body: body::task_body(&unit.task, &unit.annotations),
            },
        }
    }

    /// Writes an object unless the same one is there already.
    async fn put(&self, prepared: Prepared, before: Option<&(String, Vec<u8>)>) -> Put {
        let unchanged = self.options.mode == ExportMode::Changed
            && before.is_some_and(|(key, digest)| *key == prepared.key && *digest == prepared.body.digest);
        let bytes = prepared.body.bytes.len();
        let outcome =
            if unchanged { Ok(None) } else { self.store.put(&prepared.key, prepared.body.bytes, &self.put).await };
        let exported = |etag| Exported {
            unit_id: prepared.unit_id,
            key: prepared.key.clone(),
            etag,
            digest: prepared.body.digest.to_vec(),
            unit_updated_at: prepared.updated_at,
        };
        match outcome {
            Ok(etag) => Put { row: Ok(exported(etag)), unchanged, bytes },
            Err(error) => Put { row: Err((prepared.unit_id, prepared.key, error)), unchanged, bytes },
        }
    }

    /// Whether objects that fail now are to be set aside: it is the job's last try, and the storage
    /// as a whole takes objects.
    async fn gives_up_on_objects(&self) -> bool {
        self.claimed.failures + 1 >= self.context.config.max_failures && self.store.probe(Probe::Write).await.is_ok()
    }
}

/// An object to write.
struct Prepared {
    unit_id: i64,
    key: String,
    updated_at: chrono::DateTime<Utc>,
    body: Body,
}

/// What became of one object.
struct Put {
    row: Result<Exported, (i64, String, StorageError)>,
    unchanged: bool,
    bytes: usize,
}

#[async_trait]
impl Handler for Export<'_> {
    async fn perform(&mut self) -> Result<Page, JobError> {
        let units = self.select().await?;
        let prepared: Vec<Prepared> = units.iter().map(|unit| self.prepare(unit)).collect();
        let ids: Vec<i64> = prepared.iter().map(|prepared| prepared.unit_id).collect();
        let db = &self.context.db;
        let read = async { exports::digests(&db.client().await?, self.storage.id, self.unit(), &ids).await };
        let digests = db.in_time(read).await?;
        let before: HashMap<i64, (String, Vec<u8>)> =
            digests.into_iter().map(|(id, key, digest)| (id, (key, digest))).collect();

        let last_id = ids.last().copied();
        let mut counts =
            Counts { pages: 1, matched: i64::try_from(units.len()).unwrap_or(i64::MAX), ..Counts::default() };
        let (mut written, mut failed) = (Vec::new(), Vec::new());
        let mut puts = stream::iter(prepared)
            .map(|prepared| {
                let before = before.get(&prepared.unit_id);
                self.put(prepared, before)
            })
            .buffer_unordered(self.context.config.transfers);
        while let Some(put) = puts.next().await {
            match put.row {
                Ok(row) => {
                    if put.unchanged {
                        counts.unchanged += 1;
                    } else {
                        counts.exported += 1;
                        counts.bytes += i64::try_from(put.bytes).unwrap_or(i64::MAX);
                    }
                    written.push(row);
                }
                Err(failure) => failed.push(failure),
            }
        }
        drop(puts);

        counts.failed = i64::try_from(failed.len()).unwrap_or(i64::MAX);
        let gives_up = failed.iter().any(|(_, _, error)| error.is_transient()) && self.gives_up_on_objects().await;
        let (mut aside, mut failure) = (Vec::new(), None);
        for (unit_id, key, error) in failed {
            let reason = match error.kind {
                ErrorKind::Throttled { .. } | ErrorKind::Unavailable if gives_up => QuarantineReason::Unavailable,
                ErrorKind::Invalid if error.reason == longshore_model::FailureReason::TooLarge => {
                    QuarantineReason::TooLarge
                }
                ErrorKind::Throttled { .. } | ErrorKind::Unavailable => {
                    failure = Some(JobError::from(error));
                    continue;
                }
                // Wrong credentials, a bucket that is gone, a stop: not this object's fault.
                ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Cancelled => {
                    failure = Some(JobError::from(error));
                    break;
                }
            };
            aside.push(set_aside(unit_id, key, reason, &error));
        }
        counts.quarantined = i64::try_from(aside.len()).unwrap_or(i64::MAX);
        if failure.is_some() {
            counts.matched = counts.exported + counts.unchanged + counts.quarantined;
        }

        let last = failure.is_none() && i64::try_from(units.len()).unwrap_or(i64::MAX) < PAGE_UNITS;
        if let (Some(id), None) = (last_id, &failure) {
            self.after = id;
        }
        Ok(Page {
            counts,
            cursor: failure.is_none().then(|| self.after.to_string()),
            last,
            failure,
            writes: PageWrites::Export(Writes {
                storage_id: self.storage.id,
                unit: self.unit(),
                released: written.iter().map(|row: &Exported| row.key.clone()).collect(),
                written,
                aside,
            }),
            split: Vec::new(),
            _reserved: None,
        })
    }
}

impl Writes {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.aside.is_empty()
    }

    /// Writes everything in the caller's transaction.
    pub(crate) async fn record(&self, claimed: &Claimed, tx: &Transaction<'_>) -> Result<(), JobError> {
        exports::record(tx, self.storage_id, claimed.sync_id, self.unit, &self.written).await?;
        objects::set_aside(tx, self.storage_id, claimed.sync_id, &self.aside).await?;
        let released: Vec<&str> = self.released.iter().map(String::as_str).collect();
        objects::release(tx, self.storage_id, &released).await?;
        Ok(())
    }
}

fn set_aside(unit_id: i64, key: String, reason: QuarantineReason, error: &StorageError) -> SetAside {
    SetAside {
        key,
        etag: None,
        size: None,
        unit_id: Some(unit_id),
        reason,
        detail: format!("{} ({error})", error.reason.advice()),
        byte_offset: None,
        row_index: None,
        excerpt: None,
    }
}
