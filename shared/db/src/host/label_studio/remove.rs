//! Removes Longshore from the database of a Label Studio.

use std::fmt;

use jiff::Timestamp;
use longshore_model::{Direction, StorageKind};
use serde_json::json;

use super::tables::StorageTables;
use super::{fence, fold};
use crate::host::host_time;
use crate::row::word;
use crate::{Client, Error, RawJson, Result, Transaction};

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The schema is dropped.
    Done {
        /// Storages whose status a sync of Longshore held. Label Studio can sync them now.
        released: usize,
    },
    /// Nothing is dropped: what follows from imports is still to be done, and would never be.
    Due(Due),
}

/// What follows from imports and is still to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// Projects with tasks that are not in their summary, because it cannot be read.
    pub summaries: i64,
    /// Imports whose overlap cohort or webhooks are still to come.
    pub effects: i64,
    /// Webhook calls that are still to be sent.
    pub deliveries: i64,
    /// Imports whose annotations are still to be exported.
    pub exports: i64,
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.summaries, "projects with tasks that are not in their summary yet"),
            (self.effects, "imports whose overlap cohort or webhooks are still to come"),
            (self.deliveries, "webhook calls to send"),
            (self.exports, "imports whose annotations are still to be exported"),
        ];
        let due = all.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}"));
        f.write_str(&due.collect::<Vec<_>>().join("; "))
    }
}

/// The programs that are connected to this database, such as `longshore-worker`.
pub async fn running(client: &Client) -> Result<Vec<String>> {
    // The connections of a program have names of one beginning. Not those of tools, such as this one.
    let text = "SELECT DISTINCT substring(application_name FROM '^longshore-(?:scheduler|worker)')
                  FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name ~ '^longshore-(scheduler|worker)'
                 ORDER BY 1";
    Ok(client.query(text, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Adds what is recorded to the summaries of projects. Then drops the schema and releases the storages that live syncs
/// hold, in one transaction, unless effects of imports are due and `force` is false.
///
/// # Errors
/// The role may not drop the schema, or not change Label Studio's summaries and storages. [`Error::NotFound`] without a
/// schema.
pub async fn remove(client: &mut Client, force: bool) -> Result<Removal> {
    let exists = client.query_one("SELECT to_regclass('longshore.storages') IS NOT NULL", &[]).await?;
    if !exists.get::<_, bool>(0) {
        return Err(Error::NotFound("schema longshore".to_owned()));
    }
    loop {
        let is_folded = fold_all(client).await?;
        let tx = client.transaction().await?;
        // Locked first, so that no sync starts and no page is written between the steps.
        let lock = "LOCK TABLE longshore.storages, longshore.syncs, longshore.host_deltas IN ACCESS EXCLUSIVE MODE";
        tx.batch_execute(lock).await?;
        let due = due(&tx).await?;
        if is_folded && due.summaries > 0 {
            // A page was written meanwhile.
            continue;
        }
        if due != Due::default() && !force {
            return Ok(Removal::Due(due));
        }
        let released = release(&tx).await?;
        tx.batch_execute("DROP SCHEMA longshore CASCADE").await?;
        tx.commit().await?;
        return Ok(Removal::Done { released });
    }
}

/// Adds all that is recorded to the summaries. Returns false if one of them cannot be read.
async fn fold_all(client: &mut Client) -> Result<bool> {
    let (mut done, mut is_folded) = (Vec::new(), true);
    while let Some(project) = fold::next_to_fold(client, &done).await? {
        match fold(client, project).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(Error::Unreadable { .. }) => is_folded = false,
            Err(error) => return Err(error),
        }
        done.push(project);
    }
    Ok(is_folded)
}

async fn due(tx: &Transaction<'_>) -> Result<Due> {
    let text = "SELECT (SELECT count(DISTINCT project_id) FROM longshore.host_deltas),
                       (SELECT count(*) FROM longshore.syncs y WHERE (y.effects_due AND y.finished_at IS NOT NULL)
                            OR EXISTS (SELECT FROM longshore.host_created_tasks c WHERE c.sync_id = y.id)),
                       (SELECT count(*) FROM longshore.webhook_deliveries),
                       (SELECT count(*) FROM longshore.syncs WHERE exports_due)";
    let row = tx.query_one(text, &[]).await?;
    Ok(Due { summaries: row.get(0), effects: row.get(1), deliveries: row.get(2), exports: row.get(3) })
}

/// Ends the syncs that Label Studio's rows of storages show, unless it has started its own since. Returns their number.
async fn release(tx: &Transaction<'_>) -> Result<usize> {
    let held = "SELECT s.kind, s.direction, s.host_id, y.created_at FROM longshore.storages s
                  JOIN longshore.syncs y ON y.storage_id = s.id
                 WHERE s.host_id IS NOT NULL AND (y.finished_at IS NULL OR y.reported_at IS NULL)";
    let mut released = 0;
    for row in tx.query(held, &[]).await? {
        let (kind, direction): (StorageKind, Direction) = (word(&row, "kind")?, word(&row, "direction")?);
        let Some(tables) = StorageTables::of(kind, direction) else { continue };
        let text = format!(
            "UPDATE public.{} SET status = 'failed', traceback = $2, meta = coalesce(meta, '{{}}') || $3
              WHERE {} = $1::bigint AND status IN ('queued', 'in_progress') AND meta ->> 'time_queued' = $4",
            tables.storages, tables.id
        );
        let meta = RawJson(json!({"time_failure": host_time(Timestamp::now())}).to_string());
        let reason = "Longshore was removed while it synced this storage. Sync it again.";
        let (host_id, mark) = (row.get::<_, i64>("host_id"), fence::mark(row.get("created_at")));
        let shown = tx.execute(&text, &[&host_id, &reason, &meta, &mark]).await?;
        released += usize::try_from(shown).unwrap_or_default();
    }
    Ok(released)
}
