//! Row 2: one flat prefix of a slow bucket, in many ranges at once instead of one after the other, without hints.

use anyhow::{Result, ensure};

use crate::client::Client;
use crate::deployment::Ended;
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};
use crate::world::World;

const RANGES: u64 = 16;
const MS_PER_PAGE: u64 = 50;

/// What an import did, and the syncs of nothing new after it.
struct Run {
    import: Ended,
    again: Ended,
    ranges: i64,
}

pub async fn measure(world: &World) -> Result<Vec<Figure>> {
    let keys = world.scaled(1_000_000);
    let near = Bucket::new(Form::Flat, keys);
    let far = near.list_ms(MS_PER_PAGE);
    let client = Client::open(&world.endpoint(), far)?;
    let one = client.list(1).await?;
    let many = client.list(RANGES).await?;

    let single = run(world, "oneslot", &far, &[("LONGSHORE_JOBS", "1"), ("LONGSHORE_SPLIT_AFTER_PAGES", "0")]).await?;
    let slots = RANGES.to_string();
    let split = run(world, "manyslots", &far, &[("LONGSHORE_JOBS", &slots)]).await?;
    let unbound = run(world, "nolatency", &near, &[("LONGSHORE_JOBS", &slots)]).await?;

    let rate = |ended: &Ended| keys as f64 / ended.seconds;
    let (ours, alone, limit) = (rate(&split.import), rate(&single.import), rate(&unbound.import));
    let busy = (split.import.cpu.postgres / split.import.seconds, split.import.cpu.worker / split.import.seconds);
    let bound = if ours >= 0.8 * limit {
        format!("bound by this machine, not by the listing: at 0 ms per page it is {} keys/s", whole(limit))
    } else {
        format!("at 0 ms per page it is {} keys/s, so the listing still is the limit", whole(limit))
    };
    let setting = format!("{} keys in one prefix, {MS_PER_PAGE} ms per page", whole(keys as f64));
    Ok(vec![
        Figure::new(2, "list only: 16 static ranges ÷ one, the client itself", many.rate() / one.rate())
            .at_least(12.0)
            .said(format!("{setting}: {} ÷ {} keys/s", whole(many.rate()), whole(one.rate())))
            .raw("many_per_second", many.rate())
            .raw("one_per_second", one.rate()),
        Figure::new(
            2,
            "re-sync: 16 slots that split ÷ one slot that does not",
            rate(&split.again) / rate(&single.again),
        )
        .said(format!(
            "{setting}, nothing new, so nothing is written: {} ÷ {} keys/s; split into {} ranges",
            whole(rate(&split.again)),
            whole(rate(&single.again)),
            split.ranges
        ))
        .raw("many_per_second", rate(&split.again))
        .raw("one_per_second", rate(&single.again)),
        Figure::new(2, "whole import: 16 slots that split ÷ one slot that does not", ours / alone)
            .at_least(8.0)
            .said(format!(
                "{setting}, one worker: {} ÷ {} keys/s; {bound}; Postgres used {:.2} cores, the worker {:.2}",
                whole(ours),
                whole(alone),
                busy.0,
                busy.1
            ))
            .raw("many_per_second", ours)
            .raw("one_per_second", alone)
            .raw("no_latency_per_second", limit)
            .raw("postgres_cores", busy.0)
            .raw("worker_cores", busy.1),
    ])
}

async fn run(world: &World, name: &str, bucket: &Bucket, environment: &[(&str, &str)]) -> Result<Run> {
    let deployment = world.deploy(name, environment).await?;
    let storage = deployment.import(bucket).await?;
    deployment.settle().await?;
    let import = deployment.sync(&storage).await?;
    ensure!(import.count("created") == bucket.count, "{} of {} tasks", import.count("created"), bucket.count);
    let before = deployment.number("SELECT count(*) FROM jobs").await?;
    let again = deployment.sync(&storage).await?;
    ensure!(again.count("existed") == bucket.count, "{} of {} keys existed", again.count("existed"), bucket.count);
    let ranges = deployment.number("SELECT count(*) FROM jobs").await? - before;
    deployment.end().await?;
    Ok(Run { import, again, ranges })
}
