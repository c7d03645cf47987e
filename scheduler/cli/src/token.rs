//! `longshore token`.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use crate::client::Client;
use crate::error::Result;
use crate::labels::{self, Labelled};
use crate::named::Named;
use crate::show::{Output, rows_mut};
use crate::titles::project_id;
use crate::when::lifetime;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Creates a token. Its text is shown only now.
    Create(Create),
    /// Lists tokens, without their secret texts.
    List,
    /// Deletes a token. It stops working within a second, and never works again.
    Delete { id: i64 },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name of the token. The audit shows it as the user.
    #[arg(long)]
    name: String,
    #[arg(long, value_enum, default_value_t = Role::Read)]
    role: Role,
    /// ID or title of a project that the token can access. Can be repeated; without it, the token can access all projects.
    #[arg(long = "project", value_name = "PROJECT")]
    projects: Vec<Named>,
    /// When the token stops working, such as 2027-03-01T00:00:00Z. Without it, never.
    #[arg(long, value_name = "TIME", conflicts_with = "lifetime")]
    expires: Option<Timestamp>,
    /// How long the token works, such as 90d, 12h or 30m.
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    lifetime: Option<u64>,
    /// Give the token the format of a JWT, for clients that send only such tokens as Bearer.
    #[arg(long)]
    jwt: bool,
}

/// The role of a token. Each role includes the permissions of the ones before it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Read everything except tokens.
    Read,
    /// Start, cancel and retry syncs; replay and discard quarantined objects; write annotations.
    Sync,
    /// Configure projects, storages and tokens.
    Admin,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Sync => "sync",
            Self::Admin => "admin",
        }
    }
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self {
            Self::Create(create) => {
                let mut projects = Vec::new();
                for project in &create.projects {
                    projects.push(project_id(client, project).await?);
                }
                let projects = Some(projects).filter(|projects| !projects.is_empty());
                let form = if create.jwt { "jwt" } else { "plain" };
                let body = json!({
                    "name": create.name, "role": create.role.as_str(), "projects": projects, "form": form,
                    "expires_at": create.expires.map(|at| at.to_string()), "lifetime_seconds": create.lifetime,
                });
                output.fields(&client.post("/api/tokens", &body).await?);
            }
            Self::List => {
                let mut answer = client.get("/api/tokens", &[]).await?;
                labels::add(client, output, rows_mut(&mut answer), &[Labelled::Projects]).await;
                let columns = [
                    ("ID", "/id"),
                    ("NAME", "/name"),
                    ("ROLE", "/role"),
                    ("PROJECTS", "/projects"),
                    ("LAST USED", "/last_used_at"),
                    ("EXPIRES", "/expires_at"),
                ];
                output.list(&answer, &columns);
            }
            Self::Delete { id } => {
                let answer = client.delete(&format!("/api/tokens/{id}")).await?;
                output.one(&answer, |_| format!("Token {id} was deleted."));
            }
        }
        Ok(())
    }
}
