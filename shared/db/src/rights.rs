//! The rights that a role needs to run the programs, without owning the schema.
//!
//! `deploy/operations/rights.md` has them as statements, and the system tests run the programs with exactly those.

use crate::{GenericClient, Result};

const ALL: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];

/// Every table and the privileges on it. To lock a row, `FOR UPDATE` and its siblings need `UPDATE`.
pub(crate) const TABLES: &[(&str, &[&str])] = &[
    ("annotations", ALL),
    ("api_tokens", ALL),
    // Nothing of Longshore changes an entry.
    ("audit", &["SELECT", "INSERT", "DELETE"]),
    ("exports", ALL),
    ("host_created_tasks", &["SELECT", "INSERT", "DELETE"]),
    ("host_deltas", ALL),
    ("host_projects", &["SELECT", "INSERT", "UPDATE"]),
    ("job_warnings", &["SELECT", "INSERT", "UPDATE"]),
    ("jobs", &["SELECT", "INSERT", "UPDATE"]),
    ("objects", &["SELECT", "INSERT", "DELETE"]),
    ("outbox", ALL),
    ("predictions", ALL),
    ("projects", ALL),
    ("quarantine", ALL),
    // What was migrated; only the owner of the schema writes it.
    ("refinery_schema_history", &["SELECT"]),
    // A trigger with the rights of the schema's owner writes it.
    ("revoked_tokens", &["SELECT"]),
    ("scanned_keys", &["SELECT", "INSERT", "DELETE"]),
    ("storages", ALL),
    ("syncs", ALL),
    ("tasks", ALL),
    ("webhook_deliveries", ALL),
    ("workers", ALL),
];

/// Sequences whose numbers are taken before the rows are written.
const SEQUENCES: &[&str] = &["storages_id_seq", "tasks_id_seq"];

/// The functions that the programs call.
const FUNCTIONS: &[&str] = &["enqueue(bigint, text, text, jsonb)"];

/// The function that a host calls.
const HOST_FUNCTION: &str = "enqueue_sync(text, text, bigint, text, jsonb)";

/// The statements that give a role the rights to run the programs. The owner of the schema runs them, again after each
/// upgrade.
pub fn grants(role: &str) -> String {
    let role = quoted(role);
    let tables = TABLES
        .iter()
        .map(|(table, privileges)| format!("GRANT {} ON longshore.{table} TO {role};\n", privileges.join(", ")));
    let sequences =
        SEQUENCES.iter().map(|sequence| format!("GRANT USAGE ON SEQUENCE longshore.{sequence} TO {role};\n"));
    let functions =
        FUNCTIONS.iter().map(|function| format!("GRANT EXECUTE ON FUNCTION longshore.{function} TO {role};\n"));
    let usage = format!("GRANT USAGE ON SCHEMA longshore TO {role};\n");
    std::iter::once(usage).chain(tables).chain(sequences).chain(functions).collect()
}

/// The statements that let a role of a host start syncs, and nothing else.
pub fn host_grants(role: &str) -> String {
    let role = quoted(role);
    format!(
        "GRANT USAGE ON SCHEMA longshore TO {role};\n\
         GRANT EXECUTE ON FUNCTION longshore.{HOST_FUNCTION} TO {role};\n"
    )
}

/// A name as an SQL identifier. Quotes are left out where they change nothing, for people who read it.
pub(crate) fn quoted(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if !name.is_empty() && name.bytes().all(is_plain) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// The rights that the connected role lacks, such as `INSERT on tasks`. Tables that do not exist count as well.
pub(crate) async fn missing(client: &impl GenericClient) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for (table, privileges) in TABLES {
        let query = "SELECT privilege FROM unnest($2::text[]) privilege
                      WHERE NOT coalesce(has_table_privilege(to_regclass('longshore.' || $1::text), privilege), false)";
        let lacking = client.query(query, &[table, &privileges.to_vec()]).await?;
        let lacking: Vec<&str> = lacking.iter().map(|row| row.get(0)).collect();
        if !lacking.is_empty() {
            missing.push(format!("{} on {table}", lacking.join(", ")));
        }
    }
    let usable = "SELECT sequence FROM unnest($1::text[]) sequence
                   WHERE NOT coalesce(has_sequence_privilege(to_regclass('longshore.' || sequence), 'USAGE'), false)";
    let sequences = client.query(usable, &[&SEQUENCES.to_vec()]).await?;
    missing.extend(sequences.iter().map(|row| format!("USAGE on {}", row.get::<_, &str>(0))));
    let callable = "SELECT function FROM unnest($1::text[]) function
                     WHERE NOT coalesce(has_function_privilege(to_regprocedure('longshore.' || function), 'EXECUTE'), false)";
    let functions = client.query(callable, &[&FUNCTIONS.to_vec()]).await?;
    missing.extend(functions.iter().map(|row| format!("EXECUTE on {}", row.get::<_, &str>(0))));
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_with_any_name_is_quoted() {
        assert_eq!(quoted("longshore_app"), "longshore_app");
        assert_eq!(quoted(r#"Label "Studio"; DROP"#), r#""Label ""Studio""; DROP""#);
        assert!(host_grants("a b").contains("TO \"a b\";"));
    }
}
