//! Whether the Label Studio in this database is one whose tables Longshore can write.
//!
//! Its migrations tell the version, and the catalog tells whether each row that Longshore writes would be complete. The
//! greatest name of a migration tells nothing: names of old, squashed ones sort last.

use std::collections::{BTreeMap, BTreeSet};

use super::edition;
use crate::{GenericClient, Result};

/// Migrations that a supported version has, and what is refused without them.
const NEEDED: &[(&str, &str, &str)] = &[(
    "io_storages",
    "0021_azureblobimportstorage_recursive_scan_and_more",
    "Label Studio before 1.21 has no status `completed_with_errors`. Upgrade it to 1.23.",
)];

/// The tables that Longshore writes, with the columns it fills.
const WRITTEN: &[(&str, &[&str])] = &[
    (
        "task",
        &[
            "data",
            "meta",
            "created_at",
            "updated_at",
            "is_labeled",
            "project_id",
            "overlap",
            "updated_by_id",
            "inner_id",
            "total_annotations",
            "cancelled_annotations",
            "total_predictions",
            "comment_count",
            "unresolved_comment_count",
        ],
    ),
    (
        "task_completion",
        &[
            "result",
            "was_cancelled",
            "ground_truth",
            "created_at",
            "updated_at",
            "task_id",
            "prediction",
            "lead_time",
            "result_count",
            "completed_by_id",
            "project_id",
            "updated_by_id",
            "unique_id",
            "bulk_created",
            "import_id",
            "last_action",
            "last_created_by_id",
            "draft_created_at",
            "parent_prediction_id",
            "parent_annotation_id",
        ],
    ),
    (
        "prediction",
        &[
            "result",
            "score",
            "model_version",
            "created_at",
            "updated_at",
            "task_id",
            "mislabeling",
            "project_id",
            "cluster",
            "neighbors",
        ],
    ),
    (
        "projects_projectsummary",
        &[
            "project_id",
            "created_at",
            "all_data_columns",
            "common_data_columns",
            "created_annotations",
            "created_labels",
            "created_labels_drafts",
        ],
    ),
    ("io_storages_s3importstoragelink", LINK),
    ("io_storages_gcsimportstoragelink", LINK),
    ("io_storages_azureblobimportstoragelink", LINK),
    ("io_storages_redisimportstoragelink", LINK),
    ("io_storages_localfilesimportstoragelink", LINK),
    ("io_storages_s3exportstoragelink", EXPORT_LINK),
    ("io_storages_gcsexportstoragelink", EXPORT_LINK),
    ("io_storages_azureblobexportstoragelink", EXPORT_LINK),
    ("io_storages_redisexportstoragelink", EXPORT_LINK),
    ("io_storages_localfilesexportstoragelink", EXPORT_LINK),
];

/// Columns that are filled where they exist: those of later versions.
const OPTIONAL: &[(&str, &str)] = &[("task", "allow_skip")];
const EXPORT_LINK: &[&str] = &["annotation_id", "storage_id", "object_exists", "created_at", "updated_at"];

const LINK: &[&str] = &["task_id", "key", "object_exists", "created_at", "storage_id", "row_index"];

/// Why this database cannot be a host, in sentences for the operator. Empty if it can.
pub async fn faults(client: &impl GenericClient) -> Result<Vec<String>> {
    let here = client.query_one("SELECT to_regclass('public.django_migrations') IS NOT NULL", &[]).await?;
    if !here.get::<_, bool>(0) {
        let text = "There is no Label Studio in this database: schema `public` has no table `django_migrations`. \
                    DATABASE_URL must name the database of Label Studio, which must not use SQLite.";
        return Ok(vec![text.to_owned()]);
    }
    let rows = client.query("SELECT app, name FROM public.django_migrations", &[]).await?;
    let migrations: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let missing = NEEDED.iter().filter(|(app, name, _)| !migrations.contains(&(*app, *name)));
    if let Some((_, _, why)) = missing.into_iter().next() {
        return Ok(vec![(*why).to_owned()]);
    }
    let apps = migrations.iter().map(|(app, _)| *app).collect();
    if let Some(fault) = edition::fault(client, &apps).await? {
        return Ok(vec![fault]);
    }
    columns(client).await
}

/// What is wrong with the columns of the tables that Longshore writes.
async fn columns(client: &impl GenericClient) -> Result<Vec<String>> {
    let tables: Vec<&str> = WRITTEN.iter().map(|(table, _)| *table).collect();
    let rows = client
        .query(
            "SELECT c.relname::text, a.attname::text,
                    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '' AS is_required
               FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
               JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = 'public' AND c.relname = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped",
            &[&tables],
        )
        .await?;
    let mut found: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for row in &rows {
        found.entry(row.get(0)).or_default().insert(row.get(1), row.get(2));
    }
    Ok(WRITTEN.iter().flat_map(|(table, columns)| table_faults(table, columns, found.get(table))).collect())
}

/// What is wrong with one table: columns that are missing, and columns without which a row is refused.
fn table_faults(table: &str, written: &[&str], found: Option<&BTreeMap<&str, bool>>) -> Vec<String> {
    let Some(found) = found else { return vec![format!("Label Studio has no table `{table}`.")] };
    let missing = written.iter().filter(|column| !found.contains_key(**column));
    let missing = missing.map(|column| format!("Label Studio's table `{table}` has no column `{column}`."));
    let required = found.iter().filter(|(column, is_required)| {
        **is_required && !written.contains(column) && !OPTIONAL.contains(&(table, column))
    });
    let required = required.map(|(column, _)| {
        format!(
            "Label Studio's table `{table}` needs a value in column `{column}`, which this release does not know. Use a \
             supported version of Label Studio, or a later release of Longshore."
        )
    });
    missing.chain(required).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_needs_the_written_columns_and_no_other() {
        let found = |pairs: &[(&'static str, bool)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
        let faults = |pairs| table_faults("task", &["data", "meta"], Some(&found(pairs)));
        assert_eq!(faults(&[("data", true), ("meta", false), ("note", false)]), [""; 0]);
        let [missing, required] = &faults(&[("data", true), ("extra", true)])[..] else { panic!("two faults") };
        assert!(missing.contains("`meta`") && required.contains("`extra`"), "{missing} {required}");
        assert_eq!(table_faults("task", &[], None).len(), 1);
    }
}
