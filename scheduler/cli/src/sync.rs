//! `longshore sync`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use longshore_model::SyncStatus;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Result;
use crate::follow::{follow, read};
use crate::show::{Output, note};
use crate::storage;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts a sync of a storage; one that already runs is joined.
    Start(Start),
    /// Shows a sync with its counters and jobs.
    Status {
        id: i64,
        /// Shows progress until it ends.
        #[arg(long)]
        follow: bool,
    },
    /// Lists syncs, newest first.
    List(List),
    /// Cancels a sync within a page. What was committed stays.
    Cancel { id: i64 },
    /// Starts a sync of the same storage with the same options.
    Retry {
        id: i64,
        /// Shows progress until it ends.
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The storage, of either direction.
    storage: i64,
    /// Shows progress until it ends; the exit code says how.
    #[arg(long)]
    follow: bool,
    /// How many objects there are, where you know: makes a bar of the first sync's progress.
    #[arg(long, value_name = "OBJECTS", requires = "follow")]
    expect: Option<u64>,
    /// Export: writes every annotation again, not only new and changed ones.
    #[arg(long)]
    all: bool,
    /// Export: only annotations of this task; may be repeated.
    #[arg(long = "task", value_name = "ID")]
    tasks: Vec<i64>,
    /// Two starts with one key are one sync.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Start {
    fn body(&self) -> Value {
        let mut body = json!({});
        if let Some(key) = &self.idempotency_key {
            body["idempotency_key"] = key.as_str().into();
        }
        if self.all || !self.tasks.is_empty() {
            let mode = if self.all { "all" } else { "changed" };
            body["options"] = json!({"mode": mode, "tasks": self.tasks});
        }
        body
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(long, value_name = "ID")]
    project: Option<i64>,
    #[arg(long, value_name = "ID")]
    storage: Option<i64>,
    #[arg(long)]
    status: Option<SyncStatus>,
    /// Only syncs with a smaller id: the next page.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<ExitCode> {
        match self {
            Self::Start(start) => {
                let (_, path) = storage::find(client, start.storage).await?;
                let id = client.start_sync(&path, &start.body()).await?;
                started(client, output, id, start.follow, start.expect).await
            }
            Self::Status { id, follow: true } => to_the_end(client, output, id, None).await,
            Self::Status { id, follow: false } => status(client, output, id).await,
            Self::List(list) => {
                let mut query = vec![("limit", list.limit.to_string())];
                for (name, id) in [("project", list.project), ("storage", list.storage), ("before", list.before)] {
                    query.extend(id.map(|id| (name, id.to_string())));
                }
                query.extend(list.status.map(|status| ("status", status.to_string())));
                let columns = [
                    ("ID", "/id"),
                    ("STORAGE", "/storage"),
                    ("DIRECTION", "/direction"),
                    ("STATUS", "/status"),
                    ("LISTED", "/counts/listed"),
                    ("CREATED", "/counts/created"),
                    ("EXPORTED", "/counts/exported"),
                    ("QUARANTINED", "/counts/quarantined"),
                    ("STARTED", "/started_at"),
                    ("REASON", "/reason"),
                ];
                output.list(&client.get("/api/syncs", &query).await?, &columns);
                Ok(ExitCode::SUCCESS)
            }
            Self::Cancel { id } => {
                let answer = client.post(&format!("/api/syncs/{id}/cancel"), &json!({})).await?;
                let sync = read(client, &answer)?;
                output.one(&answer, |_| sync.summary());
                Ok(ExitCode::SUCCESS)
            }
            Self::Retry { id, follow } => {
                let answer = client.post(&format!("/api/syncs/{id}/retry"), &json!({})).await?;
                let sync = read(client, &answer)?;
                started(client, output, sync.id, follow, None).await
            }
        }
    }
}

async fn started(client: &Client, output: Output, id: i64, follow: bool, total: Option<u64>) -> Result<ExitCode> {
    if follow {
        if !output.json {
            note(&format!("Sync {id} is on its way. Ctrl-C stops watching, not the sync."));
        }
        return to_the_end(client, output, id, total).await;
    }
    status(client, output, id).await
}

async fn to_the_end(client: &Client, output: Output, id: i64, total: Option<u64>) -> Result<ExitCode> {
    let (answer, sync) = follow(client, id, total).await?;
    output.one(&answer, |_| sync.summary());
    Ok(ExitCode::from(exit_code(sync.status)))
}

async fn status(client: &Client, output: Output, id: i64) -> Result<ExitCode> {
    let answer = client.get(&format!("/api/syncs/{id}"), &[]).await?;
    let sync = read(client, &answer)?;
    output.one(&answer, |_| sync.summary());
    if !output.json {
        let columns = [
            ("JOB", "/id"),
            ("KIND", "/kind"),
            ("STATE", "/state"),
            ("ATTEMPT", "/attempt"),
            ("FAILURES", "/failures"),
            ("PAGES", "/counts/pages"),
            ("REASON", "/reason"),
        ];
        output.list(&answer["jobs"], &columns);
    }
    Ok(ExitCode::SUCCESS)
}

/// How the process ends after following; `Args` documents it in `--help`.
const fn exit_code(status: SyncStatus) -> u8 {
    match status {
        SyncStatus::Completed => 0,
        SyncStatus::CompletedWithErrors => 3,
        SyncStatus::Initialized
        | SyncStatus::Queued
        | SyncStatus::InProgress
        | SyncStatus::Failed
        | SyncStatus::Cancelled => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_errors_from_failure() {
        assert_eq!(exit_code(SyncStatus::Completed), 0);
        assert_eq!(exit_code(SyncStatus::CompletedWithErrors), 3);
        assert_eq!(exit_code(SyncStatus::Failed), 1);
        assert_eq!(exit_code(SyncStatus::Cancelled), 1);
    }

    #[test]
    fn options_are_sent_only_when_asked_for() {
        let start =
            Start { storage: 1, follow: true, expect: None, all: false, tasks: Vec::new(), idempotency_key: None };
        assert_eq!(start.body(), json!({}));
        let start = Start { tasks: vec![4], idempotency_key: Some("k".to_owned()), ..start };
        assert_eq!(start.body(), json!({"idempotency_key": "k", "options": {"mode": "changed", "tasks": [4]}}));
        let start = Start { all: true, tasks: Vec::new(), idempotency_key: None, ..start };
        assert_eq!(start.body()["options"]["mode"], "all");
    }
}
