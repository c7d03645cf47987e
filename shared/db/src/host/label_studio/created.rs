//! The `host_created_tasks` table: tasks that pages of imports made, until they are part of deliveries to webhooks.

use super::deliveries;
use super::runs::Runs;
use crate::{GenericClient, Result, Transaction};

/// Tasks of a delivery: the default of Label Studio's setting `WEBHOOK_BATCH_SIZE`.
const BATCH: i64 = 5_000;

/// The first key of the advisory lock of a sync's deliveries; "crea" in ASCII. The second key is a hash of the sync's ID: two
/// syncs with the same one only wait for each other.
const DELIVERIES: i32 = 0x6372_6561;

/// Records the tasks of a page in its transaction, for the live sync of the storage.
pub(super) async fn record(
    tx: &Transaction<'_>,
    storage_id: i64,
    project_id: i64,
    ids: &[i32],
    annotations: usize,
) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "INSERT INTO host_created_tasks (sync_id, project_id, first_ids, last_ids, tasks, annotations)
             SELECT id, $2, $3, $4, $5, $6 FROM syncs WHERE storage_id = $1 AND finished_at IS NULL",
        )
        .await?;
    let runs = Runs::of(ids.to_vec());
    let (tasks, annotations) =
        (i32::try_from(ids.len()).unwrap_or(i32::MAX), i64::try_from(annotations).unwrap_or(i64::MAX));
    tx.execute(&statement, &[&storage_id, &project_id, &runs.first, &runs.last, &tasks, &annotations]).await?;
    Ok(())
}

/// Syncs with tasks for a whole delivery.
pub async fn list_batches(client: &impl GenericClient) -> Result<Vec<i64>> {
    let full = "SELECT sync_id FROM host_created_tasks GROUP BY sync_id HAVING sum(tasks) >= $1";
    Ok(client.query(full, &[&BATCH]).await?.iter().map(|row| row.get(0)).collect())
}

/// Locks the deliveries of a sync until the transaction ends. Without the lock, two deliveries would choose the same rows; the
/// second one would find them deleted, and take that for the end of the tasks.
pub(super) async fn lock(tx: &Transaction<'_>, sync_id: i64) -> Result<()> {
    tx.execute("SELECT pg_advisory_xact_lock($1, hashint8($2))", &[&DELIVERIES, &sync_id]).await?;
    Ok(())
}

/// Makes the next tasks of a sync part of a delivery to each webhook, at most [`BATCH`]. Returns false if there are none. The
/// caller has the lock of the sync's deliveries.
pub(super) async fn deliver(tx: &Transaction<'_>, sync_id: i64) -> Result<bool> {
    let rows = tx
        .query(
            "DELETE FROM host_created_tasks WHERE id = ANY (ARRAY(
                    SELECT id FROM (SELECT id, tasks, sum(tasks) OVER (ORDER BY id) AS total
                                      FROM host_created_tasks WHERE sync_id = $1 AND tasks > 0) next
                     WHERE total <= $2 OR total = tasks))
             RETURNING project_id, first_ids, last_ids, annotations",
            &[&sync_id, &BATCH],
        )
        .await?;
    let Some(project_id) = rows.first().map(|row| row.get::<_, i64>("project_id")) else { return Ok(false) };
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for row in &rows {
        let (first, last): (Vec<i32>, Vec<i32>) = (row.get("first_ids"), row.get("last_ids"));
        runs.extend(first.into_iter().zip(last));
    }
    runs.sort_unstable();
    deliveries::insert(tx, sync_id, project_id, &Runs::merged(runs.into_iter())).await?;
    let annotations: i64 = rows.iter().map(|row| row.get::<_, i64>("annotations")).sum();
    if annotations > 0 {
        // Kept without its tasks, for the end of the sync.
        tx.execute(
            "INSERT INTO host_created_tasks (sync_id, project_id, first_ids, last_ids, tasks, annotations)
             VALUES ($1, $2, '{}', '{}', 0, $3)",
            &[&sync_id, &project_id, &annotations],
        )
        .await?;
    }
    Ok(true)
}

/// Makes one delivery of a sync that may still run.
pub async fn deliver_batch(client: &mut crate::Client, sync_id: i64) -> Result<()> {
    let tx = client.transaction().await?;
    lock(&tx, sync_id).await?;
    deliver(&tx, sync_id).await?;
    tx.commit().await?;
    Ok(())
}

/// Removes the rows of an ended sync, whose tasks are all delivered. Returns whether its tasks came with annotations.
pub(super) async fn end(tx: &Transaction<'_>, sync_id: i64) -> Result<bool> {
    // Rows with tasks stay: they are not delivered.
    let delivered = "DELETE FROM host_created_tasks WHERE sync_id = $1 AND tasks = 0 RETURNING annotations";
    let rows = tx.query(delivered, &[&sync_id]).await?;
    Ok(rows.iter().any(|row| row.get::<_, i64>(0) > 0))
}
