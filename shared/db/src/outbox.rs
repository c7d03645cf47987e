//! The `outbox` table: messages that must reach the broker, written with what they speak of.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use crate::GenericClient;
use longshore_model::JobKind;

use crate::row::word;
use crate::{Result, Transaction};

/// A message to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueMessage {
    /// The job that the message names.
    pub job: i64,
    /// The job's kind, which decides the queue.
    pub kind: JobKind,
}

/// Takes due messages, oldest first; other relays skip them until this transaction ends.
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

/// Forgets messages that the broker has confirmed.
pub async fn confirm(tx: &Transaction<'_>, jobs: &[i64]) -> Result<()> {
    // Only the outbox: a page that commits meanwhile holds its job's row and may wait for this one.
    tx.execute("DELETE FROM outbox WHERE job_id = ANY ($1)", &[&jobs]).await?;
    Ok(())
}

/// Milliseconds until the next message is due, or `None` with an empty outbox.
pub async fn due_in_ms(client: &impl GenericClient) -> Result<Option<i64>> {
    let row =
        client.query_one("SELECT (extract(epoch FROM min(due_at) - now()) * 1000)::bigint FROM outbox", &[]).await?;
    Ok(row.get::<_, Option<i64>>(0).map(|ms| ms.max(0)))
}

/// Messages that wait to be sent.
pub async fn count_due(client: &impl GenericClient) -> Result<i64> {
    Ok(client.query_one("SELECT count(*) FROM outbox WHERE due_at <= now()", &[]).await?.get(0))
}
