//! A project that is too large for Label Studio's own sync: do its pages still answer?

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::pair::{PATIENCE, POLL, Pair, Twin};
use super::syncs::median;
use crate::figure::{Figure, whole};

/// Requests of each page, whose median counts.
const ROUNDS: usize = 3;

pub(super) async fn measure(pair: &Pair<'_>, objects: u64) -> Result<Vec<Figure>> {
    pair.s3.put_many("large", (0..objects).map(|n| (format!("images/{n:010}.jpg"), "")));
    let twin = pair.import("large", json!({"use_blob_urls": true, "recursive_scan": true})).await?;
    let ended = pair.sync_ours(twin).await?;
    ensure!(ended.count() == objects, "{} of {objects} tasks", ended.count());
    let import = Figure::new(8, "a large import, tasks a second", objects as f64 / ended.seconds)
        .conditions(format!("{} objects in {:.1} s", whole(objects as f64), ended.seconds))
        .raw("seconds", ended.seconds);
    // As autovacuum does some minutes later.
    pair.database.batch_execute("VACUUM ANALYZE public.task").await?;
    let project = twin.project;
    let list = seconds(pair, &format!("/api/tasks?project={project}&page_size=30"), "/tasks").await?;
    let next = seconds(pair, &format!("/api/projects/{project}/next"), "/data").await?;
    let conditions = format!("{} tasks, median of {ROUNDS}, answered by Label Studio", whole(objects as f64));
    let mut figures = vec![
        import,
        Figure::new(8, "then: its list of tasks, first page", list).unit(" s").conditions(conditions.clone()),
        Figure::new(8, "then: its next task to label", next).unit(" s").conditions(conditions),
    ];
    figures.extend(after(pair, twin, objects).await?);
    Ok(figures)
}

/// What follows an import: the comparison of the summary, and the choice of a cohort by the next sync.
async fn after(pair: &Pair<'_>, twin: Twin, objects: u64) -> Result<[Figure; 2]> {
    let project = twin.project;
    let compared = compare(pair, project).await?;
    // In the table: Label Studio itself would arrange the cohort inside the request.
    let rules =
        "UPDATE public.project SET maximum_annotations = 2, overlap_cohort_percentage = 45 WHERE id = $1::bigint";
    pair.database.execute(rules, &[&project]).await?;
    let again = pair.sync_ours(twin).await?;
    let chosen = "SELECT count(*) FROM public.task WHERE project_id = $1::bigint AND overlap = 2";
    let chosen: i64 = pair.database.query_one(chosen, &[&project]).await?.get(0);
    ensure!(u64::try_from(chosen)? == (objects * 45 + 50) / 100, "{chosen} of {objects} tasks in a cohort of 45 %");
    let conditions = |what: &str| format!("{} tasks, {what}", whole(objects as f64));
    Ok([
        Figure::new(8, "then: its summary compared with all tasks", compared)
            .unit(" s")
            .conditions(conditions("from due to done")),
        Figure::new(8, "then: a sync again, which chooses a cohort of 45 %", again.seconds)
            .unit(" s")
            .conditions(conditions("nothing new")),
    ])
}

/// Makes the comparison of a project's summary due, and returns the seconds until it is done.
async fn compare(pair: &Pair<'_>, project: i64) -> Result<f64> {
    let due = "UPDATE host_projects SET summary_due_at = now(), summary_checks = 0 WHERE project_id = $1";
    let started = Instant::now();
    ensure!(pair.database.execute(due, &[&project]).await? == 1, "no project {project}");
    let is_done = "SELECT summary_checks > 0 FROM host_projects WHERE project_id = $1";
    while !pair.database.query_one(is_done, &[&project]).await?.get::<_, bool>(0) {
        ensure!(started.elapsed() < PATIENCE, "the summary of project {project} is not compared");
        sleep(POLL).await;
    }
    Ok(started.elapsed().as_secs_f64())
}

/// The median time of a request to Label Studio, whose answer must have `field`.
async fn seconds(pair: &Pair<'_>, path: &str, field: &str) -> Result<f64> {
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let answer = pair.studio.send("GET", path, None).await?;
        all.push(started.elapsed().as_secs_f64());
        answer.pointer(field).with_context(|| format!("{path} answers without {field}"))?;
    }
    Ok(median(all))
}
