//! The rights on Label Studio's tables that Longshore's role needs.
//!
//! `deploy/label-studio/rights.md` has them as statements, and the system tests run the programs with exactly those.

use longshore_model::Direction;

use super::tables::every_kind;
use crate::rights::quoted;
use crate::{GenericClient, Result};

const READ: &[&str] = &["SELECT"];
const ADD: &[&str] = &["SELECT", "INSERT"];
const CHANGE: &[&str] = &["SELECT", "UPDATE"];

/// The tables that do not depend on a storage's kind. To lock a row, `FOR UPDATE` and its siblings need `UPDATE`.
const TABLES: &[(&str, &[&str])] = &[
    ("core_asyncmigrationstatus", READ),
    ("data_import_fileupload", READ),
    ("django_migrations", READ),
    ("organizations_organizationmember", READ),
    ("prediction", ADD),
    ("project", CHANGE),
    ("projects_projectsummary", &["SELECT", "INSERT", "UPDATE"]),
    ("task", &["SELECT", "INSERT", "UPDATE"]),
    ("task_comment_authors", READ),
    ("task_completion", ADD),
    ("tasks_annotationdraft", READ),
    ("webhook", READ),
    ("webhook_action", READ),
];

/// Privileges on columns: the names of users without their passwords, and to lock an annotation that is exported, which
/// takes `UPDATE` of any column.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("htx_user", "SELECT", &["id", "first_name", "last_name", "email"]),
    ("task_completion", "UPDATE", &["updated_at"]),
];

/// Sequences whose numbers are taken before the rows are written.
const SEQUENCES: &[&str] = &["task_id_seq"];

/// Every table and the privileges on it, by name.
fn tables() -> Vec<(String, &'static [&'static str])> {
    let mut all: Vec<(String, &[&str])> = TABLES.iter().map(|(name, rights)| ((*name).to_owned(), *rights)).collect();
    for (_, direction, tables) in every_kind() {
        all.push((tables.storages, CHANGE));
        all.extend(tables.parents.map(|parents| (parents.to_owned(), READ)));
        all.push((
            tables.links,
            match direction {
                Direction::Import => ADD,
                Direction::Export => &["SELECT", "INSERT", "UPDATE", "DELETE"],
            },
        ));
    }
    all.sort();
    all.dedup();
    all
}

/// The statements that give a role the rights on Label Studio's tables. Their owner runs them, again after each upgrade
/// of Label Studio or Longshore.
pub fn grants(role: &str) -> String {
    let role = quoted(role);
    let tables = tables();
    let tables =
        tables.iter().map(|(table, rights)| format!("GRANT {} ON public.{table} TO {role};\n", rights.join(", ")));
    let columns = COLUMNS.iter().map(|(table, privilege, columns)| {
        format!("GRANT {privilege} ({}) ON public.{table} TO {role};\n", columns.join(", "))
    });
    let sequences = SEQUENCES.iter().map(|sequence| format!("GRANT USAGE ON SEQUENCE public.{sequence} TO {role};\n"));
    let usage = format!("GRANT USAGE ON SCHEMA public TO {role};\n");
    std::iter::once(usage).chain(tables).chain(columns).chain(sequences).collect()
}

/// The rights that the connected role lacks, such as `INSERT on task`. Tables that do not exist are left out: the check
/// of the version names them.
pub(super) async fn missing(client: &impl GenericClient) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for (table, rights) in tables() {
        let query = "SELECT privilege FROM unnest($2::text[]) privilege
                      WHERE NOT coalesce(has_table_privilege(to_regclass('public.' || $1::text), privilege), true)";
        let lacking = client.query(query, &[&table, &rights.to_vec()]).await?;
        let lacking: Vec<&str> = lacking.iter().map(|row| row.get(0)).collect();
        if !lacking.is_empty() {
            missing.push(format!("{} on {table}", lacking.join(", ")));
        }
    }
    for (table, privilege, columns) in COLUMNS {
        let query = "SELECT name FROM unnest($2::text[]) name
                      WHERE NOT coalesce(has_column_privilege(to_regclass('public.' || $1::text), name, $3), true)";
        let lacking = client.query(query, &[table, &columns.to_vec(), privilege]).await?;
        let lacking: Vec<&str> = lacking.iter().map(|row| row.get(0)).collect();
        if !lacking.is_empty() {
            missing.push(format!("{privilege} ({}) on {table}", lacking.join(", ")));
        }
    }
    let usable = "SELECT sequence FROM unnest($1::text[]) sequence
                   WHERE NOT coalesce(has_sequence_privilege(to_regclass('public.' || sequence), 'USAGE'), true)";
    let sequences = client.query(usable, &[&SEQUENCES.to_vec()]).await?;
    missing.extend(sequences.iter().map(|row| format!("USAGE on {}", row.get::<_, &str>(0))));
    Ok(missing)
}
