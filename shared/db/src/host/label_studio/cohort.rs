//! The overlap cohort: the part of a project's tasks that several users annotate.
//!
//! Label Studio chooses it again after each sync, and so does this file, by the same rule: tasks that have enough
//! annotations, then those with more annotations than others, the rest at random.

use tokio_postgres::Row;

use crate::{Client, Db, Error, Result, Transaction};

/// Tasks per transaction. It locks those that change, and annotators of these wait for its end, well under a second.
const BATCH: i32 = 5_000;

/// The first key of the advisory lock of a project's cohort; "coho" in ASCII. The second key is the project.
const COHORT: i32 = 0x636f_686f;

/// The first key of the lock that each batch holds; "cohb" in ASCII.
const BATCHES: i32 = 0x636f_6862;

/// A cohort that this process arranges.
pub(super) struct Cohort {
    project_id: i32,
    /// The server process whose transaction has the lock.
    holder: i32,
}

/// Locks the cohort of a project until the transaction ends. `None` if another transaction has it.
pub(super) async fn lock(tx: &Transaction<'_>, project_id: i64) -> Result<Option<Cohort>> {
    let project_id = i32::try_from(project_id).map_err(|error| Error::unreadable("a project ID", error))?;
    let row =
        tx.query_one("SELECT pg_try_advisory_xact_lock($1, $2), pg_backend_pid()", &[&COHORT, &project_id]).await?;
    Ok(row.get::<_, bool>(0).then(|| Cohort { project_id, holder: row.get(1) }))
}

/// Chooses the cohort, and writes `overlap` and `is_labeled` of tasks that change, in batches with `writer`.
///
/// `tx` sees the tasks as they were when it chose, however long the batches take.
///
/// # Errors
/// [`Error::LeaseLost`] if `tx` lost the lock, because this process did not answer for some time.
pub(super) async fn arrange(tx: &Transaction<'_>, db: &Db, writer: &mut Client, cohort: &Cohort) -> Result<()> {
    // The last batch of a process that has just died may still commit. Choose after it.
    db.in_time(async {
        let tx = writer.transaction().await?;
        cohort.fence(&tx).await?;
        Ok(tx.commit().await?)
    })
    .await?;
    let project_id = cohort.project_id;
    let rules = "SELECT maximum_annotations, overlap_cohort_percentage::bigint, skip_queue = 'IGNORE_SKIPPED'
                   FROM public.project p WHERE p.id = $1 AND to_jsonb(p) ->> 'deleted_at' IS NULL";
    let Some(rules) = tx.query_opt(rules, &[&project_id]).await? else { return Ok(()) };
    let (overlap, percentage): (i32, i64) = (rules.get(0), rules.get(1));
    let counts_skipped = rules.get::<_, Option<bool>>(2).unwrap_or_default();
    let chosen = tx
        .prepare(
            "SELECT id, is_done OR number <= (tasks * $3::bigint * 2 + 100) / 200 - done AS is_chosen FROM (
                 SELECT id, is_done, count(*) OVER () AS tasks, count(*) FILTER (WHERE is_done) OVER () AS done,
                        row_number() OVER (PARTITION BY is_done ORDER BY annotations DESC, random()) AS number
                   FROM (SELECT t.id, coalesce(a.annotations, 0) AS annotations, coalesce(a.done, 0) >= $2 AS is_done
                           FROM public.task t LEFT JOIN (
                                SELECT c.task_id, count(*) AS annotations,
                                       count(*) FILTER (WHERE NOT c.was_cancelled AND NOT c.ground_truth
                                                          AND c.result IS NOT NULL) AS done
                                  FROM public.task_completion c JOIN public.task o ON o.id = c.task_id
                                 WHERE o.project_id = $1 GROUP BY c.task_id) a ON a.task_id = t.id
                          WHERE t.project_id = $1) counted) ranked
              ORDER BY id",
        )
        .await?;
    let chosen = tx.bind(&chosen, &[&project_id, &i64::from(overlap), &percentage]).await?;
    loop {
        let rows = tx.query_portal(&chosen, BATCH).await?;
        let overlap_of = |row: &Row| if row.get("is_chosen") { overlap } else { 1 };
        let (ids, overlaps): (Vec<i32>, Vec<i32>) =
            rows.iter().map(|row| (row.get::<_, i32>("id"), overlap_of(row))).unzip();
        db.in_time(cohort.write(writer, &ids, &overlaps, counts_skipped)).await?;
        if i32::try_from(rows.len()).is_ok_and(|count| count < BATCH) {
            return Ok(());
        }
    }
}

/// SQL for the number of users whose annotations make task `t` labeled, with skipped ones if the parameter is true. Label
/// Studio counts no missing user here.
fn users(counts_skipped: &str) -> String {
    format!(
        "SELECT count(DISTINCT a.completed_by_id) AS users FROM public.task_completion a
          WHERE a.task_id = t.id AND ({counts_skipped} OR NOT a.was_cancelled)"
    )
}

impl Cohort {
    /// Waits for the batch of another process, and checks that this one still has the lock of the cohort.
    async fn fence(&self, tx: &Transaction<'_>) -> Result<()> {
        tx.execute("SELECT pg_advisory_xact_lock($1, $2)", &[&BATCHES, &self.project_id]).await?;
        let held = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = $3
                       AND classid = $1::int::oid AND objid = $2::int::oid
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let held = tx.query_opt(held, &[&COHORT, &self.project_id, &self.holder]).await?;
        held.map(|_| ()).ok_or(Error::LeaseLost)
    }

    /// Writes a batch.
    async fn write(&self, client: &mut Client, ids: &[i32], overlaps: &[i32], counts_skipped: bool) -> Result<()> {
        let tx = client.transaction().await?;
        self.fence(&tx).await?;
        let text = format!(
            "UPDATE public.task t SET overlap = c.overlap, is_labeled = c.is_labeled
           FROM (SELECT t.id, t.overlap, u.users >= t.overlap AS is_labeled
                   FROM unnest($1::int[], $2::int[]) t(id, overlap) CROSS JOIN LATERAL ({}) u) c
          WHERE t.id = c.id AND (t.overlap <> c.overlap OR t.is_labeled <> c.is_labeled)
      RETURNING t.id",
            users("$3")
        );
        let changed = tx.query(&tx.prepare_cached(&text).await?, &[&ids, &overlaps, &counts_skipped]).await?;
        let changed: Vec<i32> = changed.iter().map(|row| row.get(0)).collect();
        // Annotators may have submitted while the statement waited for their tasks. Another statement sees what they wrote,
        // and the tasks are locked now.
        let text = format!(
            "UPDATE public.task t SET is_labeled = NOT t.is_labeled
          WHERE t.id = ANY ($1) AND t.is_labeled <> (({}) >= t.overlap)",
            users("$2")
        );
        tx.execute(&tx.prepare_cached(&text).await?, &[&changed, &counts_skipped]).await?;
        tx.commit().await?;
        Ok(())
    }
}
