//! Row 4: an export, compared with the client writing objects of the same size alone; and the cost of an object at two
//! sizes.

use anyhow::{Result, ensure};

use super::gets::AT_ONCE;
use super::sizes::{self, FACTOR, Sample};
use crate::bed::TestBed;
use crate::client::Client;
use crate::deployment::Deployment;
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};

/// Tasks of a usual size, each with an annotation of one rectangle.
pub(super) const SEED: &str = r#"
    WITH task AS (
        INSERT INTO tasks (project_id, data, total_annotations)
        SELECT $1, jsonb_build_object('image', 's3://photos/images/' || lpad(i::text, 10, '0') || '.jpg'), 1
          FROM generate_series(1, $2::bigint) i
        RETURNING id
    )
    INSERT INTO annotations (task_id, project_id, result, lead_time, completed_by)
    SELECT id, $1, jsonb_build_array(jsonb_build_object(
               'id', md5(id::text), 'type', 'rectanglelabels', 'from_name', 'label', 'to_name', 'image',
               'original_width', 1920, 'original_height', 1080, 'image_rotation', 0,
               'value', jsonb_build_object('x', 12.5, 'y', 30.25, 'width', 40.125, 'height', 22, 'rotation', 0,
                                           'rectanglelabels', jsonb_build_array('Airplane')))),
           12.75, 1
      FROM task"#;

/// The smaller of the two sizes, as in row 3.
const SMALL: u64 = 20_000;

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let bucket = Bucket::new(Form::Flat, bed.scaled(50_000));
    let puts = AT_ONCE.to_string();
    let settings = [("LONGSHORE_JOBS", "1"), ("LONGSHORE_GETS", puts.as_str())];
    let deployment = bed.deploy("puts", &settings).await?;
    deployment.database.execute(SEED, &[&deployment.project, &i64::try_from(bucket.count)?]).await?;
    deployment.database.batch_execute("VACUUM ANALYZE").await?;
    let mut figures = vec![
        compare(bed, &deployment, bucket.put_ms(10)).await?.at_least(0.8),
        compare(bed, &deployment, bucket).await?,
    ];
    deployment.end().await?;
    let small = bed.scaled(SMALL);
    let samples = [sample(bed, small, &settings).await?, sample(bed, small * FACTOR, &settings).await?];
    figures.push(sizes::compare(4, "first export", samples[0], samples[1]));
    Ok(figures)
}

/// The first export of this many annotations: `exports` is empty, and was when it was analyzed.
async fn sample(bed: &TestBed, annotations: u64, settings: &[(&str, &str)]) -> Result<Sample> {
    let deployment = bed.deploy("putsized", settings).await?;
    deployment.database.execute(SEED, &[&deployment.project, &i64::try_from(annotations)?]).await?;
    deployment.database.batch_execute("VACUUM ANALYZE").await?;
    let storage = deployment.export(&Bucket::new(Form::Flat, annotations)).await?;
    deployment.settle().await?;
    let ended = deployment.sync(&storage).await?;
    ensure!(ended.count("exported") == annotations, "{} of {annotations} written", ended.count("exported"));
    deployment.end().await?;
    Ok(Sample::new(annotations, &ended))
}

async fn compare(bed: &TestBed, deployment: &Deployment<'_>, bucket: Bucket) -> Result<Figure> {
    let storage = deployment.export(&bucket).await?;
    deployment.settle().await?;
    let ended = deployment.sync(&storage).await?;
    ensure!(ended.count("exported") == bucket.count, "{} of {} written", ended.count("exported"), bucket.count);
    let bytes = ended.count("bytes") / bucket.count;
    let alone = Client::open(&bed.endpoint(), bucket)?.put(AT_ONCE, bucket.count, usize::try_from(bytes)?).await?;
    let rate = bucket.count as f64 / ended.seconds;
    let ms = bucket.put.as_millis();
    Ok(Figure::new(4, format!("export ÷ PUTs alone, {ms} ms per PUT"), rate / alone.rate())
        .conditions(format!(
            "{} annotations of {} bytes, {AT_ONCE} at once on both sides: export {}/s, the client alone {} PUTs/s; {}",
            whole(bucket.count as f64),
            whole(bytes as f64),
            whole(rate),
            whole(alone.rate()),
            ended.cpu.to_text()
        ))
        .raw("export_per_second", rate)
        .raw("puts_per_second", alone.rate())
        .raw("bytes_per_object", bytes))
}
