//! `longshore token`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::client::Client;
use crate::error::Result;
use crate::show::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Creates a token and shows it, this once.
    Create(Create),
    /// Lists tokens, without the tokens themselves.
    List,
    /// Deletes a token: it is refused at once.
    Delete { id: i64 },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name of its user in the audit.
    #[arg(long)]
    name: String,
    #[arg(long, value_enum, default_value_t = Role::Read)]
    role: Role,
    /// A project it may touch; may be repeated. Without any it may touch all.
    #[arg(long = "project", value_name = "ID")]
    projects: Vec<i64>,
    /// Makes it look like a JWT, for clients that send only such a token as Bearer.
    #[arg(long)]
    jwt: bool,
}

/// What a token may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Look at everything but tokens.
    Read,
    /// Start, cancel and retry syncs, decide about quarantine, annotate.
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
                let projects = if create.projects.is_empty() { None } else { Some(create.projects) };
                let form = if create.jwt { "jwt" } else { "plain" };
                let body =
                    json!({"name": create.name, "role": create.role.as_str(), "projects": projects, "form": form});
                output.fields(&client.post("/api/tokens", &body).await?);
            }
            Self::List => {
                let answer = client.get("/api/tokens", &[]).await?;
                let columns = [
                    ("ID", "/id"),
                    ("NAME", "/name"),
                    ("ROLE", "/role"),
                    ("PROJECTS", "/projects"),
                    ("LAST USED", "/last_used_at"),
                ];
                output.list(&answer, &columns);
            }
            Self::Delete { id } => {
                let answer = client.delete(&format!("/api/tokens/{id}")).await?;
                output.one(&answer, |_| format!("Token {id} is deleted."));
            }
        }
        Ok(())
    }
}
