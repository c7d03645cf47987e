//! `longshore-local`: all of Longshore on one machine, with private servers.

#![expect(clippy::print_stdout, reason = "a command for people")]

mod demo;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use demo::Demo;
use longshore_local::up::{self, Choices, StartOutcome};
use longshore_local::{RunDir, beside, bucket};

/// Runs Longshore on this machine, with private servers, ports and data.
#[derive(Parser)]
struct Args {
    /// Folder for data, logs and pid files.
    #[arg(long, global = true, default_value = "target/local")]
    dir: PathBuf,
    #[command(subcommand)]
    command: LocalCommand,
}

#[derive(Subcommand)]
enum LocalCommand {
    /// Start all programs and leave them running.
    Up(Choices),
    /// Stop all programs and start them again, with the same data, ports and token.
    Restart(Choices),
    /// Make, fill and list buckets of the S3 server.
    #[command(subcommand)]
    Bucket(bucket::Command),
    /// Stop all programs and remove their data.
    Down,
    /// List running programs.
    Status,
    /// Run a command with temporary servers that all its tests share.
    Beside {
        /// The command and its arguments.
        #[arg(required = true, last = true)]
        command: Vec<OsString>,
    },
    /// Run the main job on a private stack and check every count.
    Demo {
        /// Beside this app, which is installed below the target folder: sync the same bucket with both.
        #[arg(long)]
        with: Option<HostApp>,
        /// Keep running after the checks, until Ctrl-C.
        #[arg(long, requires = "with")]
        stay: bool,
    },
}

/// An app that owns tasks.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum HostApp {
    LabelStudio,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let dir = args.dir.as_path();
    match args.command {
        LocalCommand::Demo { with: None, .. } => return demo::run(dir, Demo::Alone).await,
        LocalCommand::Demo { with: Some(HostApp::LabelStudio), stay } => {
            return demo::run(dir, Demo::BesideLabelStudio { stays: stay }).await;
        }
        LocalCommand::Beside { command } => return beside::run(dir, &command).await,
        LocalCommand::Bucket(command) => {
            for line in bucket::run(dir, command).await? {
                println!("{line}");
            }
        }
        LocalCommand::Restart(choices) => {
            up::restart(dir, &choices).await?;
            println!("Longshore is running again. Use it with: set -a; . {}; set +a", dir.join("env").display());
        }
        LocalCommand::Up(choices) => {
            let state = if up::up(dir, &choices).await? == StartOutcome::AlreadyRunning {
                "already running"
            } else {
                "running"
            };
            println!("Longshore is {state}. Use it with: set -a; . {}; set +a", dir.join("env").display());
        }
        LocalCommand::Down => {
            let is_stopped = up::down(dir).await?;
            println!("{}", if is_stopped { "Longshore stopped, data removed." } else { "Longshore was not running." });
        }
        LocalCommand::Status => {
            let running = RunDir::find(dir).map(|run_dir| run_dir.processes()).unwrap_or_default();
            if running.is_empty() {
                println!("Longshore is not running in {}.", dir.display());
                return Ok(ExitCode::FAILURE);
            }
            for process in running {
                println!("{:12} pid {}", process.name, process.pid);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
