//! Row 5: a sync without new objects, compared with listing the bucket alone.

use anyhow::{Result, ensure};

use crate::bed::TestBed;
use crate::client::Client;
use crate::deployment::{CompletedSync, Deployment, Storage};
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};

/// A number that would grow if a sync without new objects wrote rows.
const ROWS: &str = "SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM objects) \
                         + (SELECT count(*) FROM quarantine) + (SELECT coalesce(max(id), 0) FROM tasks)";

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let bucket = Bucket::new(Form::Flat, bed.scaled(1_000_000));
    // One range on both sides: the client lists page after page.
    let deployment = bed.deploy("resync", &[("LONGSHORE_JOBS", "1"), ("LONGSHORE_SPLIT_AFTER_PAGES", "0")]).await?;
    let storage = deployment.import(&bucket).await?;
    deployment.sync(&storage).await?;
    let before = deployment.number(ROWS).await?;
    deployment.database.batch_execute("VACUUM ANALYZE").await?;
    deployment.settle().await?;
    let figures = vec![
        compare(bed, &deployment, &storage, bucket, 3, 0.5).await?,
        compare(bed, &deployment, &storage, bucket.list_ms(20), 1, 0.95).await?,
    ];
    let written = deployment.number(ROWS).await? - before;
    deployment.end().await?;
    let written = Figure::new(5, "rows that these re-syncs wrote", written as f64)
        .at_most(0.0)
        .conditions("tasks, ledger, quarantine and the tasks' sequence, before and after");
    Ok(figures.into_iter().chain([written]).collect())
}

async fn compare(
    bed: &TestBed,
    deployment: &Deployment<'_>,
    storage: &Storage,
    bucket: Bucket,
    rounds: usize,
    bar: f64,
) -> Result<Figure> {
    deployment.move_to(storage, &bucket).await?;
    let client = Client::open(&bed.endpoint(), bucket)?;
    let (mut listing, mut syncing) = (0.0, 0.0);
    let mut last: Option<CompletedSync> = None;
    for _ in 0..rounds {
        listing += client.list(1).await?.seconds;
        let ended = deployment.sync(storage).await?;
        ensure!(ended.count("existed") == bucket.count, "{} of {} existed", ended.count("existed"), bucket.count);
        syncing += ended.seconds;
        last = Some(ended);
    }
    let rate = |seconds: f64| (bucket.count * rounds as u64) as f64 / seconds;
    let (listed, synced) = (rate(listing), rate(syncing));
    let ms = bucket.list.as_millis();
    Ok(Figure::new(5, format!("re-sync, nothing new ÷ listing alone, {ms} ms per page"), synced / listed)
        .at_least(bar)
        .conditions(format!(
            "{} keys, one range on both sides, rounds in turns: {rounds}; re-sync {} keys/s, listing {} keys/s; {}",
            whole(bucket.count as f64),
            whole(synced),
            whole(listed),
            last.map(|ended| ended.cpu.to_text()).unwrap_or_default()
        ))
        .raw("resync_per_second", synced)
        .raw("listing_per_second", listed))
}
