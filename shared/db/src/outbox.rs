//! The `outbox` table: messages to publish. Each is written in the transaction that makes its job due.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use longshore_model::JobKind;

use crate::row::word;
use crate::{GenericClient, Result, Transaction};

/// A message to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueMessage {
    /// ID of the job that the message wakes a worker for.
    pub job: i64,
    /// The job's kind, which decides the queue.
    pub kind: JobKind,
}

/// Locks and returns at most `limit` due messages, oldest first. Other relays skip them until this transaction ends.
pub async fn take_due(tx: &Transaction<'_>, limit: i64) -> Result<Vec<DueMessage>> {
    let rows = tx
        .query(
            "SELECT o.job_id, j.kind FROM outbox o JOIN jobs j ON j.id = o.job_id
              WHERE o.due_at <= now() ORDER BY o.due_at LIMIT $1 FOR UPDATE OF o SKIP LOCKED",
            &[&limit],
        )
        .await?;
    rows.iter().map(|row| Ok(DueMessage { job: row.get(0), kind: word(row, "kind")? })).collect()
}

/// Deletes messages that the broker has confirmed.
pub async fn confirm(tx: &Transaction<'_>, jobs: &[i64]) -> Result<()> {
    // Lock only the outbox: a page that commits now may hold its job's row and wait for the outbox row.
    tx.execute("DELETE FROM outbox WHERE job_id = ANY ($1)", &[&jobs]).await?;
    Ok(())
}

/// Milliseconds until the next message is due, at least 0. `None` if the outbox is empty.
pub async fn due_in_ms(client: &impl GenericClient) -> Result<Option<i64>> {
    let row =
        client.query_one("SELECT (extract(epoch FROM min(due_at) - now()) * 1000)::bigint FROM outbox", &[]).await?;
    Ok(row.get::<_, Option<i64>>(0).map(|ms| ms.max(0)))
}

/// Number of due messages.
pub async fn count_due(client: &impl GenericClient) -> Result<i64> {
    Ok(client.query_one("SELECT count(*) FROM outbox WHERE due_at <= now()", &[]).await?.get(0))
}
