//! The rights on Label Studio's tables that Longshore's role needs.
//!
//! `deploy/label-studio/rights.md` has them as statements, and the system tests run the programs with exactly those.

use longshore_model::Direction;

use super::tables::every_kind;
use crate::rights::quoted;
use crate::{GenericClient, Result};

const READ: &[&str] = &["SELECT"];
const ADD: &[&str] = &["SELECT", "INSERT"];

/// The tables that do not depend on a storage's kind.
const TABLES: &[(&str, &[&str])] = &[
    ("core_asyncmigrationstatus", READ),
    ("data_import_fileupload", READ),
    ("django_migrations", READ),
    ("organizations_organizationmember", READ),
    ("prediction", ADD),
    ("project", READ),
    ("projects_projectsummary", ADD),
    ("task", ADD),
    ("task_comment_authors", READ),
    ("task_completion", ADD),
    ("tasks_annotationdraft", READ),
    ("webhook", READ),
    ("webhook_action", READ),
];

/// Privileges on columns of such tables. To lock a row, `FOR UPDATE` and its siblings need `UPDATE` of any column: the
/// time is there only for the locks on a project and on an annotation that is exported.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    // The names of users without their passwords.
    ("htx_user", "SELECT", &["id", "first_name", "last_name", "email"]),
    // Not the passwords of ML backends.
    ("ml_mlbackend", "SELECT", &["id"]),
    ("ml_models_modelrun", "SELECT", &["id"]),
    ("project", "UPDATE", &["updated_at"]),
    (
        "projects_projectsummary",
        "UPDATE",
        &["all_data_columns", "common_data_columns", "created_annotations", "created_labels"],
    ),
    ("task", "UPDATE", &["overlap", "is_labeled"]),
    ("task_completion", "UPDATE", &["updated_at"]),
];

/// What a sync shows in the row of its storage.
const SHOWN: &[&str] = &["status", "last_sync", "last_sync_count", "last_sync_job", "traceback", "meta"];

/// The tables beside the links whose rows get their IDs from a sequence.
const NUMBERED: &[&str] = &["prediction", "task", "task_completion"];

/// Takes the name of a table from the parameter, or null if there is none, and never fails because it is missing.
const TABLE: &str = "to_regclass('public.' || $1::text)";

