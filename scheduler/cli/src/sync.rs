//! `longshore sync`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use longshore_model::SyncStatus;
use serde_json::json;

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::find;
use crate::follow::read;
use crate::forecast;
use crate::labels::{self, Labelled};
use crate::named::Named;
use crate::outcome::{after_start, follow_to_end, status};
use crate::show::{Output, note, rows, rows_mut};
use crate::sync_start::Start;
use crate::titles::optional_project;
use crate::when::time;

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
    /// Shows progress until a sync ends. The exit code is the result of the sync.
    Follow(Follow),
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
#[group(required = true, multiple = false)]
pub(crate) struct Follow {
    /// ID of a sync.
    #[arg(value_name = "ID")]
    sync: Option<i64>,
    /// The latest sync of this storage, by its ID or title.
    #[arg(long)]
    storage: Option<Named>,
}

impl Follow {
    async fn id(&self, client: &Client) -> Result<i64> {
        if let Some(id) = self.sync {
            return Ok(id);
        }
        let storage = find::optional_id(client, self.storage.as_ref()).await?.unwrap_or_default();
        let query = [("storage", storage.to_string()), ("limit", "1".to_owned())];
        let answer = client.get("/api/syncs", &query).await?;
        let latest = rows(&answer).first().and_then(|sync| sync["id"].as_i64());
        latest.ok_or(CliError::NoSync { storage })
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// ID or title of a project.
    #[arg(long)]
    project: Option<Named>,
    /// ID or title of a storage.
    #[arg(long)]
    storage: Option<Named>,
    #[arg(long)]
    status: Option<SyncStatus>,
    /// Show only syncs that were requested at this time or later: 2026-03-01T00:00:00Z, the day 2026-03-01, or 2h for two
    /// hours ago.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Show only syncs that were requested before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Show only syncs with a smaller ID, to get the next page.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

impl List {
    async fn query(&self, client: &Client) -> Result<Vec<(&'static str, String)>> {
        let mut query = vec![("limit", self.limit.to_string())];
        let project = optional_project(client, self.project.as_ref()).await?;
        let storage = find::optional_id(client, self.storage.as_ref()).await?;
        for (name, id) in [("project", project), ("storage", storage), ("before", self.before)] {
            query.extend(id.map(|id| (name, id.to_string())));
        }
        for (name, at) in [("since", self.since), ("until", self.until)] {
            query.extend(at.map(|at| (name, at.to_string())));
        }
        query.extend(self.status.map(|status| ("status", status.to_string())));
        Ok(query)
    }
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<ExitCode> {
        match self {
            Self::Start(start) => {
                let found = find::find(client, &start.storage).await?;
                start.check(&found)?;
                if start.dry_run {
                    forecast::dry_run(client, &found.path, output).await?;
                    return Ok(ExitCode::SUCCESS);
                }
                let id = client.start_sync(&found.path, &start.body()).await?;
                after_start(client, output, id, start.follow, start.expect).await
            }
            Self::Follow(follow) => {
                let id = follow.id(client).await?;
                follow_to_end(client, output, id, None).await
            }
            Self::Status { id, follow: true } => follow_to_end(client, output, id, None).await,
            Self::Status { id, follow: false } => status(client, output, id).await,
            Self::List(list) => {
                let query = list.query(client).await?;
                let columns = [
                    ("ID", "/id"),
                    ("STORAGE", "/storage"),
                    ("DIRECTION", "/direction"),
                    ("STATUS", "/status"),
                    ("LISTED", "/counts/listed"),
                    ("CREATED", "/counts/created"),
                    ("EXPORTED", "/counts/exported"),
                    ("DELETED", "/counts/deleted_tasks"),
                    ("QUARANTINED", "/counts/quarantined"),
                    ("WAITING FOR", "/waiting_for"),
                    ("REQUESTED", "/created_at"),
                    ("STARTED", "/started_at"),
                    ("REASON", "/reason"),
                ];
                let mut answer = client.get("/api/syncs", &query).await?;
                labels::add(client, output, rows_mut(&mut answer), &[Labelled::Storage]).await;
                output.list(&answer, &columns);
                Ok(ExitCode::SUCCESS)
            }
            Self::Cancel { id } => {
                let path = format!("/api/syncs/{id}");
                let had_ended = !read(client, &client.get(&path, &[]).await?)?.status.is_live();
                let answer = client.post(&format!("{path}/cancel"), &json!({})).await?;
                let sync = read(client, &answer)?;
                output.one(&answer, |_| sync.summary());
                if had_ended && !output.json {
                    note(&format!("Sync {id} had ended before, so nothing was cancelled."));
                }
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
