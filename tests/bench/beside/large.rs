//! A project that is too large for Label Studio's own sync: do its pages still answer?

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::Instant;

use super::pair::Pair;
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
    Ok(vec![
        import,
        Figure::new(8, "then: its list of tasks, first page", list).unit(" s").conditions(conditions.clone()),
        Figure::new(8, "then: its next task to label", next).unit(" s").conditions(conditions),
    ])
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
