//! Row 7: the duration of a small sync while a giant sync runs.

use anyhow::{Result, ensure};

use crate::bed::TestBed;
use crate::deployment::Deployment;
use crate::figure::Figure;
use crate::server::bucket::{Bucket, Form};

const SMALL: u64 = 100;
const SYNCS: usize = 20;

/// Pages of the giant before the first small sync, so that it runs with all its ranges.
const UNDER_WAY: i64 = 100;

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let deployment = bed.deploy("fairness", &[]).await?;
    let alone = small_syncs(&deployment).await?;

    let giant = Bucket::new(Form::Uuids, bed.scaled(5_000_000));
    let storage = deployment.import(&giant).await?;
    let sync = deployment.enqueue(&storage).await?;
    let pages = format!("SELECT coalesce(sum(pages), 0)::bigint FROM jobs WHERE sync_id = {sync}");
    while deployment.number(&pages).await? < UNDER_WAY.min(i64::try_from(giant.count / 4_000)?) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let beside = small_syncs(&deployment).await?;
    let done = deployment.number(&pages).await?;
    let ran =
        deployment.number(&format!("SELECT count(*) FROM syncs WHERE id = {sync} AND finished_at IS NULL")).await?;
    if ran == 0 {
        // Some small syncs ran alone then; acceptable only at a small scale.
        ensure!(bed.scaled(5_000_000) < 5_000_000, "the giant ended before the small syncs did");
    } else {
        deployment.cancel(sync).await?;
    }
    deployment.end().await?;

    let conditions = format!(
        "{SYNCS} syncs of {SMALL} objects, one after the other, one worker with its defaults: alone median {:.2} s, \
         p99 {:.2} s; beside {:.2} s, p99 {:.2} s, while the giant did {done} pages{}",
        quantile(&alone, 0.5),
        quantile(&alone, 0.99),
        quantile(&beside, 0.5),
        quantile(&beside, 0.99),
        if ran == 0 { " and ended early" } else { "" }
    );
    let p99 = quantile(&beside, 0.99);
    Ok(vec![
        Figure::new(7, "100 objects beside 5,000,000: p99 of time to completed", p99)
            .unit(" s")
            .at_most(5.0)
            .conditions(conditions)
            .raw("beside_seconds", beside.clone())
            .raw("alone_seconds", alone.clone()),
        Figure::new(7, "the same p99 ÷ p99 alone", p99 / quantile(&alone, 0.99))
            .at_most(5.0)
            .conditions(format!("÷ the median alone it is {:.1}", p99 / quantile(&alone, 0.5))),
    ])
}

/// The seconds of each, in ascending order.
async fn small_syncs(deployment: &Deployment<'_>) -> Result<Vec<f64>> {
    let mut seconds = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let storage = deployment.import(&Bucket::new(Form::Flat, SMALL)).await?;
        let ended = deployment.sync(&storage).await?;
        ensure!(ended.count("created") == SMALL, "{} of {SMALL} tasks", ended.count("created"));
        seconds.push(ended.seconds);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

/// A quantile of ascending numbers, by the nearest-rank method. The p99 of 20 numbers is the largest.
pub fn quantile(ascending: &[f64], part: f64) -> f64 {
    let rank = (ascending.len() as f64 * part).ceil() as usize;
    ascending.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}