type Columns = (String, &'static str, &'static [&'static str]);

/// Every table and the privileges on it, by name.
fn tables() -> Vec<(String, &'static [&'static str])> {
    let mut all: Vec<(String, &[&str])> = TABLES.iter().map(|(name, rights)| ((*name).to_owned(), *rights)).collect();
    for (_, _, tables) in every_kind() {
        all.push((tables.storages, READ));
        all.extend(tables.parents.map(|parents| (parents.to_owned(), READ)));
        all.push((tables.links, ADD));
    }
    all.sort();
    all.dedup();
    all
}

/// The privileges on columns, by table.
fn columns() -> Vec<Columns> {
    let mut all: Vec<Columns> = COLUMNS.iter().map(|(table, right, of)| ((*table).to_owned(), *right, *of)).collect();
    for (_, direction, tables) in every_kind() {
        all.push((tables.storages, "UPDATE", SHOWN));
        if direction == Direction::Export {
            all.push((tables.links, "UPDATE", &["updated_at"]));
        }
    }
    all.sort();
    all
}

/// The tables whose rows get their IDs from a sequence.
fn numbered() -> Vec<String> {
    let links = every_kind().map(|(_, _, tables)| tables.links);
    let mut all: Vec<String> = NUMBERED.iter().map(|name| (*name).to_owned()).chain(links).collect();
    all.sort();
    all
}

/// Whether this is a table of Label Studio that Longshore uses.
pub(crate) fn names(table: &str) -> bool {
    tables().iter().any(|(name, _)| name == table) || columns().iter().any(|(name, ..)| name == table)
}

/// The statements that give a role the rights on Label Studio's tables. Their owner runs them, again after each upgrade
/// of Label Studio or Longshore.
pub fn grants(role: &str) -> String {
    let name = quoted(role);
    let tables = tables();
    let tables =
        tables.iter().map(|(table, rights)| format!("GRANT {} ON public.{table} TO {name};\n", rights.join(", ")));
    let columns = columns();
    let columns = columns.iter().map(|(table, privilege, columns)| {
        format!("GRANT {privilege} ({}) ON public.{table} TO {name};\n", columns.join(", "))
    });
    let usage = format!("GRANT USAGE ON SCHEMA public TO {name};\n");
    std::iter::once(usage).chain(tables).chain(columns).chain([sequences(role)]).collect()
}

/// The statement that gives a role the sequences of IDs, whatever their names are: they depend on the version of Label
/// Studio that made the tables.
fn sequences(role: &str) -> String {
    // A tag that the role does not have, or its name could end the block.
    let tag = (0..).map(|length| format!("${}$", "x".repeat(length))).find(|tag| !role.contains(tag.as_str()));
    let tag = tag.unwrap_or_default();
    format!(
        "DO {tag}
DECLARE
    numbers text;
BEGIN
    FOR numbers IN SELECT pg_get_serial_sequence('public.' || name, 'id') FROM unnest(ARRAY[
        '{}'
    ]) name LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', numbers, '{}');
    END LOOP;
END
{tag};
",
        numbered().join("',\n        '"),
        role.replace('\'', "''")
    )
}

/// The rights that the connected role lacks, such as `INSERT on task`. Tables and columns that do not exist are left out:
/// the check of the version names them.
pub(super) async fn missing(client: &impl GenericClient) -> Result<Vec<String>> {
    let usage = "SELECT coalesce(has_schema_privilege(to_regnamespace('public'), 'USAGE'), true)";
    if !client.query_one(usage, &[]).await?.get::<_, bool>(0) {
        // Without it no table can be looked up.
        return Ok(vec!["USAGE on schema public".to_owned()]);
    }
    let mut missing = Vec::new();
    for (table, rights) in tables() {
        let text = format!(
            "SELECT privilege FROM unnest($2::text[]) privilege
              WHERE NOT coalesce(has_table_privilege({TABLE}, privilege), true)"
        );
        let lacking = client.query(&text, &[&table, &rights.to_vec()]).await?;
        let lacking: Vec<&str> = lacking.iter().map(|row| row.get(0)).collect();
        if !lacking.is_empty() {
            missing.push(format!("{} on {table}", lacking.join(", ")));
        }
    }
    for (table, privilege, columns) in columns() {
        let text = format!(
            "SELECT attname::text FROM pg_attribute
              WHERE attrelid = {TABLE} AND attname::text = ANY ($2::text[]) AND NOT attisdropped
                AND NOT has_column_privilege(attrelid, attnum, $3) ORDER BY attnum"
        );
        let lacking = client.query(&text, &[&table, &columns.to_vec(), &privilege]).await?;
        let lacking: Vec<&str> = lacking.iter().map(|row| row.get(0)).collect();
        if !lacking.is_empty() {
            missing.push(format!("{privilege} ({}) on {table}", lacking.join(", ")));
        }
    }
    missing.extend(missing_sequences(client).await?);
    Ok(missing)
}

/// The sequences that the role may not use. An identity column needs no right for the IDs of its rows, but those of tasks
/// are taken before the rows are written.
async fn missing_sequences(client: &impl GenericClient) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for table in numbered() {
        let text = format!(
            "SELECT numbers FROM (
                 SELECT pg_get_serial_sequence(attrelid::regclass::text, attname::text) AS numbers FROM pg_attribute
                  WHERE attrelid = {TABLE} AND attname = 'id' AND NOT attisdropped
                    AND (attidentity = '' OR $1::text = 'task')) needed
              WHERE NOT has_sequence_privilege(numbers, 'USAGE')"
        );
        let lacking = client.query_opt(&text, &[&table]).await?;
        missing.extend(lacking.map(|row| format!("USAGE on sequence {}", row.get::<_, &str>(0))));
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_role_ends_the_statement_about_sequences() {
        let statement = sequences("a'b$$; DROP TABLE task; $x$");
        assert!(statement.starts_with("DO $xx$\n") && statement.ends_with("\n$xx$;\n"), "{statement}");
        assert!(statement.contains("'a''b$$; DROP TABLE task; $x$'"), "{statement}");
    }
}
