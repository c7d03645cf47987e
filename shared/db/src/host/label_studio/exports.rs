//! Exports: what is read from Label Studio's tables, how objects are named, and the links that say what was exported.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use longshore_model::{Connection, StorageSettings};

use super::Handle;
use super::fence;
use super::tables::StorageTables;
use crate::host::select::Source;
use crate::host::{ExportFormat, ExportedUnit, JobStorage, OutdatedUnit};
use crate::{Result, Transaction};

/// What Label Studio's own process reads from its environment about exports, and what Longshore does otherwise on
/// purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportRules {
    /// Whether an object is a task with its annotations: Label Studio's `FUTURE_SAVE_TASK_TO_STORAGE`.
    pub per_task: bool,
    /// Whether such objects end in `.json`: Label Studio's `FUTURE_SAVE_TASK_TO_STORAGE_JSON_EXT`.
    pub json_suffix: bool,
    /// Whether keys are Label Studio's to the letter, with `//` after a prefix that ends in `/`, and without the path of a
    /// Redis storage.
    pub exact_keys: bool,
}

impl Default for ExportRules {
    /// Label Studio's defaults.
    fn default() -> Self {
        Self { per_task: false, json_suffix: true, exact_keys: false }
    }
}

impl ExportRules {
    /// How the objects of a storage are named and written.
    pub(super) fn format(self, settings: &StorageSettings) -> ExportFormat {
        ExportFormat {
            prefix: self.prefix(settings),
            json_suffix: self.per_task && self.json_suffix,
            per_task: self.per_task,
            is_indented: matches!(settings.connection, Connection::Localfiles(_)),
            counts_annotations: true,
        }
    }

    fn prefix(self, settings: &StorageSettings) -> String {
        let exact = |typed: &Option<String>| match typed.as_deref() {
            None | Some("") => String::new(),
            Some(typed) => format!("{typed}/"),
        };
        match &settings.connection {
            Connection::S3(s3) if self.exact_keys => exact(&s3.prefix),
            Connection::Gcs(gcs) if self.exact_keys => exact(&gcs.prefix),
            Connection::Azure(azure) if self.exact_keys => exact(&azure.prefix),
            Connection::Redis(_) if self.exact_keys => String::new(),
            other => other.prefix(),
        }
    }
}

/// Annotations with their tasks.
pub(super) const ANNOTATIONS: Source = Source {
    choosing: include_str!("annotations_to_export.sql"),
    table: "public.task_completion",
    task: "task_id",
    is_grouped: false,
};

/// Tasks with their annotations.
pub(super) const TASKS: Source =
    Source { choosing: include_str!("tasks_to_export.sql"), table: "public.task", task: "id", is_grouped: true };

pub(super) fn source(per_task: bool) -> &'static Source {
    if per_task { &TASKS } else { &ANNOTATIONS }
}

/// Writes the links of exported annotations, while the sync is ours. Like Label Studio, it changes only the time of a link
/// that exists. Returns the units that changed or were deleted since they were read.
///
/// In PostgreSQL an annotation has at most one link per kind of storage, although Label Studio means one per storage. So a
/// second storage of a kind gets none, from Label Studio neither.
///
/// # Errors
/// [`crate::Error::TakenOver`] if Label Studio started its own sync, [`crate::Error::Deleted`] if the storage or project was
/// deleted.
pub(super) async fn link(
    tx: &Transaction<'_>,
    tables: &StorageTables,
    handle: &Handle,
    storage: &JobStorage,
    units: &[ExportedUnit<'_>],
) -> Result<Vec<OutdatedUnit>> {
    let StorageTables { links, .. } = tables;
    let annotation_ids: Vec<i64> = units.iter().flat_map(|unit| unit.annotation_ids).copied().collect();
    // In the order in which Label Studio deletes: links, then their storage or their annotations. Otherwise one of the two
    // would be ended as a deadlock, and that may be the user's deletion. A link of another storage counts, too: an insert
    // below would wait for the end of its deletion.
    let text = format!(
        "SELECT id::bigint, annotation_id::bigint, storage_id::bigint FROM public.{links}
          WHERE annotation_id = ANY ($1::bigint[]::int[]) ORDER BY id FOR NO KEY UPDATE"
    );
    let statement = tx.prepare_cached(&text).await?;
    let rows = tx.query(&statement, &[&annotation_ids]).await?;
    // Holds the storage also if there is nothing to link.
    fence::hold_all(tx, tables, handle, storage).await?;
    let linked: HashSet<i64> = rows.iter().map(|row| row.get(1)).collect();
    let ours = rows.iter().filter(|row| row.get::<_, i64>(2) == handle.host_id);
    let known: Vec<i64> = ours.map(|row| row.get(0)).collect();
    let statement = tx
        .prepare_cached(&format!("UPDATE public.{links} SET updated_at = now() WHERE id = ANY ($1::bigint[]::int[])"))
        .await?;
    tx.execute(&statement, &[&known]).await?;
    let unlinked: Vec<i64> = annotation_ids.into_iter().filter(|id| !linked.contains(id)).collect();
    // The lock keeps annotations until the commit: the foreign keys of links are checked only there, and would fail the
    // whole page. An annotation that was deleted since it was read gets no link.
    let text = format!(
        "WITH held AS (
             SELECT id FROM public.task_completion WHERE id = ANY ($2::bigint[]::int[]) ORDER BY id FOR KEY SHARE
         )
         INSERT INTO public.{links} (annotation_id, storage_id, object_exists, created_at, updated_at)
         SELECT id, $1::bigint, true, now(), now() FROM held ORDER BY id
             ON CONFLICT DO NOTHING"
    );
    let statement = tx.prepare_cached(&text).await?;
    tx.execute(&statement, &[&handle.host_id, &unlinked]).await?;
    outdated(tx, storage.export_format.per_task, units).await
}

