//! `longshore project`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::client::Client;
use crate::deletion::Confirmation;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::find;
use crate::named::Named;
use crate::show::{Output, rows};
use crate::text::escaped;
use crate::titles::{project_id, projects, warn_of_twin};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Creates a project.
    Create(Create),
    /// Shows a project, with the external ID for the trust policies of IAM roles.
    Show {
        /// ID or title of the project.
        project: Named,
    },
    /// Changes the title or the labeling interface of a project.
    Update(Update),
    /// Deletes a project with its tasks, annotations and storages. Objects in buckets stay.
    Delete {
        /// ID or title of the project.
        project: Named,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Lists projects, newest first.
    List {
        /// Number of the page, from 1.
        #[arg(long, default_value_t = 1)]
        page: u32,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Title of the project.
    #[arg(long)]
    title: String,
    /// Label Studio's labeling interface as XML. Its first object tag names the data key of tasks that are made of
    /// whole objects (`--blob`).
    #[arg(long)]
    label_config: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// ID or title of the project.
    project: Named,
    /// New title.
    #[arg(long)]
    title: Option<String>,
    /// New labeling interface, as XML.
    #[arg(long)]
    label_config: Option<String>,
}

impl Update {
    async fn run(self, client: &Client, output: Output) -> Result<()> {
        let id = project_id(client, &self.project).await?;
        let mut body = json!({});
        for (name, value) in [("title", self.title), ("label_config", self.label_config)] {
            if let Some(value) = value {
                body[name] = value.into();
            }
        }
        if body == json!({}) {
            return Err(CliError::NothingToChange { command: "project update" });
        }
        output.fields(&client.patch(&format!("/api/projects/{id}"), &body).await?);
        Ok(())
    }
}

/// Deletes a project. The API deletes an empty one without a number to confirm, so that is asked for here.
async fn delete(client: &Client, output: Output, project: &Named, confirmation: Confirmation) -> Result<ExitCode> {
    let id = project_id(client, project).await?;
    let path = format!("/api/projects/{id}");
    let title = client.get(&path, &[]).await?["title"].as_str().map(str::to_owned);
    let query = [("project", id.to_string()), ("page_size", "1".to_owned())];
    let tasks = client.get("/api/tasks", &query).await?;
    let is_empty = rows(&tasks).is_empty() && find::list(client, Some(id)).await?.is_empty();
    if is_empty && !confirmation.yes {
        let title = escaped(title.as_deref().unwrap_or_default());
        let takes = format!("this deletes project {id} (`{title}`), which has no tasks and no storages");
        return Err(CliError::Unconfirmed { takes, keeps: String::new() });
    }
    confirmation.delete(client, output, &path, &[]).await
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<ExitCode> {
        match self {
            Self::Create(create) => {
                let mut body = json!({"title": create.title});
                if let Some(config) = create.label_config {
                    body["label_config"] = config.into();
                }
                let made = client.post("/api/projects", &body).await?;
                output.fields(&made);
                if !output.json {
                    // Only for a note: the project is made.
                    warn_of_twin("project", &made, &projects(client).await.unwrap_or_default());
                }
            }
            Self::Show { project } => {
                let id = project_id(client, &project).await?;
                output.fields(&client.get(&format!("/api/projects/{id}"), &[]).await?);
            }
            Self::Update(update) => update.run(client, output).await?,
            Self::Delete { project, confirmation } => return delete(client, output, &project, confirmation).await,
            Self::List { page } => {
                let answer = client.get("/api/projects", &[("page", page.to_string())]).await?;
                output.list(&answer, &[("ID", "/id"), ("TITLE", "/title"), ("CREATED", "/created_at")]);
            }
        }
        Ok(Exit::Success.into())
    }
}
