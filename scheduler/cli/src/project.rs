//! `longshore project`.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::client::Client;
use crate::error::Result;
use crate::named::Named;
use crate::show::Output;
use crate::titles::project_id;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Creates a project.
    Create(Create),
    /// Shows a project, with the external ID for the trust policies of IAM roles.
    Show {
        /// ID or title of the project.
        project: Named,
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

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self {
            Self::Create(create) => {
                let mut body = json!({"title": create.title});
                if let Some(config) = create.label_config {
                    body["label_config"] = config.into();
                }
                output.fields(&client.post("/api/projects", &body).await?);
            }
            Self::Show { project } => {
                let id = project_id(client, &project).await?;
                output.fields(&client.get(&format!("/api/projects/{id}"), &[]).await?);
            }
            Self::List { page } => {
                let answer = client.get("/api/projects", &[("page", page.to_string())]).await?;
                output.list(&answer, &[("ID", "/id"), ("TITLE", "/title"), ("CREATED", "/created_at")]);
            }
        }
        Ok(())
    }
}
