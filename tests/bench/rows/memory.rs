//! Row 6: a worker's peak memory as the bucket grows a hundredfold.

use anyhow::{Context, Result, ensure};

use crate::bed::TestBed;
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};
use crate::usage::peak_mib;

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    // At full scale the small bucket has fifty pages, enough to use all slots of the worker.
    let (few, many) = (bed.scaled(50_000), bed.scaled(5_000_000));
    let (small, _) = peak(bed, "memorysmall", few).await?;
    let (large, rate) = peak(bed, "memorylarge", many).await?;
    let conditions = format!(
        "uuid keys, one worker with its defaults, blob mode: {} MiB at {} keys, {} MiB at {} keys ({} keys/s)",
        whole(small),
        whole(few as f64),
        whole(large),
        whole(many as f64),
        whole(rate)
    );
    Ok(vec![
        Figure::new(6, "worker's peak memory at 5,000,000 keys ÷ at 50,000", large / small)
            .at_most(1.2)
            .conditions(conditions)
            .raw("large_mib", large)
            .raw("small_mib", small),
        Figure::new(6, "worker's peak memory at 5,000,000 keys", large)
            .unit(" MiB")
            .at_most(256.0)
            .conditions("VmHWM")
            .raw("keys_per_second", rate),
    ])
}

/// The peak of a fresh worker after one import, and the import's speed.
async fn peak(bed: &TestBed, name: &str, keys: u64) -> Result<(f64, f64)> {
    let deployment = bed.deploy(name, &[]).await?;
    let storage = deployment.import(&Bucket::new(Form::Uuids, keys)).await?;
    let ended = deployment.sync(&storage).await?;
    ensure!(ended.count("created") == keys, "{} of {keys} tasks", ended.count("created"));
    let mib = peak_mib(deployment.worker.process.pid().context("the worker's pid")?)?;
    deployment.end().await?;
    Ok((mib, keys as f64 / ended.seconds))
}
