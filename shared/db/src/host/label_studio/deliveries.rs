//! The `webhook_deliveries` table: what is still to be sent to webhooks of Label Studio.
//!
//! A row names tasks, not their content. A webhook gets its deliveries one at a time, in order; those of other webhooks do
//! not wait for it.

use std::time::Duration;

use super::runs::Runs;
use crate::{GenericClient, Result, Transaction};

/// Tasks of one sync for one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// ID of the delivery.
    pub id: i64,
    /// ID of the webhook in Label Studio.
    pub webhook_id: i64,
    /// ID of the sync that made the tasks.
    pub sync_id: i64,
    /// ID of their project.
    pub project_id: i64,
    /// Attempts so far, with the current one.
    pub attempts: i32,
    /// Whether it was made more than a day ago.
    pub is_old: bool,
    pub(super) runs: Runs,
    /// The webhook confirmed all tasks up to this ID.
    pub(super) sent_until: i32,
    /// The project's JSON text, once it is read: all requests of a delivery send the same one.
    pub(super) project: Option<String>,
}

/// Which deliveries to claim. A webhook that fails shares its places with others that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// Those without an attempt.
    First,
    /// Those whose first attempt failed, or whose scheduler died.
    Again,
}

/// Adds a delivery of these tasks for each active webhook of the project and of its organization.
pub(super) async fn insert(tx: &Transaction<'_>, sync_id: i64, project_id: i64, runs: &Runs) -> Result<()> {
    let added = tx
        .execute(
            "INSERT INTO webhook_deliveries (webhook_id, sync_id, project_id, first_ids, last_ids)
             SELECT w.id, $1, p.id, $3, $4
               FROM public.project p JOIN public.webhook w ON w.organization_id = p.organization_id
              WHERE p.id = $2::bigint AND to_jsonb(p) ->> 'deleted_at' IS NULL AND w.is_active
                AND (w.project_id IS NULL OR w.project_id = p.id)
                AND (w.send_for_all_actions OR EXISTS (
                     SELECT FROM public.webhook_action a WHERE a.webhook_id = w.id AND a.action = 'TASKS_CREATED'))
              ORDER BY w.id",
            &[&sync_id, &project_id, &runs.first, &runs.last],
        )
        .await?;
    if added > 0 {
        tx.batch_execute("NOTIFY longshore_webhooks").await?;
    }
    Ok(())
}

/// Claims the next due delivery. It becomes due again after `lease`, so it is sent again if this process dies.
pub async fn claim_delivery(client: &impl GenericClient, tries: Tries, lease: Duration) -> Result<Option<Delivery>> {
    let statement = client
        .prepare_cached(
            "UPDATE webhook_deliveries SET attempts = attempts + 1, due_at = now() + $2::float8 * interval '1 second'
              WHERE id = (SELECT d.id FROM webhook_deliveries d
                           WHERE d.due_at <= now() AND (d.attempts = 0) = $1
                             AND NOT EXISTS (SELECT FROM webhook_deliveries o WHERE o.webhook_id = d.webhook_id AND o.id < d.id)
                           ORDER BY d.id LIMIT 1 FOR UPDATE SKIP LOCKED)
          RETURNING id, webhook_id, sync_id, project_id, attempts, created_at < now() - interval '1 day' AS is_old,
                    first_ids, last_ids, sent_until",
        )
        .await?;
    let row = client.query_opt(&statement, &[&(tries == Tries::First), &lease.as_secs_f64()]).await?;
    Ok(row.map(|row| Delivery {
        id: row.get("id"),
        webhook_id: row.get("webhook_id"),
        sync_id: row.get("sync_id"),
        project_id: row.get("project_id"),
        attempts: row.get("attempts"),
        is_old: row.get("is_old"),
        runs: Runs { first: row.get("first_ids"), last: row.get("last_ids") },
        sent_until: row.get("sent_until"),
        project: None,
    }))
}

/// Records that the webhook confirmed all tasks up to `until`, and extends the claim.
pub async fn confirm_delivery(
    client: &impl GenericClient,
    delivery: &mut Delivery,
    until: i32,
    lease: Duration,
) -> Result<()> {
    delivery.sent_until = until;
    let text = "UPDATE webhook_deliveries
                   SET sent_until = greatest(sent_until, $2), due_at = now() + $3::float8 * interval '1 second' WHERE id = $1";
    client.execute(text, &[&delivery.id, &until, &lease.as_secs_f64()]).await?;
    Ok(())
}

/// Makes a delivery due again after a time.
pub async fn retry_delivery(client: &impl GenericClient, id: i64, after: Duration) -> Result<()> {
    let text = "UPDATE webhook_deliveries SET due_at = now() + $2::float8 * interval '1 second' WHERE id = $1";
    client.execute(text, &[&id, &after.as_secs_f64()]).await?;
    Ok(())
}

/// Deletes a delivery: it is sent, given up, or has no receiver. The next one of its webhook becomes due.
pub async fn drop_delivery(client: &impl GenericClient, id: i64) -> Result<()> {
    client.execute("DELETE FROM webhook_deliveries WHERE id = $1", &[&id]).await?;
    Ok(())
}
