//! `longshore task`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Client;
use crate::deletion::Confirmation;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::find;
use crate::named::Named;
use crate::show::{Output, rows};
use crate::text::counted;
use crate::titles::project_id;

/// Characters of a task's data in a list.
const MOST_DATA_CHARS: usize = 80;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the tasks of a project, oldest first.
    List(List),
    /// Shows a task with its annotations and predictions.
    Show {
        id: i64,
        /// Replace URIs in the data by links that browsers can load.
        #[arg(long)]
        resolve: bool,
    },
    /// Deletes tasks with their annotations and predictions: those with these IDs, or all that a storage imported, or all of
    /// a project. By default the next sync imports their objects again.
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    which: Which,
    /// Keep the tasks away: later syncs do not import their objects again, unless these change.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// IDs of tasks.
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// All tasks that this import storage imported, by its ID or title.
    #[arg(long)]
    storage: Option<Named>,
    /// All tasks of this project, by its ID or title.
    #[arg(long)]
    project: Option<Named>,
}

impl Delete {
    async fn run(self, client: &Client, output: Output) -> Result<ExitCode> {
        let keep: Vec<(&str, String)> = self.keep.then(|| ("keep", "true".to_owned())).into_iter().collect();
        if let Some(storage) = &self.which.storage {
            let found = find::find(client, storage).await?;
            if found.is_export() {
                return Err(CliError::OptionNotApplicable {
                    option: "--storage".to_owned(),
                    to: format!("storage {}, which is an export storage", found.id),
                    instead: "name an import storage".to_owned(),
                });
            }
            return self.confirmation.delete(client, output, &format!("{}/tasks", found.path), &keep).await;
        }
        if let Some(project) = &self.which.project {
            let id = project_id(client, project).await?;
            return self.confirmation.delete(client, output, &format!("/api/projects/{id}/tasks"), &keep).await;
        }
        // All of them are read first, so that a wrong ID deletes nothing.
        let (mut annotations, mut predictions) = (0, 0);
        for id in &self.which.ids {
            let task = client.get(&format!("/api/tasks/{id}"), &[("resolve_uri", "false".to_owned())]).await?;
            annotations += task["total_annotations"].as_u64().unwrap_or_default();
            predictions += task["total_predictions"].as_u64().unwrap_or_default();
        }
        let tasks = counted(self.which.ids.len() as u64, "task");
        if !self.confirmation.yes {
            let (annotations, predictions) = (counted(annotations, "annotation"), counted(predictions, "prediction"));
            let takes = format!("this deletes {tasks}, {annotations} and {predictions}");
            return Err(CliError::Unconfirmed { takes, keeps: String::new() });
        }
        for id in &self.which.ids {
            client.delete_selected(&format!("/api/tasks/{id}"), &keep).await?;
        }
        output.one(&json!({"deleted": self.which.ids}), |_| format!("Deleted: {tasks}."));
        Ok(Exit::Success.into())
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// ID or title of a project.
    #[arg(long)]
    project: Named,
    /// Show only tasks with a larger ID, to get the next page.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: i64,
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Replace URIs in the data by links that browsers can load.
    #[arg(long)]
    resolve: bool,
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<ExitCode> {
        match self {
            Self::List(list) => list.run(client, output).await?,
            Self::Show { id, resolve } => {
                let query = [("resolve_uri", resolve.to_string())];
                output.fields(&client.get(&format!("/api/tasks/{id}"), &query).await?);
            }
            Self::Delete(delete) => return delete.run(client, output).await,
        }
        Ok(Exit::Success.into())
    }
}

impl List {
    async fn run(self, client: &Client, output: Output) -> Result<()> {
        let query = [
            ("project", project_id(client, &self.project).await?.to_string()),
            ("after", self.after.to_string()),
            ("page_size", self.limit.to_string()),
            ("resolve_uri", self.resolve.to_string()),
        ];
        let mut answer = client.get("/api/tasks", &query).await?;
        let tasks = rows(&answer);
        let is_full = u64::try_from(tasks.len()).is_ok_and(|count| count >= u64::from(self.limit));
        let last = tasks.last().filter(|_| is_full && answer["next_after"].is_null()).map(|task| task["id"].clone());
        if let Some(last) = last {
            // The API gives it only for answers that are full.
            answer["next_after"] = last;
        }
        if !output.json {
            for task in answer["tasks"].as_array_mut().into_iter().flatten() {
                task["data"] = json!(shortened(&task["data"]));
            }
        }
        let columns = [
            ("ID", "/id"),
            ("ANNOTATIONS", "/total_annotations"),
            ("PREDICTIONS", "/total_predictions"),
            ("CREATED", "/created_at"),
            ("OBJECT", "/storage_filename"),
            ("DATA", "/data"),
        ];
        output.list(&answer, &columns);
        Ok(())
    }
}

/// The start of a task's data.
fn shortened(data: &Value) -> String {
    let text = data.to_string();
    match text.char_indices().nth(MOST_DATA_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_data_is_cut_at_a_character() {
        assert_eq!(shortened(&json!({"a": 1})), r#"{"a":1}"#);
        let long = shortened(&json!({"a": "é".repeat(100)}));
        assert_eq!(long.chars().count(), MOST_DATA_CHARS + 1);
        assert!(long.ends_with("é…"), "{long}");
    }
}