/// The units that changed since they were read. Label Studio exports an annotation itself when it is saved or deleted, so
/// an object that was written here may have replaced a newer one.
async fn outdated(tx: &Transaction<'_>, per_task: bool, units: &[ExportedUnit<'_>]) -> Result<Vec<OutdatedUnit>> {
    // As in the statements that select units. Limits force a look-up for each unit.
    let text = if per_task {
        "SELECT u.id, greatest(last.updated_at, t.updated_at), last.ids
           FROM unnest($1::bigint[]) AS u (id)
          CROSS JOIN LATERAL (SELECT updated_at FROM public.task WHERE id = u.id LIMIT 1) t
          CROSS JOIN LATERAL (SELECT max(updated_at) AS updated_at, array_agg(id::bigint ORDER BY id) AS ids
                                FROM public.task_completion WHERE task_id = u.id) last
          WHERE last.updated_at IS NOT NULL"
    } else {
        "SELECT u.id, greatest(a.updated_at, t.updated_at), ARRAY[u.id]
           FROM unnest($1::bigint[]) AS u (id)
          CROSS JOIN LATERAL (SELECT updated_at, task_id FROM public.task_completion WHERE id = u.id LIMIT 1) a
          CROSS JOIN LATERAL (SELECT updated_at FROM public.task WHERE id = a.task_id LIMIT 1) t"
    };
    let statement = tx.prepare_cached(text).await?;
    let ids: Vec<i64> = units.iter().map(|unit| unit.unit_id).collect();
    let rows = tx.query(&statement, &[&ids]).await?;
    let current: HashMap<i64, (Timestamp, Vec<i64>)> =
        rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    let is_outdated = |unit: &&ExportedUnit<'_>| {
        current.get(&unit.unit_id).is_none_or(|(updated_at, annotations)| {
            *updated_at != unit.updated_at || *annotations != unit.annotation_ids
        })
    };
    let outdated = units.iter().filter(is_outdated);
    Ok(outdated
        .map(|unit| OutdatedUnit { unit_id: unit.unit_id, is_deleted: !current.contains_key(&unit.unit_id) })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_slash_after_the_prefix_unless_they_are_label_studios_to_the_letter() {
        let prefix = |exact_keys, json: &str| {
            let settings: StorageSettings = serde_json::from_str(json).unwrap();
            ExportRules { exact_keys, ..ExportRules::default() }.format(&settings).prefix
        };
        for (json, clean, exact) in [
            (r#"{"kind":"s3","bucket":"b"}"#, "", ""),
            (r#"{"kind":"s3","bucket":"b","prefix":""}"#, "", ""),
            (r#"{"kind":"s3","bucket":"b","prefix":"out"}"#, "out/", "out/"),
            (r#"{"kind":"gcs","bucket":"b","prefix":"out/"}"#, "out/", "out//"),
            (r#"{"kind":"azure","container":"b","prefix":"a/b/"}"#, "a/b/", "a/b//"),
            (r#"{"kind":"redis","host":"h","path":"labels:"}"#, "labels:", ""),
            (r#"{"kind":"localfiles","path":"/data/out"}"#, "/data/out/", "/data/out/"),
        ] {
            assert_eq!((prefix(false, json), prefix(true, json)), (clean.to_owned(), exact.to_owned()), "{json}");
        }
    }

    #[test]
    fn the_suffix_belongs_to_tasks_only() {
        let settings: StorageSettings = serde_json::from_str(r#"{"kind":"s3","bucket":"b"}"#).unwrap();
        let suffix = |per_task, json_suffix| {
            ExportRules { per_task, json_suffix, exact_keys: false }.format(&settings).json_suffix
        };
        assert_eq!([suffix(false, true), suffix(true, true), suffix(true, false)], [false, true, false]);
    }
}
