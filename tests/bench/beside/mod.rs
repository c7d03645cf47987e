//! `make bench-label-studio`: Longshore beside a Label Studio, compared with Label Studio's own syncs and with raw `COPY`.
//!
//! Both use the same Postgres, the same S3 server and the same run. Twin projects hold the same objects. Label Studio has the
//! settings of its package: it syncs inside the request.

mod copy;
mod export;
mod large;
mod pair;
mod resolve;
mod syncs;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use longshore_local::{Options, Stack};
use serde_json::Value;
use tokio::time::Instant;

use crate::bed;
use crate::figure::{self, Figure};
use crate::machine;
use crate::usage::peak_mib;
use pair::Pair;

/// A part of a run, with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Images,
    Files,
    Exports,
    Resolve,
}

/// Sizes of a run.
#[derive(Debug, Clone, Args)]
pub struct Sizes {
    /// Objects of each imported bucket.
    #[arg(long, default_value_t = 10_000)]
    objects: u64,
    /// Annotations to export.
    #[arg(long, default_value_t = 1_000)]
    annotations: u64,
    /// Parts of the run; all without it.
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Also imports this many objects, with Longshore alone, such as 1000000.
    #[arg(long)]
    large: Option<u64>,
}

/// Measures all rows, prints them, and writes them as JSON.
///
/// # Errors
/// The servers do not start. A row that cannot be measured is a row of the report.
pub async fn measure(dir: &str, out: &Path, sizes: &Sizes) -> Result<ExitCode> {
    let started = format!("{:.0}", jiff::Timestamp::now());
    let stack = Stack::start(dir, Options { throwaway: true, ..Options::lasting() }).await?;
    let mut conditions = machine::conditions(&bed::connect(stack.postgres.url()).await?, 1.0).await?;
    let pair = Pair::start(&stack).await?;
    conditions["label_studio"] = pair.version().await?;
    conditions["objects"] = sizes.objects.into();
    println!("{}", machine::summary(&conditions));
    println!("Label Studio {}, which syncs inside the request\n", conditions["label_studio"]);

    let mut report = Report { figures: Vec::new(), is_incomplete: false };
    let has = |part| sizes.parts.is_empty() || sizes.parts.contains(&part);
    if has(Part::Images) {
        report.add("imports of fewer images", syncs::fewer_images(&pair, sizes.objects)).await;
        report.add("imports of images", syncs::images(&pair, sizes.objects)).await;
        report.add("more images again", syncs::more_images_again(&pair, sizes.objects)).await;
    }
    if has(Part::Files) {
        report.add("imports of task files", syncs::files(&pair, sizes.objects)).await;
    }
    if has(Part::Exports) {
        report.add("exports", export::measure(&pair, sizes.annotations)).await;
    }
    if has(Part::Resolve) {
        report.add("images of tasks", resolve::measure(&pair)).await;
    }
    report.add("memory", async { memory(&pair) }).await;
    if let Some(objects) = sizes.large {
        report.add("a large project", large::measure(&pair, objects)).await;
    }
    conditions["load_after"] = machine::load().map_or(Value::Null, Value::from);

    println!("{}", figure::table(&report.figures));
    println!("Load after: {}", conditions["load_after"]);
    let path = figure::write_json(out, &started, &conditions, &report.figures)?;
    println!("As JSON: {}", path.display());
    Ok(if report.is_incomplete { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Report {
    figures: Vec<Figure>,
    is_incomplete: bool,
}

impl Report {
    async fn add(&mut self, title: &str, measuring: impl Future<Output = Result<Vec<Figure>>>) {
        let begun = Instant::now();
        println!("{title} ...");
        let measured = measuring.await.unwrap_or_else(|error| {
            self.is_incomplete = true;
            vec![Figure::without(0, title, format!("could not be measured: {error:#}"))]
        });
        for figure in &measured {
            println!("{}", figure.line());
        }
        println!("  ({:.0} s)\n", begun.elapsed().as_secs_f64());
        self.figures.extend(measured);
    }
}

/// Peaks until now.
fn memory(pair: &Pair<'_>) -> Result<Vec<Figure>> {
    let peaks = pair.pids()?.map(peak_mib);
    let [studio, scheduler, worker] = peaks;
    let (studio, scheduler, worker) = (studio?, scheduler?, worker?);
    let figure = Figure::new(7, "peak memory: Label Studio ÷ Longshore's two programs", studio / (scheduler + worker))
        .conditions(format!("VmHWM: Label Studio {studio:.0} MiB; worker {worker:.0}, scheduler {scheduler:.0} MiB"))
        .raw("label_studio_mib", studio)
        .raw("worker_mib", worker)
        .raw("scheduler_mib", scheduler);
    Ok(vec![figure])
}
