//! `longshore host`: sets Longshore up beside a Label Studio, and removes it. It works on the database, because neither
//! needs a running scheduler.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use longshore_db::host::{HostKind, label_studio};
use longshore_db::{Address, Check, Db, check};
use longshore_model::Secret;
use longshore_telemetry::Findings;
use serde_json::json;

use crate::error::{CliError, Result};
use crate::show::Output;

/// How long a command waits for the database.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks whether Longshore can serve the Label Studio in this database: its version and edition, the rights of the
    /// role, and the settings of its storages. Changes nothing. Exit code 1 if a check fails.
    Check(Database),
    /// Removes Longshore from the database of a Label Studio: drops schema `longshore`, and releases the storages that its
    /// syncs hold. Tasks, annotations and exported objects stay. Stop all schedulers and workers first. The role must own
    /// the schema and Label Studio's tables. Refused while what follows from imports is still to be done.
    Remove(Remove),
}

#[derive(Debug, Args)]
pub(crate) struct Database {
    /// URL of Label Studio's database. Prefer the environment variable: arguments show up in process lists.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = crate::secret)]
    database_url: Secret,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    database: Database,
    /// Confirms that the quarantine, the history of syncs and all else in schema `longshore` is deleted.
    #[arg(long)]
    yes: bool,
    /// Removes it also while programs of Longshore are connected, which fail from then on, and while cohorts, webhook calls
    /// or exports that follow from imports are due, which then never happen.
    #[arg(long)]
    force: bool,
}

impl Command {
    pub(crate) async fn run(self, output: Output) -> Result<ExitCode> {
        match self {
            Self::Check(database) => database.check(output).await,
            Self::Remove(remove) => remove.run(output).await.map(|()| ExitCode::SUCCESS),
        }
    }
}

impl Database {
    fn address(&self) -> Result<Address> {
        Address::parse(&self.database_url).map_err(|fault| CliError::BadDatabaseUrl { fault: fault.to_string() })
    }

    async fn check(&self, output: Output) -> Result<ExitCode> {
        let mut findings = Findings::default();
        findings.extend(check::check_host(&self.address()?, HostKind::LabelStudio, PATIENCE).await);
        let answer = json!({"ok": findings.is_ok(), "text": findings.to_string()});
        output.one(&answer, |_| findings.to_string().trim_end().to_owned());
        Ok(if findings.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Remove {
    async fn run(&self, output: Output) -> Result<()> {
        if !self.yes {
            return Err(CliError::Unconfirmed {
                takes: "this deletes everything in schema longshore, also the quarantine".to_owned(),
                keeps: "tasks and annotations stay".to_owned(),
            });
        }
        let address = self.database.address()?;
        let failed = |error: longshore_db::Error| CliError::Database { text: address.explain(&error) };
        let db = Db::open(&address, "longshore-host-remove", 1, PATIENCE, Check::Always).map_err(failed)?;
        let mut client = db.client().await.map_err(failed)?;
        let running = label_studio::running(&client).await.map_err(failed)?;
        if !running.is_empty() && !self.force {
            return Err(CliError::Running { programs: running.join(", ") });
        }
        let removal = label_studio::remove(&mut client, self.force).await.map_err(|error| match error.sql_state() {
            Some(state) if state.code() == "42501" => CliError::NoOwner { text: address.explain_only(&error) },
            _ => failed(error),
        })?;
        let released = match removal {
            label_studio::Removal::Done { released } => released,
            label_studio::Removal::Due(due) => return Err(CliError::Due { due: due.to_string() }),
        };
        output.one(&json!({"released": released}), |_| {
            format!(
                "Schema longshore is dropped. Storages that its syncs held and that Label Studio can sync now: {released}"
            )
        });
        Ok(())
    }
}
