//! What a started sync prints and how its command ends: its status now, or its end.

use std::process::ExitCode;

use longshore_model::SyncStatus;
use serde_json::json;

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::follow::{follow, read};
use crate::show::{Output, event, note};

/// Shows a sync that was just started, or follows it to its end.
pub(crate) async fn after_start(
    client: &Client,
    output: Output,
    id: i64,
    follow: bool,
    total: Option<u64>,
) -> Result<ExitCode> {
    if follow {
        if output.json {
            event(&json!({"event": "started", "sync": id}));
        } else {
            note(&format!("Sync {id} was started. Ctrl-C only ends this display; the sync continues."));
        }
        return follow_to_end(client, output, id, total).await;
    }
    status(client, output, id).await
}

/// Follows a sync. The exit code is its result.
pub(crate) async fn follow_to_end(client: &Client, output: Output, id: i64, total: Option<u64>) -> Result<ExitCode> {
    let (answer, sync) = tokio::select! {
        followed = follow(client, output, id, total) => followed?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(CliError::Input)?;
            return Ok(Exit::Interrupted.into());
        }
    };
    output.one(&answer, |_| sync.summary());
    Ok(exit(sync.status).into())
}

/// Shows a sync and its jobs.
pub(crate) async fn status(client: &Client, output: Output, id: i64) -> Result<ExitCode> {
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

/// How a command ends after a followed sync.
const fn exit(status: SyncStatus) -> Exit {
    match status {
        SyncStatus::Completed => Exit::Success,
        SyncStatus::CompletedWithErrors => Exit::Quarantined,
        SyncStatus::Initialized
        | SyncStatus::Queued
        | SyncStatus::InProgress
        | SyncStatus::Failed
        | SyncStatus::Cancelled => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarantined_objects_and_failure_have_different_exit_codes() {
        assert_eq!(exit(SyncStatus::Completed), Exit::Success);
        assert_eq!(exit(SyncStatus::CompletedWithErrors), Exit::Quarantined);
        assert_eq!(exit(SyncStatus::Failed), Exit::Failure);
        assert_eq!(exit(SyncStatus::Cancelled), Exit::Failure);
    }
}
