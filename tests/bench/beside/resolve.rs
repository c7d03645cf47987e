//! Requests for the images of tasks, which both answer with a redirect to a presigned URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};
use reqwest::header::LOCATION;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::pair::Pair;
use crate::figure::{Figure, whole};

/// Tasks to resolve repeatedly.
const TASKS: u64 = 200;

/// Requests to each: Label Studio answers some hundred a second.
const THEIR_REQUESTS: usize = 2_000;
const OUR_REQUESTS: usize = 40_000;

/// Concurrent callers; a page of the Data Manager asks for 20 images at once.
const CALLERS: usize = 8;

const MEASURE: &str = "images of tasks: Longshore's redirects/s ÷ Label Studio's";

pub(super) async fn measure(pair: &Pair<'_>) -> Result<Vec<Figure>> {
    pair.s3.put_many("shown", (0..TASKS).map(|n| (format!("{n:04}.jpg"), "x")));
    let twin = pair.import("shown", json!({"use_blob_urls": true, "presign": true})).await?;
    pair.sync_ours(twin).await?;
    // In blob mode, Label Studio names the column when it reads the task. Base64 without what a query has to escape.
    let query = "SELECT '/tasks/' || id || '/resolve/?fileuri='
                        || replace(replace(replace(encode(convert_to(data ->> '$undefined$', 'UTF8'), 'base64'),
                                   E'\\n', ''), '+', '%2B'), '=', '%3D')
                   FROM public.task WHERE project_id = $1 ORDER BY id";
    let project = i32::try_from(twin.project).context("a project's ID")?;
    let rows = pair.database.query(query, &[&project]).await?;
    let paths: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    ensure!(paths.len() as u64 == TASKS, "{} tasks", paths.len());
    if let Err(error) = redirects(pair, &pair.scheduler.url(), &paths, 1).await {
        return Ok(vec![Figure::without(6, MEASURE, format!("not run: {error:#}"))]);
    }
    let fast = redirects(pair, &pair.scheduler.url(), &paths, OUR_REQUESTS).await?;
    let slow = redirects(pair, pair.studio.url(), &paths, THEIR_REQUESTS).await?;
    let figure = Figure::new(6, MEASURE, fast / slow)
        .at_least(20.0)
        .conditions(format!(
            "{} and {} requests over {TASKS} tasks, {CALLERS} callers on the same cores, with a user's token: {} and {} a second",
            whole(THEIR_REQUESTS as f64),
            whole(OUR_REQUESTS as f64),
            whole(slow),
            whole(fast)
        ))
        .raw("label_studio_per_second", slow)
        .raw("longshore_per_second", fast);
    Ok(vec![figure])
}

/// Sends this many requests, and returns how many were answered per second.
async fn redirects(pair: &Pair<'_>, base: &str, paths: &[String], requests: usize) -> Result<f64> {
    let urls: Arc<[String]> = paths.iter().map(|path| format!("{base}{path}")).collect();
    let (next, started) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (urls, next, request) = (Arc::clone(&urls), Arc::clone(&next), pair.get(&urls[0]).build()?);
        let http = pair.http.clone();
        callers.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= requests {
                    return Ok(());
                }
                let url = &urls[index % urls.len()];
                let answer = http.get(url).headers(request.headers().clone()).send().await?;
                let location = answer.headers().get(LOCATION).and_then(|url| url.to_str().ok()).unwrap_or_default();
                if !(answer.status().is_redirection() && location.contains("X-Amz-Signature=")) {
                    bail!("{url} answered {}: {}", answer.status(), answer.text().await?);
                }
            }
        });
    }
    for called in callers.join_all().await {
        called?;
    }
    Ok(requests as f64 / started.elapsed().as_secs_f64())
}
