//! The `longshore-worker` binary.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use longshore_worker::check;
use longshore_worker::config::Config;

/// Threads for blocking work: name look-ups, files, and one computation per processor. Each thread takes some memory;
/// with fewer threads, slow name servers of one storage would delay other storages.
const BLOCKING_THREADS: usize = 32;

/// Consumes jobs, reads and writes storages, and commits rows. Configured by environment variables only:
/// `longshore-scheduler settings` prints them.
#[derive(Debug, Parser)]
#[command(name = "longshore-worker", version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks settings, database, schema, rights, keys and broker, and changes nothing. Exit code 1 if a check fails.
    Check,
}

fn main() -> ExitCode {
    run(&Args::parse()).unwrap_or_else(|error| {
        #[expect(clippy::print_stderr, reason = "the logs may not be set up yet")]
        {
            eprintln!("error: {error:#}");
        }
        ExitCode::FAILURE
    })
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    longshore_telemetry::tune_allocator();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    runtime.block_on(async {
        match args.command {
            None => longshore_worker::run(Config::from_env()?).await.map(|()| ExitCode::SUCCESS),
            Some(Command::Check) => {
                let findings = check::run(Config::from_env()).await;
                #[expect(clippy::print_stdout, reason = "printing is the purpose of this command")]
                {
                    print!("{findings}");
                }
                Ok(if findings.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    })
}
