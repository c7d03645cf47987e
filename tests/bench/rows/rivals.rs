//! Row 10: comparison with other programs: `rclone lsf`, `s5cmd ls`, and a loop in Python.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::Instant;

use crate::bed::TestBed;
use crate::client::{Client, Pace};
use crate::figure::{Figure, whole};
use crate::machine::version;
use crate::server::bucket::{Bucket, Form};

/// Made by `rivals/install.sh`.
const PYTHON: &str = "target/local/bench-rivals/bin/python";

const LOOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rivals/loop.py");

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let mut figures = listings(bed).await?;
    figures.extend(imports(bed).await?);
    Ok(figures)
}

/// The listing: our client, compared with programs that list.
async fn listings(bed: &TestBed) -> Result<Vec<Figure>> {
    let bucket = Bucket::new(Form::Flat, bed.scaled(1_000_000));
    let endpoint = bed.endpoint();
    let folder = format!("{bucket}/images/");
    let mut rclone = Command::new("rclone");
    rclone.args(["lsf", "--config", "/dev/null", "--s3-provider", "Other", "--s3-list-version", "2"]);
    rclone.args(["--s3-access-key-id", "AKIABENCH", "--s3-secret-access-key", "bench", "--s3-endpoint", &endpoint]);
    // This version of rclone fails with a certificate bundle for AWS, which is not needed without TLS.
    rclone.arg(format!(":s3:{folder}")).env_remove("AWS_CA_BUNDLE");
    let mut s5cmd = Command::new("s5cmd");
    s5cmd.args(["--endpoint-url", &endpoint, "ls", &format!("s3://{folder}*")]);
    s5cmd.env("AWS_ACCESS_KEY_ID", "AKIABENCH").env("AWS_SECRET_ACCESS_KEY", "bench").env("AWS_REGION", "us-east-1");

    let mut figures = Vec::new();
    for (name, command, about) in [("rclone lsf", rclone, "rclone"), ("s5cmd ls", s5cmd, "s5cmd")] {
        let measure = format!("listing: our client ÷ {name}");
        let version = version(about, &["version"]);
        if version == "unknown" {
            figures.push(Figure::without(10, measure, format!("{about} is not installed")));
            continue;
        }
        let ours = Client::open(&endpoint, bucket)?.list(1).await?;
        let theirs = tokio::task::spawn_blocking(move || lines(command)).await??;
        ensure!(theirs.count == bucket.count, "{name} listed {} of {} keys", theirs.count, bucket.count);
        figures.push(compare(measure, ours, theirs, &version));
    }
    Ok(figures)
}

/// The whole import: Longshore with its defaults, compared with the loop, with single inserts and with
/// `execute_values`.
async fn imports(bed: &TestBed) -> Result<Vec<Figure>> {
    let python = Path::new(PYTHON);
    if !python.is_file() {
        let why = "no Python with boto3 and psycopg2: tests/bench/rivals/install.sh brings it";
        return Ok(vec![Figure::without(10, "whole import ÷ a loop in Python", why)]);
    }
    let bucket = Bucket::new(Form::Flat, bed.scaled(100_000));
    let deployment = bed.deploy("rivals", &[]).await?;
    let storage = deployment.import(&bucket).await?;
    deployment.settle().await?;
    let ended = deployment.sync(&storage).await?;
    ensure!(ended.count("created") == bucket.count, "{} of {} tasks", ended.count("created"), bucket.count);
    deployment.end().await?;
    let ours = Pace { count: bucket.count, seconds: ended.seconds };

    let python_version = version(PYTHON, &["--version"]);
    let mut figures = Vec::new();
    for (how, name) in [("insert", "one insert per object"), ("values", "execute_values")] {
        let (url, database) = bed.database("pythonloop").await?;
        database.batch_execute("CHECKPOINT").await?;
        let mut command = Command::new(python);
        command.args([LOOP, &bed.endpoint(), &bucket.to_string(), &url, how]);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let result: Value = serde_json::from_slice(&output.stdout)?;
        let seconds = result["seconds"].as_f64().context("the loop's seconds")?;
        let theirs = Pace { count: result["count"].as_u64().context("the loop's count")?, seconds };
        ensure!(theirs.count == bucket.count, "the loop made {} of {} tasks", theirs.count, bucket.count);
        figures.push(compare(format!("whole import ÷ a loop in Python, {name}"), ours, theirs, &python_version));
        drop(database);
        bed.drop_database("pythonloop").await?;
    }
    Ok(figures)
}

fn compare(measure: String, ours: Pace, theirs: Pace, version: &str) -> Figure {
    Figure::new(10, measure, ours.rate() / theirs.rate())
        .at_least(1.0)
        .conditions(format!(
            "{} keys, 0 ms per page: {} ÷ {} keys/s; {version}",
            whole(ours.count as f64),
            whole(ours.rate()),
            whole(theirs.rate())
        ))
        .raw("ours_per_second", ours.rate())
        .raw("theirs_per_second", theirs.rate())
}

/// Runs a program that prints a line per key.
fn lines(mut command: Command) -> Result<Pace> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("its output")?;
    let count = BufReader::with_capacity(1 << 16, output).split(b'\n').count() as u64;
    let ended = child.wait_with_output()?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    Ok(Pace { count, seconds })
}
