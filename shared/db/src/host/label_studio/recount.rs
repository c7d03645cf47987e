//! Finds additions to a summary that Label Studio undid, and makes them again.
//!
//! Label Studio reads a summary at the start of a request and writes it back at the end, without a lock. What was folded
//! in between is lost. So each summary is compared with the tasks and annotations of its project a few times after the last
//! addition. Counts that are too small are raised; those that are too large are Label Studio's.

use std::collections::BTreeMap;

use futures::{TryStreamExt, pin_mut};
use serde_json::{Map, Value};
use tokio_postgres::IsolationLevel;

use crate::host::SummaryDelta;
use crate::host::regions::count_stored;
use crate::{Client, Error, RawJson, Result, Transaction};

/// Seconds from one comparison to the next. Requests of Label Studio take well under a second, its imports of large files
/// minutes. After the last one, a summary is left alone until the next addition.
const WAITS: [i32; 3] = [10, 60, 600];

/// Seconds until a comparison that missed something is repeated: Label Studio adds its own tasks to a summary after it
/// committed them.
const REPEAT: i32 = 30;

/// Seconds after which another scheduler compares, if this one dies or takes longer.
const LEASE: i32 = 600;

/// A summary that was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// The project.
    pub project_id: i64,
    /// Whether counts were too small, and are right now.
    pub is_corrected: bool,
}

/// Schedules comparisons of a summary that was added to, in the same transaction.
pub(super) async fn schedule(tx: &Transaction<'_>, project_id: i64) -> Result<()> {
    let text = "UPDATE host_projects SET summary_due_at = now() + $2::int * interval '1 second', summary_checks = 0,
                       is_suspect = false WHERE project_id = $1";
    tx.execute(text, &[&project_id, &WAITS[0]]).await?;
    Ok(())
}

/// Compares a summary that is due. `None` if none is.
pub async fn check_summary(client: &mut Client) -> Result<Option<Checked>> {
    let due = "UPDATE host_projects SET summary_due_at = now() + $1::int * interval '1 second' WHERE project_id = (
                      SELECT project_id FROM host_projects WHERE summary_due_at <= now()
                       ORDER BY summary_due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
               RETURNING project_id, is_suspect, summary_checks";
    let Some(due) = client.query_opt(due, &[&LEASE]).await? else { return Ok(None) };
    let (project_id, is_suspect): (i64, bool) = (due.get(0), due.get(1));
    // One snapshot for all: a page adds tasks and their delta at once, and a fold moves deltas at once.
    let tx = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
    let counted = Counted { exact: count(&tx, project_id).await?, pending: pending(&tx, project_id).await? };
    let lacks = lacks(&tx, project_id, &counted).await?;
    tx.commit().await?;
    if lacks && is_suspect {
        correct(client, project_id, &counted).await?;
    }
    let checks: i32 = if lacks { 0 } else { due.get::<_, i32>(2) + 1 };
    let wait = match lacks {
        true if !is_suspect => Some(REPEAT),
        _ => usize::try_from(checks).ok().and_then(|checks| WAITS.get(checks)).copied(),
    };
    let next = "UPDATE host_projects SET summary_due_at = now() + $2::int * interval '1 second', summary_checks = $3,
                       is_suspect = $4 WHERE project_id = $1";
    client.execute(next, &[&project_id, &wait, &checks, &(lacks && !is_suspect)]).await?;
    Ok(Some(Checked { project_id, is_corrected: lacks && is_suspect }))
}

/// What the rows of a project amount to.
struct Counted {
    exact: SummaryDelta,
    /// The part of it that is recorded, but not folded yet.
    pending: SummaryDelta,
}

/// The counts of a project's summary.
struct Summary {
    columns: Map<String, Value>,
    annotations: Map<String, Value>,
    labels: Map<String, Value>,
}

impl Summary {
    /// `None` if the project has none: it was deleted. `lock` is a locking clause, or empty.
    async fn read(tx: &Transaction<'_>, project_id: i64, lock: &str) -> Result<Option<Self>> {
        let text = format!(
            "SELECT all_data_columns::text, created_annotations::text, created_labels::text
               FROM public.projects_projectsummary WHERE project_id = $1::bigint {lock}"
        );
        let Some(row) = tx.query_opt(&text, &[&project_id]).await? else { return Ok(None) };
        let object = |column: usize| -> Result<Map<String, Value>> {
            let text: Option<&str> = row.get(column);
            serde_json::from_str(text.unwrap_or("{}")).map_err(|error| Error::unreadable("a project summary", error))
        };
        Ok(Some(Self { columns: object(0)?, annotations: object(1)?, labels: object(2)? }))
    }

