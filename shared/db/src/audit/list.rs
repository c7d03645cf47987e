//! Lists audit entries for admins.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::bounded::{bounded, settings_bytes};
use crate::{Bounded, GenericClient, Result};

/// A stored entry.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// ID of the entry. Later entries have larger ones.
    pub id: i64,
    /// When it was written, by the database clock.
    pub at: Timestamp,
    /// `api`, `sql`, `amqp` or `scheduler`.
    pub source: String,
    /// ID of the token that was used. `None` if there was none, and in entries of earlier releases.
    pub token_id: Option<i64>,
    /// Name of the token that was used. `None` if there was none.
    pub token: Option<String>,
    /// Role of the database for `sql`, user of the broker for `amqp`. `None` otherwise, or if unknown.
    pub actor: Option<String>,
    /// The caller's address; of denied requests over IPv6, its network, such as `2001:db8::/64`. `None` if unknown.
    pub address: Option<String>,
    /// What was done.
    pub action: String,
    /// ID of the changed project. `None` for a change outside of projects.
    pub project_id: Option<i64>,
    /// ID of the changed storage. `None` for other changes.
    pub storage_id: Option<i64>,
    /// ID of the changed sync. `None` for other changes.
    pub sync_id: Option<i64>,
    /// Further details, a JSON object.
    pub detail: Value,
}

/// Which entries to list. `None` means any.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditFilter<'a> {
    /// Only this action.
    pub action: Option<&'a str>,
    /// Only this source.
    pub source: Option<&'a str>,
    /// Only the token with this ID.
    pub token: Option<i64>,
    /// Only these addresses.
    pub addresses: Option<&'a [String]>,
    /// Only this project.
    pub project: Option<i64>,
    /// Only this storage.
    pub storage: Option<i64>,
    /// Only this sync.
    pub sync: Option<i64>,
    /// Only entries of this time or later.
    pub since: Option<Timestamp>,
    /// Only entries of an earlier time than this.
    pub until: Option<Timestamp>,
    /// Only entries with a smaller ID, for the next page.
    pub before: Option<i64>,
}

/// At most `limit` entries, newest first, as far as they fit into `most` bytes.
///
/// The SQL text has only the filters that are set, so each combination gets its own plan. It is not prepared.
pub async fn list(
    client: &impl GenericClient,
    filter: &AuditFilter<'_>,
    limit: i64,
    most: i64,
) -> Result<Bounded<AuditRow>> {
    let before = filter.before.unwrap_or(i64::MAX);
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&before, &limit, &most];
    let mut conditions = String::from("id < $1");
    let mut with = |column: &str, value| {
        values.push(value);
        conditions.push_str(&format!(" AND {column} (${})", values.len()));
    };
    for (column, text) in [("action =", &filter.action), ("source =", &filter.source)] {
        if let Some(text) = text {
            with(column, text);
        }
    }
    if let Some(addresses) = &filter.addresses {
        with("address = ANY", addresses);
    }
    let ids = [("token_id =", &filter.token), ("project_id =", &filter.project), ("storage_id =", &filter.storage)];
    for (column, id) in ids.into_iter().chain([("sync_id =", &filter.sync)]) {
        if let Some(id) = id {
            with(column, id);
        }
    }
    for (column, time) in [("at >=", &filter.since), ("at <", &filter.until)] {
        if let Some(time) = time {
            with(column, time);
        }
    }
    let page = format!("SELECT * FROM audit WHERE {conditions} ORDER BY id DESC LIMIT $2");
    let bytes = format!("1024 + {}", settings_bytes("detail"));
    let text = bounded(
        &page,
        &bytes,
        "id DESC",
        "id, at, source, token_id, token, actor, address, action, project_id, storage_id, sync_id, detail",
        "$3",
    );
    Bounded::read(&client.query(&text, &values).await?, |row| Ok(read(row)))
}

fn read(row: &Row) -> AuditRow {
    AuditRow {
        id: row.get("id"),
        at: row.get("at"),
        source: row.get("source"),
        token_id: row.get("token_id"),
        token: row.get("token"),
        actor: row.get("actor"),
        address: row.get("address"),
        action: row.get("action"),
        project_id: row.get("project_id"),
        storage_id: row.get("storage_id"),
        sync_id: row.get("sync_id"),
        detail: row.get("detail"),
    }
}
