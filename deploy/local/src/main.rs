//! `longshore-local`: all of Longshore on one machine, on servers of its own.

#![expect(clippy::print_stdout, reason = "a command for people")]

mod demo;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use longshore_local::up::{self, Up};
use longshore_local::{Place, beside};

/// Runs Longshore on this machine, with servers, ports and data of its own.
#[derive(Parser)]
struct Args {
    /// Where its data, logs and pid files are.
    #[arg(long, global = true, default_value = "target/local")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Sub,
}

#[derive(Subcommand)]
enum Sub {
    /// Starts everything and leaves it running.
    Up,
    /// Stops everything and removes its data.
    Down,
    /// Says what runs.
    Status,
    /// Runs a command beside throwaway servers that its tests share.
    Beside {
        /// The command and its arguments.
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
    /// Plays the main job on a stack of its own and checks every count.
    Demo,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let dir = args.dir.as_path();
    match args.command {
        Sub::Demo => return demo::run(dir).await,
        Sub::Beside { command } => return beside::run(dir, &command).await,
        Sub::Up => {
            let how = up::up(dir).await?;
            let word = if how == Up::Already { "Longshore is up already." } else { "Longshore is up." };
            println!("{word} Use it with: set -a; . {}; set +a", dir.join("env").display());
        }
        Sub::Down => {
            let word = if up::down(dir).await? { "Stopped; its data is removed." } else { "Nothing was up." };
            println!("{word}");
        }
        Sub::Status => {
            let running = Place::find(dir).map(|place| place.processes()).unwrap_or_default();
            if running.is_empty() {
                println!("Nothing is up in {}.", dir.display());
                return Ok(ExitCode::FAILURE);
            }
            for process in running {
                println!("{:12} pid {}", process.name, process.pid);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
