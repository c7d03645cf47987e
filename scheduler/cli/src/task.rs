//! `longshore task`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Result;
use crate::named::Named;
use crate::show::{Output, rows};
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
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self {
            Self::List(list) => list.run(client, output).await?,
            Self::Show { id, resolve } => {
                let query = [("resolve_uri", resolve.to_string())];
                output.fields(&client.get(&format!("/api/tasks/{id}"), &query).await?);
            }
        }
        Ok(())
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
