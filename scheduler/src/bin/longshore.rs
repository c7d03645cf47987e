//! The `longshore` binary: Longshore from the command line.

use std::process::ExitCode;

use clap::Parser;
use longshore_scheduler::cli::{Args, run};

#[tokio::main]
async fn main() -> ExitCode {
    run(Args::parse()).await
}
