//! Deletions of many rows: what they take is said first, `--yes` confirms it, and they run as a sync.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::outcome::after_start;
use crate::show::Output;
use crate::text::grouped;

/// The code of the API's refusal that says what a deletion takes.
const UNCONFIRMED: &str = "confirmation_required";

/// How a deletion runs.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Confirmation {
    /// Confirms the deletion. Without it, the command only says what would be deleted.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Show progress until the deletion ends.
    #[arg(long)]
    follow: bool,
}

impl Confirmation {
    /// Deletes what the path and query name, if it is confirmed.
    ///
    /// # Errors
    /// It is not confirmed; the error says what it takes.
    pub(crate) async fn delete(
        self,
        client: &Client,
        output: Output,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<ExitCode> {
        // Without a number the API deletes nothing, and says what it would take.
        let body = match client.delete_as_sync(path, query).await {
            Err(CliError::Api { body }) if body["code"] == UNCONFIRMED => body,
            answer => return self.show(client, output, answer?).await,
        };
        if !self.yes {
            return Err(CliError::Unconfirmed { takes: takes(&body), keeps: String::new() });
        }
        let number = body["confirm"].as_str().map(str::to_owned).ok_or_else(|| client.not_longshore())?;
        let confirmed = [query, &[("confirm", number)]].concat();
        self.show(client, output, client.delete_as_sync(path, &confirmed).await?).await
    }

    /// Shows the sync that deletes; `None` if everything is deleted already.
    async fn show(self, client: &Client, output: Output, sync: Option<i64>) -> Result<ExitCode> {
        match sync {
            Some(id) => after_start(client, output, id, self.follow, None).await,
            None => {
                output.one(&Value::Null, |_| "Deleted.".to_owned());
                Ok(Exit::Success.into())
            }
        }
    }
}

/// What a deletion takes, from the numbers of the API.
fn takes(body: &Value) -> String {
    let named = [
        ("tasks", "task", "tasks"),
        ("annotations", "annotation", "annotations"),
        ("predictions", "prediction", "predictions"),
        ("objects", "entry of an imported object", "entries of imported objects"),
        ("exports", "exported object", "exported objects"),
        ("storages", "storage", "storages"),
    ];
    let counts = named.iter().filter_map(|(name, one, many)| {
        let count = body["takes"][*name].as_u64().filter(|count| *count > 0)?;
        Some(format!("{} {}", grouped(count), if count == 1 { one } else { many }))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        "this deletes nothing else".to_owned()
    } else {
        format!("this deletes {}", counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_deletion_takes_is_said_in_numbers() {
        let body =
            json!({"takes": {"tasks": 1_200, "annotations": 3, "predictions": 0, "objects": 1_200, "exports": 0}});
        assert_eq!(takes(&body), "this deletes 1,200 tasks, 3 annotations, 1,200 entries of imported objects");
    }
}
