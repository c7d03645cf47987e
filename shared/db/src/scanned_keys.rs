//! The `scanned_keys` table: which keys a job has listed in a storage without order. Such a storage may list a key
//! several times, long after the first time.
//!
//! Any function here fails while the database is unavailable; `# Errors` names the other cases.

use uuid::Uuid;

use crate::{GenericClient, Result, Transaction};

/// The digests, among these, of keys that the job has listed and committed.
pub async fn among(client: &impl GenericClient, job_id: i64, digests: &[Uuid]) -> Result<Vec<Uuid>> {
    // One look-up for each, as in the ledger (`objects/lookup.rs`).
    let text = "SELECT k.digest FROM unnest($2::uuid[]) AS page (digest)
                 CROSS JOIN LATERAL (
                       SELECT digest FROM scanned_keys WHERE job_id = $1 AND digest = page.digest LIMIT 1) k";
    let rows = client.query(text, &[&job_id, &digests]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Records keys that the job has listed.
pub async fn insert(tx: &Transaction<'_>, job_id: i64, digests: &[Uuid]) -> Result<()> {
    if !digests.is_empty() {
        tx.execute(
            "INSERT INTO scanned_keys (job_id, digest) SELECT $1, unnest($2::uuid[]) ON CONFLICT DO NOTHING",
            &[&job_id, &digests],
        )
        .await?;
    }
    Ok(())
}

/// Deletes at most `limit` keys of a job that has ended: completed, discarded, cancelled, or removed with its storage.
/// Returns their number; 0 if none is left.
///
/// A job may have listed millions, so its last commit leaves them.
pub async fn prune(client: &impl GenericClient, limit: i64) -> Result<u64> {
    // Few jobs have rows here: find them by jumping from one to the next.
    let text = "WITH RECURSIVE listed AS (
                    (SELECT job_id FROM scanned_keys ORDER BY job_id LIMIT 1)
                     UNION ALL
                    SELECT (SELECT k.job_id FROM scanned_keys k WHERE k.job_id > listed.job_id ORDER BY k.job_id LIMIT 1)
                      FROM listed WHERE listed.job_id IS NOT NULL
                ), ended AS (
                    SELECT l.job_id FROM listed l
                     WHERE l.job_id IS NOT NULL
                       AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = l.job_id AND j.finished_at IS NULL)
                     LIMIT 1
                )
                DELETE FROM scanned_keys WHERE ctid = ANY (ARRAY(
                    SELECT k.ctid FROM scanned_keys k WHERE k.job_id = (SELECT job_id FROM ended) LIMIT $1))";
    Ok(client.execute(text, &[&limit]).await?)
}