    /// Raises the counts that are too small. Returns whether any was.
    fn raise(&mut self, counted: &Counted) -> bool {
        let Counted { exact, pending } = counted;
        let mut lacks = raise(&mut self.columns, &exact.columns, &pending.columns);
        lacks |= raise(&mut self.annotations, &exact.annotations, &pending.annotations);
        for (control, counts) in &exact.labels {
            let of_control = self.labels.entry(control).or_insert_with(|| Value::Object(Map::new()));
            if let Some(of_control) = of_control.as_object_mut() {
                lacks |= raise(of_control, counts, pending.labels.get(control).unwrap_or(&BTreeMap::new()));
            }
        }
        lacks
    }
}

async fn lacks(tx: &Transaction<'_>, project_id: i64, counted: &Counted) -> Result<bool> {
    let summary = Summary::read(tx, project_id, "").await?;
    Ok(summary.is_some_and(|mut summary| summary.raise(counted)))
}

/// Raises counts under the lock of the summary, which annotators wait for: the rows were counted before. What was added
/// since then is not in `counted`, so a count may stay too small until the next comparison.
async fn correct(client: &mut Client, project_id: i64, counted: &Counted) -> Result<()> {
    let tx = client.transaction().await?;
    let Some(mut summary) = Summary::read(&tx, project_id, "FOR UPDATE").await? else { return Ok(()) };
    summary.raise(counted);
    let Counted { exact, pending } = counted;
    let tasks = exact.tasks - pending.tasks;
    let in_all = exact.columns.iter().filter(|(key, count)| **count - of(&pending.columns, key) == tasks);
    let common = Value::from(in_all.map(|(key, _)| key.clone()).collect::<Vec<_>>());
    let json = |value: Value| RawJson(value.to_string());
    let Summary { columns, annotations, labels } = summary;
    tx.execute(
        "UPDATE public.projects_projectsummary
            SET all_data_columns = $2, common_data_columns = $3, created_annotations = $4, created_labels = $5
          WHERE project_id = $1::bigint",
        &[&project_id, &json(columns.into()), &json(common), &json(annotations.into()), &json(labels.into())],
    )
    .await?;
    Ok(tx.commit().await?)
}

fn of(counts: &BTreeMap<String, i64>, name: &str) -> i64 {
    counts.get(name).copied().unwrap_or_default()
}

/// Raises counts that are smaller than those of the rows without the ones that are still to be added. Returns whether any
/// was.
fn raise(counts: &mut Map<String, Value>, exact: &BTreeMap<String, i64>, pending: &BTreeMap<String, i64>) -> bool {
    let mut raised = false;
    for (name, count) in exact {
        let least = count - of(pending, name);
        if counts.get(name).and_then(Value::as_i64).unwrap_or_default() < least {
            counts.insert(name.clone(), least.into());
            raised = true;
        }
    }
    raised
}

/// What the tasks and annotations of a project amount to.
async fn count(tx: &Transaction<'_>, project_id: i64) -> Result<SummaryDelta> {
    let mut exact = SummaryDelta::default();
    let tasks = "SELECT count(*) FROM public.task WHERE project_id = $1::bigint";
    exact.tasks = tx.query_one(tasks, &[&project_id]).await?.get(0);
    let columns = "SELECT key, count(*) FROM public.task t
                    CROSS JOIN LATERAL jsonb_object_keys(CASE WHEN jsonb_typeof(t.data) = 'object' THEN t.data END) key
                    WHERE t.project_id = $1::bigint GROUP BY key";
    let columns = tx.query(columns, &[&project_id]).await?;
    exact.columns = columns.iter().map(|row| (row.get(0), row.get(1))).collect();
    let results = "SELECT a.result::text FROM public.task t JOIN public.task_completion a ON a.task_id = t.id
                    WHERE t.project_id = $1::bigint AND a.result IS NOT NULL";
    // One row at a time: results may be large.
    let results = tx.query_raw(results, &[&project_id]).await?;
    pin_mut!(results);
    while let Some(row) = results.try_next().await? {
        count_stored(row.get(0), &mut exact);
    }
    Ok(exact)
}

/// What is recorded, but not folded yet.
async fn pending(tx: &Transaction<'_>, project_id: i64) -> Result<SummaryDelta> {
    let mut pending = SummaryDelta::default();
    for row in tx.query("SELECT delta::text FROM host_deltas WHERE project_id = $1", &[&project_id]).await? {
        pending.add(&SummaryDelta::of_json(row.get(0))?);
    }
    Ok(pending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_counts_that_are_too_small_are_raised() {
        let counts = |pairs: &[(&str, i64)]| pairs.iter().map(|(key, n)| ((*key).to_owned(), *n)).collect();
        let mut summary: Map<String, Value> = serde_json::from_str(r#"{"a": 5, "b": 1, "d": 2}"#).unwrap();
        let exact: BTreeMap<_, _> = counts(&[("a", 3), ("b", 4), ("c", 2), ("d", 3)]);
        assert!(raise(&mut summary, &exact, &counts(&[("b", 1), ("d", 1)])));
        assert_eq!(Value::from(summary.clone()).to_string(), r#"{"a":5,"b":3,"c":2,"d":2}"#);
        assert!(!raise(&mut summary, &exact, &counts(&[("b", 1), ("d", 1)])));
    }
}
