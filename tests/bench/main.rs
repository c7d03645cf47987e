//! `longshore-bench`: the speed of syncs compared with their parts, on private servers.
//!
//! Each row of the report is a module of [`rows`]. Both sides of a ratio are measured in the same run, never on
//! different machines. The exit status says only whether all rows could be measured, not whether they met their bars.

mod bed;
mod beside;
mod client;
mod deployment;
mod figure;
mod machine;
mod rows;
mod server;
mod usage;

use std::alloc::System;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::time::Instant;

use bed::TestBed;
use figure::Figure;
use rows::Row;

/// Counts allocations for the row about the listing's parser.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Measures Longshore and prints the report.
#[derive(Parser)]
struct Args {
    /// Rows to measure, such as 1,2,5; all by default.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<u8>,
    /// Factor for the number of keys; 0.1 is enough to check that a row works.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Instead of the rows, check the plans of frequent statements with this many ledger rows, such as 10000000.
    #[arg(long)]
    plans: Option<i64>,
    /// Folder for data and logs of the servers.
    #[arg(long, default_value = "target/local/bench")]
    dir: String,
    /// Folder for the report in JSON.
    #[arg(long, default_value = "target/bench")]
    out: String,
    #[command(subcommand)]
    command: Option<Sub>,
}

#[derive(Subcommand)]
enum Sub {
    /// Run the object store.
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        port: u16,
    },
    /// Instead of the rows, compare with a Label Studio, which is installed below target/local.
    LabelStudio(beside::Sizes),
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(Sub::Serve { port }) = args.command {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(server::serve(port))?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(Sub::LabelStudio(sizes)) = &args.command {
        return runtime.block_on(beside::measure(&args.dir, &Path::new(&args.out).join("label-studio"), sizes));
    }
    runtime.block_on(measure(&args))
}

async fn measure(args: &Args) -> Result<ExitCode> {
    let started = format!("{:.0}", jiff::Timestamp::now());
    let bed = TestBed::start(&args.dir, args.scale).await?;
    let conditions = machine::conditions(&bed::connect(bed.stack.postgres.url()).await?, args.scale).await?;
    println!("{}\n", machine::summary(&conditions));

    let mut figures: Vec<Figure> = Vec::new();
    let mut is_incomplete = false;
    if let Some(rows) = args.plans {
        figures.extend(rows::plans::measure(&bed, rows).await?);
    }
    for row in Row::ALL
        .into_iter()
        .filter(|row| (args.rows.is_empty() && args.plans.is_none()) || args.rows.contains(&row.number()))
    {
        let begun = Instant::now();
        println!("row {}: {} ...", row.number(), row.title());
        let measured = row.measure(&bed).await.unwrap_or_else(|error| {
            is_incomplete = true;
            vec![Figure::without(row.number(), row.title(), format!("could not be measured: {error:#}"))]
        });
        for figure in &measured {
            println!("{}", figure.line());
        }
        println!("  ({:.0} s)\n", begun.elapsed().as_secs_f64());
        figures.extend(measured);
    }

    println!("{}", figure::table(&figures));
    if args.scale != 1.0 {
        println!("At scale {}: the bars are meant for scale 1.", args.scale);
    }
    let path = figure::write_json(Path::new(&args.out), &started, &conditions, &figures)?;
    println!("As JSON: {}", path.display());
    Ok(if is_incomplete { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
