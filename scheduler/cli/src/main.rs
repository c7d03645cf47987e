//! The `longshore` command: a client of the HTTP API. Only `host` works on the database.
//!
//! Results go to standard output, as tables or (`--json`) as the API's answers. Progress and errors go to standard
//! error. There is one file per command; `client` sends requests, `show` prints.

mod audit;
mod client;
mod completions;
mod create;
mod dead_letters;
mod deletion;
mod doctor;
mod error;
mod exit;
mod find;
mod follow;
mod forecast;
mod host;
mod labels;
mod named;
mod outcome;
mod pace;
mod profile;
mod project;
mod quarantine;
mod show;
mod storage;
mod sync;
mod sync_body;
mod sync_start;
mod task;
mod text;
mod titles;
mod token;
mod top;
mod usage;
mod when;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use longshore_model::Secret;

use client::Client;
use error::{CliError, Result};
use exit::Exit;
use show::Output;

/// Sync object storage with Label Studio-style labeling apps, from the command line.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, after_help = Exit::help())]
struct Args {
    #[command(flatten)]
    access: profile::Access,
    /// Print results, progress and errors as JSON, one value per line, for scripts.
    #[arg(long, global = true, help_heading = HEADING)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const HEADING: &str = "Options of every command";

#[derive(Debug, Subcommand)]
enum Command {
    /// Projects: what storages import into and export from.
    #[command(subcommand)]
    Project(project::Command),
    /// Tasks: what imports made.
    #[command(subcommand)]
    Task(task::Command),
    /// Storages: configured connections to buckets.
    #[command(subcommand)]
    Storage(storage::Command),
    /// Run all checks of a storage, and print what to do if one fails.
    Doctor(doctor::Doctor),
    /// Syncs: each is one run of a storage.
    #[command(subcommand)]
    Sync(sync::Command),
    /// Running syncs with their rate and progress: on a terminal until Ctrl-C, elsewhere once.
    Top(top::Top),
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
    /// Profiles: stored URLs and tokens of schedulers.
    #[command(subcommand)]
    Profile(profile::Command),
    /// Prints the completions of a shell. For bash: `longshore completions bash > ~/.local/share/bash-completion/completions/longshore`
    Completions { shell: Shell },
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    let output = Output { json: args.json };
    match dispatch(args, output).await {
        Ok(code) => code,
        Err(error) => {
            show::print_error(&error, output);
            error.exit().into()
        }
    }
}

/// Prints what is wrong with the command line, or the help that was asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    // The command line could not be parsed, so this option is looked for as a text.
    let json = std::env::args_os().any(|word| word == "--json");
    if is_help && !(json && error.use_stderr()) {
        // It fails if nothing reads the output any more.
        error.print().ok();
        return if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() };
    }
    show::print_error(
        &CliError::CommandLine(usage::read(error, &Args::command(), std::env::args().skip(1))),
        Output { json },
    );
    Exit::Usage.into()
}

async fn dispatch(args: Args, output: Output) -> Result<ExitCode> {
    let Args { access, command, .. } = args;
    match &command {
        // These need no scheduler, and must work while the profiles are wrong.
        Command::Completions { shell } => {
            let script = completions::script(*shell, Args::command());
            // It fails if nothing reads the output any more.
            std::io::Write::write_all(&mut std::io::stdout(), &script).ok();
            return Ok(Exit::Success.into());
        }
        Command::Host(_) | Command::Profile(_) => {}
        _ => return call(command, &access.target()?, output).await,
    }
    match command {
        Command::Host(command) => command.run(output).await,
        Command::Profile(command) => command.run(access, output).map(|()| Exit::Success.into()),
        _ => Ok(Exit::Success.into()),
    }
}

async fn call(command: Command, target: &profile::Target, output: Output) -> Result<ExitCode> {
    let client = Client::new(&target.url, target.token.as_ref())?;
    match command {
        Command::Project(command) => return command.run(&client, output).await,
        Command::Task(command) => return command.run(&client, output).await,
        Command::Storage(command) => return command.run(&client, output).await,
        Command::Doctor(doctor) => return doctor.run(&client, output).await,
        Command::Sync(command) => return command.run(&client, output).await,
        Command::Top(top) => return top.run(&client, output).await,
        Command::Quarantine(command) => command.run(&client, output).await?,
        Command::Token(command) => command.run(&client, output).await?,
        Command::Audit(audit) => audit.run(&client, output).await?,
        Command::DeadLetters(command) => command.run(&client, output).await?,
        Command::Host(_) | Command::Profile(_) | Command::Completions { .. } => {}
    }
    Ok(Exit::Success.into())
}

/// Parses an argument that must not be printed.
fn secret(text: &str) -> std::result::Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
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
