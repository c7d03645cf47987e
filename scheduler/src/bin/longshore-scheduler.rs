//! The `longshore-scheduler` binary.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use longshore_db::host::label_studio;
use longshore_db::rights;
use longshore_model::StorageKind;
use longshore_scheduler::config::{Config, MigrationConfig, RotationConfig};
use longshore_scheduler::{check, migration, rotation};

/// Serves the API, accepts syncs and publishes their jobs to workers. Configured by environment variables only.
#[derive(Debug, Parser)]
#[command(name = "longshore-scheduler", version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks settings, database, schema, rights, keys and broker, and changes nothing. Exit code 1 if a check fails.
    Check,
    /// Brings the schema up to date and ends. For deployments whose programs may not change the schema: run it with a
    /// `DATABASE_URL` of the schema's owner, before a new release starts.
    Migrate,
    /// Prints the SQL that gives a role the rights to run the programs. Run it as the schema's owner after `migrate`.
    Grants {
        /// The role, such as `longshore_app`.
        role: String,
        /// The role belongs to a host and may only start syncs, by `enqueue_sync`.
        #[arg(long)]
        host: bool,
        /// The rights of the programs on Label Studio's tables instead. Run it as their owner.
        #[arg(long, conflicts_with = "host")]
        label_studio: bool,
    },
    /// Encrypts every stored secret with the first of `LONGSHORE_SECRET_KEYS`. Schedulers and workers can keep running.
    ///
    /// Needs `DATABASE_URL` and `LONGSHORE_SECRET_KEYS` only. After exit code 0, the other keys are no longer
    /// needed.
    RotateKeys,
    /// Prints the table of all settings of both programs, as Markdown.
    Settings,
    /// Prints the table of the fields of one storage kind, as Markdown.
    Fields {
        /// The kind, such as `s3`.
        kind: StorageKind,
    },
}

fn main() -> ExitCode {
    longshore_telemetry::tune_allocator();
    serve().unwrap_or_else(|error| {
        #[expect(clippy::print_stderr, reason = "the logs may not be set up yet")]
        {
            eprintln!("error: {error:#}");
        }
        ExitCode::FAILURE
    })
}

#[tokio::main]
async fn serve() -> anyhow::Result<ExitCode> {
    match Args::parse().command {
        Some(Command::Check) => {
            let findings = check::run(Config::from_env()).await;
            #[expect(clippy::print_stdout, reason = "printing is the purpose of this command")]
            {
                print!("{findings}");
            }
            Ok(if findings.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some(Command::Migrate) => migration::run(&MigrationConfig::from_env()?).await.map(|()| ExitCode::SUCCESS),
        Some(Command::Grants { role, host, label_studio }) => {
            let grants = match (host, label_studio) {
                (true, _) => rights::host_grants,
                (false, true) => label_studio::rights::grants,
                (false, false) => rights::grants,
            };
            #[expect(clippy::print_stdout, reason = "printing is the purpose of this command")]
            {
                print!("{}", grants(&role));
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Settings) => {
            #[expect(clippy::print_stdout, reason = "printing is the purpose of this command")]
            {
                print!("{}", longshore_telemetry::settings::markdown());
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Fields { kind }) => {
            #[expect(clippy::print_stdout, reason = "printing is the purpose of this command")]
            {
                print!("{}", longshore_model::kinds::markdown(kind));
            }
            Ok(ExitCode::SUCCESS)
        }
        None => longshore_scheduler::run(Config::from_env()?).await.map(|()| ExitCode::SUCCESS),
        Some(Command::RotateKeys) => {
            let rotated = rotation::run(&RotationConfig::from_env()?).await?;
            #[expect(clippy::print_stdout, reason = "printing is the purpose of this command")]
            {
                print!("{rotated}");
            }
            Ok(if rotated.unopened.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
