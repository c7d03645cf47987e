//! `longshore dead-letters`.

use clap::{Args, Subcommand};

use crate::client::Client;
use crate::error::Result;
use crate::show::Output;
use crate::text::counted;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists dead letters, oldest first. They stay in the queue.
    List {
        /// How many of the oldest letters to skip, to get the next page.
        #[arg(long, default_value_t = 0)]
        skip: usize,
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Deletes dead letters.
    Delete(Delete),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Delete {
    /// IDs from `dead-letters list`.
    ids: Vec<String>,
    /// Delete all dead letters.
    #[arg(long)]
    all: bool,
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self {
            Self::List { skip, limit } => {
                let columns = [
                    ("ID", "/id"),
                    ("QUEUE", "/queue"),
                    ("REASON", "/reason"),
                    ("LAST", "/dead_at"),
                    ("TIMES", "/count"),
                    ("USER", "/user"),
                    ("BYTES", "/bytes"),
                    ("BODY", "/body"),
                ];
                let query = [("skip", skip.to_string()), ("limit", limit.to_string())];
                output.list(&client.get("/api/dead-letters", &query).await?, &columns);
            }
            Self::Delete(delete) => {
                let selection = if delete.all { ("all", "true".to_owned()) } else { ("ids", delete.ids.join(",")) };
                let answer = client.delete_selected("/api/dead-letters", &[selection]).await?;
                let deleted = answer["deleted"].as_u64().ok_or_else(|| client.not_longshore())?;
                let missing = answer["missing"].as_array().map_or(0, Vec::len);
                output.one(&answer, |_| match missing {
                    0 => format!("Deleted: {}.", counted(deleted, "dead letter")),
                    _ => format!("Deleted: {}. {missing} of the IDs have none.", counted(deleted, "dead letter")),
                });
            }
        }
        Ok(())
    }
}
