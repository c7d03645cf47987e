//! Exports: what is read from Label Studio's tables, how objects are named, and the links that say what was exported.

use longshore_model::{Connection, StorageSettings};

use super::tables::StorageTables;
use crate::host::ExportFormat;
use crate::host::select::Source;
use crate::{Error, Result, Transaction};

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

/// Writes the links of exported annotations. Like Label Studio, it changes only the time of a link that exists.
///
/// In PostgreSQL an annotation has at most one link per kind of storage, although Label Studio means one per storage. So a
/// second storage of a kind gets none, from Label Studio neither.
///
/// # Errors
/// [`Error::Deleted`] if the storage was deleted meanwhile.
pub(super) async fn link(
    tx: &Transaction<'_>,
    tables: &StorageTables,
    host_id: i64,
    annotation_ids: &[i64],
) -> Result<()> {
    if annotation_ids.is_empty() {
        return Ok(());
    }
    let StorageTables { storages, id, links, .. } = tables;
    // The locks keep both ends of the links until the commit: their foreign keys are checked only there, and would fail
    // the whole page. An annotation that was deleted since it was read gets no link.
    let held = format!("SELECT FROM public.{storages} WHERE {id} = $1::bigint FOR KEY SHARE");
    let held = tx.prepare_cached(&held).await?;
    if tx.query_opt(&held, &[&host_id]).await?.is_none() {
        return Err(Error::Deleted(format!("export storage {host_id} of Label Studio")));
    }
    let write = format!(
        "WITH held AS (
             SELECT id FROM public.task_completion WHERE id = ANY ($2::bigint[]::int[]) ORDER BY id FOR KEY SHARE
         ), known AS (
             UPDATE public.{links} l SET updated_at = now()
               FROM held WHERE l.annotation_id = held.id AND l.storage_id = $1::bigint
             RETURNING l.annotation_id
         )
         INSERT INTO public.{links} (annotation_id, storage_id, object_exists, created_at, updated_at)
         SELECT id, $1::bigint, true, now(), now() FROM held
          WHERE id NOT IN (SELECT annotation_id FROM known) ORDER BY id
             ON CONFLICT DO NOTHING"
    );
    let write = tx.prepare_cached(&write).await?;
    tx.execute(&write, &[&host_id, &annotation_ids]).await?;
    Ok(())
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
