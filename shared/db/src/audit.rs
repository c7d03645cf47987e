//! The `audit` table: who changed what, and whose requests were denied. Callers write an entry in the transaction of the
//! change.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

mod list;

use serde_json::Value;

use crate::{GenericClient, Result};

pub use list::{AuditFilter, AuditRow, list};

/// Where a change came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// A caller of the API.
    Api,
    /// A message to `longshore.requests`. SQL function `enqueue_sync` writes `sql` itself.
    Amqp,
    /// The scheduler itself, at its start or by a command.
    #[default]
    Scheduler,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Amqp => "amqp",
            Self::Scheduler => "scheduler",
        }
    }
}

/// The audit entry of one change.
#[derive(Debug, Clone, Default)]
pub struct Entry<'a> {
    /// Where the change came from.
    pub source: Source,
    /// ID of the token that was used. `None` if there was none.
    pub token_id: Option<i64>,
    /// The name of the token that was used. `None` if there was none.
    pub token: Option<&'a str>,
    /// The user of the broker who sent the message, or the user of Label Studio who sent the request. `None` if there is
    /// neither.
    pub actor: Option<&'a str>,
    /// The caller's address. `None` if unknown.
    pub address: Option<&'a str>,
    /// What was done, such as `storage.create`.
    pub action: &'static str,
    /// ID of the changed project, or of the changed storage's project. `None` for a change outside of projects.
    pub project_id: Option<i64>,
    /// ID of the storage that was changed or synced. `None` for other changes.
    pub storage_id: Option<i64>,
    /// ID of the sync that was started or changed. `None` for other changes.
    pub sync_id: Option<i64>,
    /// Further details as JSON. Null is stored as an empty object. Of what a caller sent it has names of known fields, IDs,
    /// numbers and words of a fixed set; the only text that a caller chooses is the name of a token. Never a secret.
    pub detail: Value,
}

/// Writes an entry.
pub async fn write(client: &impl GenericClient, entry: &Entry<'_>) -> Result<()> {
    let detail = if entry.detail.is_null() { Value::Object(serde_json::Map::new()) } else { entry.detail.clone() };
    let statement = client
        .prepare_cached(
            "INSERT INTO audit (source, token_id, token, actor, address, action, project_id, storage_id, sync_id, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .await?;
    let Entry { token_id, token, actor, address, action, project_id, storage_id, sync_id, .. } = entry;
    let source = entry.source.as_str();
    client
        .execute(
            &statement,
            &[&source, token_id, token, actor, address, action, project_id, storage_id, sync_id, &detail],
        )
        .await?;
    Ok(())
}

/// Deletes entries that are older than `keep_days` days, and returns their number, at most 1,000.
///
/// Reads only the thousand oldest entries, so a call that finds nothing to delete is cheap, and its transaction is
/// short.
pub async fn prune(client: &impl GenericClient, keep_days: i32) -> Result<u64> {
    Ok(client
        .execute(
            // An array, not `IN`: for a join, Postgres may read a whole table that has grown since its last analyze.
            "DELETE FROM audit WHERE id = ANY (ARRAY(
                 SELECT id FROM (SELECT id, at FROM audit ORDER BY id LIMIT 1000) oldest
                  WHERE at < now() - make_interval(days => $1)))",
            &[&keep_days],
        )
        .await?)
}
