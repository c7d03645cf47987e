//! `longshore token`.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use crate::client::Client;
use crate::error::Result;
use crate::show::Output;

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
    /// ID of a project that the token can access. Can be repeated; without it, the token can access all projects.
    #[arg(long = "project", value_name = "ID")]
    projects: Vec<i64>,
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

/// Seconds of a lifetime such as `90d`.
fn lifetime(text: &str) -> std::result::Result<u64, String> {
    let units = [("d", 24 * 3_600), ("h", 3_600), ("m", 60), ("s", 1)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    read.ok_or_else(|| "write a whole number and d, h, m or s, such as 90d".to_owned())
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self {
            Self::Create(create) => {
                let projects = if create.projects.is_empty() { None } else { Some(create.projects) };
                let form = if create.jwt { "jwt" } else { "plain" };
                let body = json!({
                    "name": create.name, "role": create.role.as_str(), "projects": projects, "form": form,
                    "expires_at": create.expires.map(|at| at.to_string()), "lifetime_seconds": create.lifetime,
                });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_with_a_unit() {
        assert_eq!(
            ["90d", "12h", "30m", "5s"].map(|text| lifetime(text).ok()),
            [7_776_000, 43_200, 1_800, 5].map(Some)
        );
        for wrong in ["", "90", "d", "1.5d", "-1d", "1w", "99999999999999999999d"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }
}
