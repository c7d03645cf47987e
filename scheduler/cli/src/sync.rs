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
    /// Starts a sync of a storage, or joins the one that is live.
    Start(Start),
    /// Shows a sync with its counters and jobs.
    Status {
        id: i64,
        /// Show progress until the sync ends.
        #[arg(long)]
        follow: bool,
    },
    /// Lists syncs, newest first.
    List(List),
    /// Cancels a sync. Workers stop after their current page; committed tasks and objects stay.
    Cancel { id: i64 },
    /// Starts a sync of the same storage with the same options.
    Retry {
        id: i64,
        /// Show progress until the sync ends.
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// ID of an import or export storage.
    storage: i64,
    /// Show progress until the sync ends. The exit code is the result of the sync.
    #[arg(long)]
    follow: bool,
    /// Number of objects, if you know it. Needed for a progress bar in the first sync of a storage.
    #[arg(long, value_name = "OBJECTS", requires = "follow")]
    expect: Option<u64>,
    /// Export: write all annotations again, not only new and changed ones.
    #[arg(long)]
    all: bool,
    /// Export: write only annotations of this task. Can be repeated.
    #[arg(long = "task", value_name = "ID")]
    tasks: Vec<i64>,
    /// Two starts with the same key start only one sync.
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
    /// Show only syncs with a smaller ID, to get the next page.
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
                after_start(client, output, id, start.follow, start.expect).await
            }
            Self::Status { id, follow: true } => follow_to_end(client, output, id, None).await,
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
                    ("WAITING FOR", "/waiting_for"),
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
                after_start(client, output, sync.id, follow, None).await
            }
        }
    }
}

async fn after_start(client: &Client, output: Output, id: i64, follow: bool, total: Option<u64>) -> Result<ExitCode> {
    if follow {
        if !output.json {
            note(&format!("Sync {id} was started. Ctrl-C only ends this display; the sync continues."));
        }
        return follow_to_end(client, output, id, total).await;
    }
    status(client, output, id).await
}

async fn follow_to_end(client: &Client, output: Output, id: i64, total: Option<u64>) -> Result<ExitCode> {
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

/// The exit code after a followed sync, as `--help` documents it.
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
    fn quarantined_objects_and_failure_have_different_exit_codes() {
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
