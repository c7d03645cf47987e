//! Row 9: redirects to presigned URLs, for browsers (by link) and programs (by token).

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fairness::quantile;
use crate::bed::TestBed;
use crate::deployment::Deployment;
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};

/// Tasks to resolve repeatedly; one page of the API.
const TASKS: u64 = 1_000;

/// Requests of each kind at full scale.
const REQUESTS: u64 = 100_000;

/// Concurrent callers, each with one connection.
const CALLERS: u64 = 8;

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let deployment = bed.deploy("resolve", &[]).await?;
    let bucket = Bucket::new(Form::Flat, TASKS);
    deployment.import(&bucket).await?;
    let insert = "INSERT INTO tasks (project_id, data)
                  SELECT $1, jsonb_build_object('image', 's3://' || $2 || '/' || key) FROM unnest($3::text[]) key";
    let keys: Vec<String> = (0..TASKS).map(|index| bucket.key(index)).collect();
    deployment.database.execute(insert, &[&deployment.project, &bucket.to_string(), &keys]).await?;

    let tasks = format!("/api/tasks?project={}&page_size={TASKS}", deployment.project);
    let authorization = format!("authorization: Token {}\r\n", deployment.settings.token);
    let list = |page: Value| -> Result<Vec<String>> {
        let tasks = page["tasks"].as_array().context("tasks")?;
        tasks.iter().map(|task| Ok(task["data"]["image"].as_str().context("a link")?.to_owned())).collect()
    };
    let links = list(get(&deployment, bed, &tasks).await?)?;
    // The same objects by token: without the signature of the link.
    let plain = links.iter().filter_map(|link| link.split_once("&expires=")).map(|(path, _)| path.to_owned()).collect();
    let by_link = time_requests(bed, &deployment, links, "").await?;
    let by_token = time_requests(bed, &deployment, plain, &authorization).await?;
    deployment.end().await?;
    Ok(vec![
        Figure::new(9, "redirects to signed URLs by link, per processor second", by_link.per_cpu())
            .unit("/s")
            .at_least(5_000.0)
            .conditions(by_link.to_text())
            .raw("wall_per_second", by_link.rate())
            .raw("p99_ms", by_link.quantile(0.99)),
        Figure::new(9, "the same: p99", by_link.quantile(0.99))
            .unit(" ms")
            .conditions(format!("{CALLERS} callers at once; median {:.2} ms", by_link.quantile(0.5))),
        Figure::new(9, "the same by token", by_token.per_cpu())
            .unit("/s")
            .conditions(by_token.to_text())
            .raw("p99_ms", by_token.quantile(0.99)),
    ])
}

async fn get(deployment: &Deployment<'_>, bed: &TestBed, path: &str) -> Result<Value> {
    let token = format!("Token {}", deployment.settings.token);
    let request = bed.http.get(format!("{}{path}", deployment.scheduler.url())).header("Authorization", token);
    Ok(request.send().await?.error_for_status()?.json().await?)
}

/// The times of many requests.
struct RequestTimes {
    /// Milliseconds of each answer, ascending.
    waits: Vec<f64>,
    seconds: f64,
    /// Of the scheduler, and of all processes but the callers.
    scheduler_cpu: f64,
    postgres_cpu: f64,
}

impl RequestTimes {
    fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.seconds
    }

    /// Requests per processor second of the scheduler.
    fn per_cpu(&self) -> f64 {
        self.waits.len() as f64 / self.scheduler_cpu
    }

    fn quantile(&self, part: f64) -> f64 {
        quantile(&self.waits, part)
    }

    fn to_text(&self) -> String {
        format!(
            "{} requests over {TASKS} tasks, {CALLERS} callers: {} of the scheduler's CPU seconds, {} of Postgres; {} \
             requests/s by the clock, with the callers on the same cores",
            whole(self.waits.len() as f64),
            format_args!("{:.1}", self.scheduler_cpu),
            format_args!("{:.1}", self.postgres_cpu),
            whole(self.rate()),
        )
    }
}

async fn time_requests(
    bed: &TestBed,
    deployment: &Deployment<'_>,
    paths: Vec<String>,
    headers: &str,
) -> Result<RequestTimes> {
    let address = Arc::<str>::from(deployment.scheduler.url().trim_start_matches("http://"));
    let requests: Arc<[String]> =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n")).collect();
    let each = bed.scaled(REQUESTS) / CALLERS;
    // Warm up connections, prepared statements and the storage.
    call(&address, &requests, 0, TASKS).await?;
    let (before, started) = (deployment.cpu(), Instant::now());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (address, requests) = (Arc::clone(&address), Arc::clone(&requests));
        callers.spawn(async move { call(&address, &requests, caller * TASKS / CALLERS, each).await });
    }
    let mut waits = Vec::new();
    for called in callers.join_all().await {
        waits.extend(called?);
    }
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), deployment.cpu().since(before));
    waits.sort_by(f64::total_cmp);
    Ok(RequestTimes { waits, seconds, scheduler_cpu: cpu.scheduler, postgres_cpu: cpu.postgres })
}

/// Sends this many requests one by one over one connection, with minimal client work.
async fn call(address: &str, requests: &[String], first: u64, count: u64) -> Result<Vec<f64>> {
    let mut connection = TcpStream::connect(address).await?;
    connection.set_nodelay(true)?;
    let (mut waits, mut answer) = (Vec::with_capacity(count as usize), vec![0; 16 * 1024]);
    for index in first..first + count {
        let request = &requests[index as usize % requests.len()];
        let started = Instant::now();
        connection.write_all(request.as_bytes()).await?;
        let mut length = 0;
        // A redirect has no body.
        while !answer[..length].ends_with(b"\r\n\r\n") {
            let read = connection.read(&mut answer[length..]).await?;
            ensure!(read > 0, "cut off after {:?}", String::from_utf8_lossy(&answer[..length]));
            length += read;
        }
        waits.push(started.elapsed().as_secs_f64() * 1000.0);
        let head = String::from_utf8_lossy(&answer[..length]);
        ensure!(head.starts_with("HTTP/1.1 303 ") && head.contains("X-Amz-Signature="), "not a redirect: {head}");
    }
    Ok(waits)
}
