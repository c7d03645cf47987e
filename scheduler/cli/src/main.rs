//! The `longshore` command: a client of the HTTP API. Only `host` works on the database.
//!
//! Results go to standard output, as tables or (`--json`) as the API's answers. Progress and errors go to standard
//! error. There is one file per command; `client` sends requests, `show` prints.

mod audit;
mod client;
mod create;
mod dead_letters;
mod doctor;
mod error;
mod follow;
mod host;
mod pace;
mod project;
mod quarantine;
mod show;
mod storage;
mod sync;
mod sync_body;
mod text;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use longshore_model::Secret;

use client::Client;
use error::Result;
use show::Output;

/// Sync object storage with Label Studio-style labeling apps, from the command line.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, after_help = EXIT_CODES)]
struct Args {
    /// URL of the scheduler's API.
    #[arg(long, global = true, help_heading = HEADING, env = "LONGSHORE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// API token. Prefer the environment variable: arguments show up in process lists.
    #[arg(
        long,
        global = true,
        help_heading = HEADING,
        env = "LONGSHORE_TOKEN",
        hide_env_values = true,
        value_parser = secret
    )]
    token: Option<Secret>,
    /// Print the API's answers as JSON, for scripts.
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const HEADING: &str = "Options of every command";

const EXIT_CODES: &str = "\
Exit codes:
  0  success; a followed sync completed
  1  the command failed, a followed sync failed or was cancelled, or a check of the doctor failed
  2  the command line is invalid
  3  a followed sync completed, but some objects are in quarantine";

#[derive(Debug, Subcommand)]
enum Command {
    /// Projects: what storages import into and export from.
    #[command(subcommand)]
    Project(project::Command),
    /// Storages: configured connections to buckets.
    #[command(subcommand)]
    Storage(storage::Command),
    /// Run all checks of a storage, and print what to do if one fails.
    Doctor(doctor::Doctor),
    /// Syncs: each is one run of a storage.
    #[command(subcommand)]
    Sync(sync::Command),
    /// Quarantine: objects that could not be imported or exported.
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Tokens: who may call the API.
    #[command(subcommand)]
    Token(token::Command),
    /// Audit: who changed what, and whose requests were denied.
    Audit(audit::Audit),
    /// Dead letters: messages that the broker or a consumer gave up.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Host: set-up beside a running Label Studio, in its database.
    #[command(subcommand)]
    Host(host::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output { json: args.json };
    match dispatch(args, output).await {
        Ok(code) => code,
        Err(error) => {
            show::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(args: Args, output: Output) -> Result<ExitCode> {
    let client = Client::new(&args.url, args.token.as_ref())?;
    match args.command {
        Command::Project(command) => command.run(&client, output).await?,
        Command::Storage(command) => command.run(&client, output).await?,
        Command::Doctor(doctor) => return doctor.run(&client, output).await,
        Command::Sync(command) => return command.run(&client, output).await,
        Command::Quarantine(command) => command.run(&client, output).await?,
        Command::Token(command) => command.run(&client, output).await?,
        Command::Audit(audit) => audit.run(&client, output).await?,
        Command::DeadLetters(command) => command.run(&client, output).await?,
        Command::Host(command) => return command.run(output).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses an argument that must not be printed.
fn secret(text: &str) -> std::result::Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_token_is_not_shown_by_debug() {
        let args = Args::try_parse_from(["longshore", "--token", "hunter2", "project", "list"]).unwrap();
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
