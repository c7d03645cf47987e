//! Making the bodies of a page.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use longshore_db::exports;
use longshore_db::host::{ExportFormat, Unit};
use longshore_model::ExportMode;

use super::read::raw_bytes;
use super::{Size, Source};
use crate::body::{self, Layout};
use crate::jobs::prefetch::Prefetch;

/// An object to write.
pub(crate) struct PreparedObject {
    pub(crate) unit_id: i64,
    /// The annotations in the object.
    pub(crate) annotation_ids: Vec<i64>,
    pub(crate) key: String,
    pub(crate) updated_at: Timestamp,
    pub(crate) digest: [u8; 32],
    /// `None` if the object is unchanged.
    pub(crate) body: Option<Bytes>,
}

/// Keys and digests of the objects that were written before, by unit ID.
type Before = HashMap<i64, (String, Vec<u8>)>;

impl Source {
    /// Makes the bodies of new and changed units, until the memory is used up. Also returns the first unit that did not
    /// fit.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        units: Vec<Unit>,
        size: Size,
    ) -> Result<(Vec<PreparedObject>, Option<i64>), longshore_db::Error> {
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
        Ok(self.prepare_after(before, units, size).await)
    }

    /// Reads a unit again and makes its body, whether it is the one of an earlier export or not: this attempt wrote another
    /// meanwhile. `None` if it need not be written or takes more memory than this.
    pub(in super::super) async fn select_again(
        self: &Arc<Self>,
        unit_id: i64,
        size: Size,
    ) -> Result<Option<PreparedObject>, longshore_db::Error> {
        let Some(unit) = self.read_unit(unit_id, size).await? else { return Ok(None) };
        Ok(self.prepare_after(Before::new(), vec![unit], size).await.0.pop())
    }

    async fn prepare_after(
        self: &Arc<Self>,
        before: Before,
        units: Vec<Unit>,
        size: Size,
    ) -> (Vec<PreparedObject>, Option<i64>) {
        let memory = usize::try_from(size.memory(self.memory.max_bytes())).unwrap_or(usize::MAX);
        let source = Arc::clone(self);
        let preparing = Prefetch::compute(move |abandoned| {
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
        preparing.result().await
    }

    /// The key of a unit's object.
    pub(super) fn key(&self, unit_id: i64) -> String {
        let ExportFormat { prefix, json_suffix, .. } = &self.storage.export_format;
        body::object_key(prefix, unit_id, *json_suffix)
    }

    fn unit_id(&self, unit: &Unit) -> i64 {
        unit.annotations.first().filter(|_| !self.per_task()).map_or(unit.task.id, |annotation| annotation.id)
    }

    /// The object of a unit; `None` if its body has more than `max_bytes`.
    fn prepare_one(&self, unit: &Unit, before: &Before, max_bytes: usize) -> Option<PreparedObject> {
        let annotation = unit.annotations.first().filter(|_| !self.per_task());
        let layout = if self.storage.export_format.is_indented { Layout::Lines } else { Layout::OneLine };
        let measured = match annotation {
            Some(annotation) => body::measure_annotation(annotation, &unit.task, layout),
            None => body::measure_task(&unit.task, &unit.annotations, layout),
        };
        let unit_id = self.unit_id(unit);
        let key = self.key(unit_id);
        let same = |(old_key, digest): &(String, Vec<u8>)| *old_key == key && *digest == measured.digest;
        let unchanged = before.get(&unit_id).is_some_and(same);
        if !unchanged && measured.length > max_bytes {
            return None;
        }
        let body = (!unchanged).then(|| match annotation {
            Some(annotation) => body::annotation_body(annotation, &unit.task, Timestamp::now(), measured, layout),
            None => body::task_body(&unit.task, &unit.annotations, measured, layout),
        });
        let annotation_ids = unit.annotations.iter().map(|annotation| annotation.id).collect();
        Some(PreparedObject {
            unit_id,
            annotation_ids,
            key,
            updated_at: unit.updated_at,
            digest: measured.digest,
            body,
        })
    }
}
