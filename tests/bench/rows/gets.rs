//! Row 3: an import that reads every object, compared with the client reading them alone; and the cost of an object at
//! two sizes.

use anyhow::{Result, ensure};

use super::sizes::{self, FACTOR, Sample};
use crate::bed::TestBed;
use crate::client::Client;
use crate::deployment::Deployment;
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};

/// The worker's default `LONGSHORE_GETS`, set on both sides.
pub const AT_ONCE: usize = 32;

/// The smaller of the two sizes: long enough that its seconds are not those of the start.
const SMALL: u64 = 20_000;

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let bucket = Bucket::new(Form::Tasks, bed.scaled(50_000));
    let gets = AT_ONCE.to_string();
    // One job, because each job has this many concurrent reads.
    let settings = [("LONGSHORE_JOBS", "1"), ("LONGSHORE_SPLIT_AFTER_PAGES", "0"), ("LONGSHORE_GETS", gets.as_str())];
    let deployment = bed.deploy("gets", &settings).await?;
    let mut figures = vec![
        compare(bed, &deployment, bucket.get_ms(10)).await?.at_least(0.8),
        compare(bed, &deployment, bucket).await?,
    ];
    deployment.end().await?;
    let small = bed.scaled(SMALL);
    let samples = [sample(bed, small, &settings).await?, sample(bed, small * FACTOR, &settings).await?];
    figures.push(sizes::compare(3, "JSON import", samples[0], samples[1]));
    Ok(figures)
}

/// An import of this many files into empty tables.
async fn sample(bed: &TestBed, files: u64, settings: &[(&str, &str)]) -> Result<Sample> {
    let deployment = bed.deploy("getsized", settings).await?;
    let storage = deployment.import(&Bucket::new(Form::Tasks, files)).await?;
    deployment.settle().await?;
    let ended = deployment.sync(&storage).await?;
    ensure!(ended.count("created") == files, "{} of {files} tasks", ended.count("created"));
    deployment.end().await?;
    Ok(Sample::new(files, &ended))
}

async fn compare(bed: &TestBed, deployment: &Deployment<'_>, bucket: Bucket) -> Result<Figure> {
    let alone = Client::open(&bed.endpoint(), bucket)?.get(AT_ONCE).await?;
    let storage = deployment.import(&bucket).await?;
    deployment.settle().await?;
    let ended = deployment.sync(&storage).await?;
    ensure!(ended.count("created") == bucket.count, "{} of {} tasks", ended.count("created"), bucket.count);
    let rate = bucket.count as f64 / ended.seconds;
    let ms = bucket.get.as_millis();
    Ok(Figure::new(3, format!("JSON import ÷ GETs alone, {ms} ms per GET"), rate / alone.rate())
        .conditions(format!(
            "{} files of 1 KB, {AT_ONCE} at once on both sides: import {} tasks/s, the client alone {} GETs/s; {}",
            whole(bucket.count as f64),
            whole(rate),
            whole(alone.rate()),
            ended.cpu.to_text()
        ))
        .raw("import_per_second", rate)
        .raw("gets_per_second", alone.rate()))
}
