//! Whether each row that Longshore writes would be complete, as the catalog tells: the columns, and their types.

use std::collections::BTreeMap;

use super::tables::every_kind;
use crate::{GenericClient, Result};

/// The tables that Longshore writes beside links, with the columns it fills and their types. Rows are written in binary
/// form, so another type would make Postgres refuse every row.
const WRITTEN: &[(&str, &str)] = &[
    (
        "task",
        "id int4, data jsonb, meta jsonb, created_at timestamptz, updated_at timestamptz, is_labeled bool, \
         project_id int4, overlap int4, updated_by_id int4, inner_id int8, total_annotations int4, \
         cancelled_annotations int4, total_predictions int4, comment_count int4, unresolved_comment_count int4",
    ),
    (
        "task_completion",
        "result jsonb, was_cancelled bool, ground_truth bool, created_at timestamptz, updated_at timestamptz, \
         task_id int4, prediction jsonb, lead_time float8, result_count int4, completed_by_id int4, project_id int4, \
         updated_by_id int4, unique_id uuid, bulk_created bool, import_id int8, last_action text, \
         last_created_by_id int4, draft_created_at timestamptz, parent_prediction_id int4, parent_annotation_id int4",
    ),
    (
        "prediction",
        "result jsonb, score float8, model_version text, created_at timestamptz, updated_at timestamptz, task_id int4, \
         mislabeling float8, project_id int4, cluster int4, neighbors jsonb, model_id int4, model_run_id int4",
    ),
    (
        "projects_projectsummary",
        "project_id int4, created_at timestamptz, all_data_columns jsonb, common_data_columns jsonb, \
         created_annotations jsonb, created_labels jsonb, created_labels_drafts jsonb",
    ),
];

/// The same for links of imports, and of exports.
const LINK: &str =
    "task_id int4, key text, object_exists bool, created_at timestamptz, storage_id int4, row_index int4";
const EXPORT_LINK: &str =
    "annotation_id int4, storage_id int4, object_exists bool, created_at timestamptz, updated_at timestamptz";

/// Columns that are filled where they exist: those of later versions.
const OPTIONAL: &[(&str, &str)] = &[("task", "allow_skip bool")];

/// What the catalog has of a column.
struct Found {
    /// The internal name of its type, such as `int4`.
    type_name: String,
    /// Whether a row without a value for it is refused.
    is_required: bool,
}

/// What is wrong with the columns of the tables that Longshore writes, in sentences for the operator.
pub(super) async fn faults(client: &impl GenericClient) -> Result<Vec<String>> {
    let written = written();
    let tables: Vec<&str> = written.iter().map(|(table, _)| table.as_str()).collect();
    let rows = client
        .query(
            "SELECT c.relname::text, a.attname::text, y.typname::text,
                    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '' AS is_required
               FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
               JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type y ON y.oid = a.atttypid
              WHERE n.nspname = 'public' AND c.relname = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped",
            &[&tables],
        )
        .await?;
    let mut found: BTreeMap<&str, BTreeMap<&str, Found>> = BTreeMap::new();
    for row in &rows {
        let column = Found { type_name: row.get(2), is_required: row.get(3) };
        found.entry(row.get(0)).or_default().insert(row.get(1), column);
    }
    Ok(written.iter().flat_map(|(table, columns)| table_faults(table, columns, found.get(table.as_str()))).collect())
}

fn written() -> Vec<(String, &'static str)> {
    let links = every_kind().map(|(_, direction, tables)| match direction {
        longshore_model::Direction::Import => (tables.links, LINK),
        longshore_model::Direction::Export => (tables.links, EXPORT_LINK),
    });
    WRITTEN.iter().map(|(table, columns)| ((*table).to_owned(), *columns)).chain(links).collect()
}

/// Names and types of a list of columns.
fn pairs(columns: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    columns.split(", ").filter_map(|column| column.split_once(' '))
}

/// What is wrong with one table: columns that are missing or have another type, and columns without which a row is
/// refused.
fn table_faults(table: &str, written: &'static str, found: Option<&BTreeMap<&str, Found>>) -> Vec<String> {
    let Some(found) = found else { return vec![format!("Label Studio has no table `{table}`.")] };
    let optional = || OPTIONAL.iter().filter(|(of, _)| *of == table).flat_map(|(_, columns)| pairs(columns));
    let missing = pairs(written).filter(|(column, _)| !found.contains_key(column));
    let missing = missing.map(|(column, _)| format!("Label Studio's table `{table}` has no column `{column}`."));
    let changed = pairs(written).chain(optional()).filter_map(|(column, expected)| {
        let current = found.get(column)?.type_name.as_str();
        // Both have the same binary form.
        let current = if current == "varchar" { "text" } else { current };
        (current != expected).then(|| {
            format!(
                "Column `{column}` of Label Studio's table `{table}` has type {current} instead of {expected}. Use a \
                 supported version of Label Studio, or a later release of Longshore."
            )
        })
    });
    let is_written = |column: &str| pairs(written).chain(optional()).any(|(name, _)| name == column);
    let required = found.iter().filter(|(column, found)| found.is_required && !is_written(column));
    let required = required.map(|(column, _)| {
        format!(
            "Label Studio's table `{table}` needs a value in column `{column}`, which this release does not know. Use a \
             supported version of Label Studio, or a later release of Longshore."
        )
    });
    missing.chain(changed).chain(required).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_needs_the_written_columns_with_their_types_and_no_other() {
        let faults = |columns: &[(&'static str, &str, bool)]| {
            let found = |(name, type_name, is_required): &(&'static str, &str, bool)| {
                (*name, Found { type_name: (*type_name).to_owned(), is_required: *is_required })
            };
            table_faults("task", "data jsonb, note text", Some(&columns.iter().map(found).collect()))
        };
        let [data, note] = [("data", "jsonb", true), ("note", "varchar", false)];
        assert_eq!(faults(&[data, note, ("other", "text", false), ("allow_skip", "bool", true)]), [""; 0]);
        let [missing, required] = &faults(&[data, ("extra", "text", true)])[..] else { panic!("two faults") };
        assert!(missing.contains("`note`") && required.contains("`extra`"), "{missing} {required}");
        let [changed] = &faults(&[data, ("note", "int8", false)])[..] else { panic!("one fault") };
        assert!(changed.contains("`note`") && changed.contains("int8 instead of text"), "{changed}");
        assert_eq!(faults(&[data, note, ("allow_skip", "int4", false)]).len(), 1);
        assert_eq!(table_faults("task", "", None).len(), 1);
    }
}
