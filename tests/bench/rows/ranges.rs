//! Row 2: one flat prefix of a slow bucket, in many concurrent ranges instead of one.

use anyhow::{Result, ensure};

use crate::bed::TestBed;
use crate::client::Client;
use crate::deployment::CompletedSync;
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};

const RANGES: u64 = 16;
const MS_PER_PAGE: u64 = 50;

/// An import, and a sync without new objects after it.
struct Run {
    import: CompletedSync,
    again: CompletedSync,
    /// The number of ranges of each.
    import_ranges: i64,
    ranges: i64,
}

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let keys = bed.scaled(1_000_000);
    let near = Bucket::new(Form::Flat, keys);
    let far = near.list_ms(MS_PER_PAGE);
    let client = Client::open(&bed.endpoint(), far)?;
    let one = client.list(1).await?;
    let many = client.list(RANGES).await?;

    let single = run(bed, "oneslot", &far, &[("LONGSHORE_JOBS", "1"), ("LONGSHORE_SPLIT_AFTER_PAGES", "0")]).await?;
    let slots = RANGES.to_string();
    let split = run(bed, "manyslots", &far, &[("LONGSHORE_JOBS", &slots)]).await?;
    let unbound = run(bed, "nolatency", &near, &[("LONGSHORE_JOBS", &slots)]).await?;

    let rate = |ended: &CompletedSync| keys as f64 / ended.seconds;
    let (ours, alone, limit) = (rate(&split.import), rate(&single.import), rate(&unbound.import));
    let cores = std::thread::available_parallelism()?.get() as f64;
    let share = |cpu: f64| 100.0 * cpu / split.import.seconds / cores;
    let cpu = split.import.cpu;
    let all_processes = cpu.worker + cpu.postgres + cpu.scheduler + cpu.broker + cpu.store;
    // The maximum of Postgres with the machine for itself, whatever the number of ranges.
    let row_us = cpu.postgres / keys as f64 * 1e6;
    let ceiling = cores / row_us * 1e6;
    let bound = format!(
        "{:.0} % of {cores} cores were busy, Postgres {:.0} %, the worker {:.0} %, the object store {:.0} %; Postgres \
         takes {row_us:.1} us of processor a row, so alone on this machine it could take {} rows/s or {:.1} x one \
         slot; at 0 ms per page the import does {} keys/s",
        share(all_processes),
        share(cpu.postgres),
        share(cpu.worker),
        share(cpu.store),
        whole(ceiling),
        ceiling / alone,
        whole(limit)
    );
    let setting = format!("{} keys in one prefix, {MS_PER_PAGE} ms per page", whole(keys as f64));
    Ok(vec![
        Figure::new(2, "list only: 16 static ranges ÷ one, the client itself", many.rate() / one.rate())
            .at_least(12.0)
            .conditions(format!("{setting}: {} ÷ {} keys/s", whole(many.rate()), whole(one.rate())))
            .raw("many_per_second", many.rate())
            .raw("one_per_second", one.rate()),
        Figure::new(
            2,
            "re-sync: 16 slots that split ÷ one slot that does not",
            rate(&split.again) / rate(&single.again),
        )
        .conditions(format!(
            "{setting}, nothing new, so nothing is written: {} ÷ {} keys/s; split into {} ranges",
            whole(rate(&split.again)),
            whole(rate(&single.again)),
            split.ranges
        ))
        .raw("many_per_second", rate(&split.again))
        .raw("one_per_second", rate(&single.again)),
        Figure::new(2, "whole import: 16 slots that split ÷ one slot that does not", ours / alone)
            .at_least(8.0)
            .conditions(format!(
                "{setting}, one worker, {} ranges: {} ÷ {} keys/s; {bound}",
                split.import_ranges,
                whole(ours),
                whole(alone)
            ))
            .raw("many_per_second", ours)
            .raw("one_per_second", alone)
            .raw("no_latency_per_second", limit)
            .raw("postgres_rows_per_second_at_most", ceiling)
            .raw("busy_percent", share(all_processes))
            .raw("postgres_percent", share(cpu.postgres))
            .raw("worker_percent", share(cpu.worker)),
    ])
}

async fn run(bed: &TestBed, name: &str, bucket: &Bucket, environment: &[(&str, &str)]) -> Result<Run> {
    let deployment = bed.deploy(name, environment).await?;
    let storage = deployment.import(bucket).await?;
    deployment.settle().await?;
    let import = deployment.sync(&storage).await?;
    ensure!(import.count("created") == bucket.count, "{} of {} tasks", import.count("created"), bucket.count);
    let before = deployment.number("SELECT count(*) FROM jobs").await?;
    let again = deployment.sync(&storage).await?;
    ensure!(again.count("existed") == bucket.count, "{} of {} keys existed", again.count("existed"), bucket.count);
    let ranges = deployment.number("SELECT count(*) FROM jobs").await? - before;
    deployment.end().await?;
    Ok(Run { import, again, import_ranges: before, ranges })
}
