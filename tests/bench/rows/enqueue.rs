//! Row 8: sync requests over HTTP while a worker runs the syncs.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fairness::quantile;
use crate::bed::TestBed;
use crate::deployment::Storage;
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};

const STORAGES: usize = 200;
const ROUNDS: usize = 5;

/// Concurrent hosts, each with its own connection.
const CALLERS: usize = 8;

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let deployment = bed.deploy("enqueue", &[]).await?;
    let mut storages = Vec::with_capacity(STORAGES);
    for _ in 0..STORAGES {
        storages.push(deployment.import(&Bucket::new(Form::Flat, 100)).await?);
    }
    let (mut waits, mut elapsed) = (Vec::new(), 0.0);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let mut callers = JoinSet::new();
        for part in storages.chunks(STORAGES.div_ceil(CALLERS)) {
            let caller = Caller {
                http: bed.http.clone(),
                url: deployment.scheduler.url(),
                token: Arc::from(format!("Token {}", deployment.settings.token)),
            };
            let part = part.to_vec();
            callers.spawn(async move { caller.ask(&part).await });
        }
        for asked in callers.join_all().await {
            waits.extend(asked?);
        }
        elapsed += started.elapsed().as_secs_f64();
        // A storage has one live sync: the next round starts when all have ended.
        while deployment.number("SELECT count(*) FROM syncs WHERE finished_at IS NULL").await? > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    deployment.end().await?;
    waits.sort_by(f64::total_cmp);
    let (p50, p99) = (quantile(&waits, 0.5), quantile(&waits, 0.99));
    let rate = waits.len() as f64 / elapsed;
    Ok(vec![
        Figure::new(8, "asking for a sync over HTTP: p99", p99)
            .unit(" ms")
            .at_most(50.0)
            .conditions(format!(
                "{STORAGES} storages, {ROUNDS} rounds, {CALLERS} callers at once, one scheduler, a worker running \
                 what is accepted: median {p50:.1} ms"
            ))
            .raw("p50_ms", p50),
        Figure::new(8, "syncs accepted", rate)
            .unit("/s")
            .conditions(format!("{} in {elapsed:.1} s", whole(waits.len() as f64))),
    ])
}

/// A host that requests syncs.
struct Caller {
    http: reqwest::Client,
    url: String,
    token: Arc<str>,
}

impl Caller {
    /// Requests a sync of each storage, and returns the milliseconds of each answer.
    async fn ask(&self, storages: &[Storage]) -> Result<Vec<f64>> {
        let mut waits = Vec::with_capacity(storages.len());
        for storage in storages {
            let started = Instant::now();
            let request = self.http.post(format!("{}{}/sync", self.url, storage.path));
            let answer =
                request.header("Authorization", &*self.token).header("Content-Type", "application/json").body("{}");
            answer.send().await?.error_for_status()?.bytes().await.context("an answer")?;
            waits.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(waits)
    }
}
