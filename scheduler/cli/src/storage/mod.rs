//! `longshore storage`.

mod update;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::Client;
use crate::create::Create;
use crate::deletion::Confirmation;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::find::{find, list, name, place};
use crate::forecast;
use crate::labels::{self, Labelled};
use crate::named::Named;
use crate::show::{Output, rows, table};
use crate::text::escaped;
use crate::titles::{optional_project, warn_of_twin};
use update::Update;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Creates a storage after probing its connection.
    #[command(subcommand)]
    Create(Create),
    /// Lists import and export storages.
    List {
        /// ID or title of a project.
        #[arg(long)]
        project: Option<Named>,
    },
    /// Shows a storage, without its secrets.
    Show {
        /// ID or title of a storage.
        storage: Named,
    },
    /// Changes the fields that options name, after probing the connection if it changes. Secrets that are not given stay;
    /// an empty value deletes a text or a secret.
    Update(Update),
    /// Lists the objects that a sync would import, and those that it would skip and why. Reads none of them.
    Files(Files),
    /// Probes the connection of a stored storage, and says what a sync would do.
    Validate {
        /// ID or title of a storage.
        storage: Named,
        /// Fail if the settings have warnings.
        #[arg(long)]
        strict: bool,
    },
    /// Deletes a storage and its history. Needs --yes. Its tasks stay without --tasks, and its objects always.
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// ID or title of a storage.
    storage: Named,
    /// Also delete the tasks that it imported, with their annotations.
    #[arg(long)]
    tasks: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Delete {
    async fn run(self, client: &Client, output: Output) -> Result<ExitCode> {
        let found = find(client, &self.storage).await?;
        if self.tasks {
            if found.is_export() {
                return Err(CliError::OptionNotApplicable {
                    option: "--tasks".to_owned(),
                    to: format!("storage {}, which is an export storage", found.id),
                    instead: "leave it out: an export storage has no tasks".to_owned(),
                });
            }
            let query = [("tasks", "true".to_owned())];
            return self.confirmation.delete(client, output, &found.path, &query).await;
        }
        if !self.confirmation.yes {
            let title =
                found.storage["title"].as_str().map(|title| format!(" (`{}`)", escaped(title))).unwrap_or_default();
            return Err(CliError::Unconfirmed {
                takes: format!("this deletes storage {}{title} with its secrets, syncs and quarantine", found.id),
                keeps: if found.is_export() {
                    "the exported objects stay".to_owned()
                } else {
                    "its tasks stay, and a new storage of the same place would import them again".to_owned()
                },
            });
        }
        let answer = client.delete(&found.path).await?;
        output.one(&answer, |_| format!("Storage {} was deleted.", found.id));
        Ok(Exit::Success.into())
    }
}

#[derive(Debug, Args)]
pub(crate) struct Files {
    /// ID or title of an import storage.
    storage: Named,
    /// Most objects to list.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<ExitCode> {
        match self {
            Self::Create(create) => {
                if let Some(made) = create.run(client, output).await?.filter(|_| !output.json) {
                    // Only for a note: the storage is made.
                    warn_of_twin("storage", &made, &list(client, None).await.unwrap_or_default());
                }
            }
            Self::List { project } => {
                let columns = [
                    ("ID", "/name"),
                    ("PROJECT", "/project"),
                    ("DIRECTION", "/direction"),
                    ("TYPE", "/type"),
                    ("STATUS", "/status"),
                    ("LAST COUNT", "/last_sync_count"),
                    ("PLACE", "/place"),
                    ("PREFIX", "/prefix"),
                    ("TITLE", "/title"),
                ];
                let project = optional_project(client, project.as_ref()).await?;
                let mut all = list(client, project).await?;
                for row in &mut all {
                    row["place"] = place(row);
                    row["name"] = name(row).clone();
                }
                labels::add(client, output, &mut all, &[Labelled::Project]).await;
                output.list(&all.into(), &columns);
            }
            Self::Show { storage } => {
                let found = find(client, &storage).await?;
                let mut shown = found.storage;
                shown["direction"] = found.direction.as_str().into();
                output.fields(&shown);
            }
            Self::Update(update) => update.run(client, output).await?,
            Self::Files(files) => files.run(client, output).await?,
            Self::Validate { storage, strict } => {
                let found = find(client, &storage).await?;
                let path = format!("{}/validate{}", found.collection(), forecast::query(strict));
                forecast::print_validated(&client.post(&path, &found.storage).await?, output);
            }
            Self::Delete(delete) => return delete.run(client, output).await,
        }
        Ok(Exit::Success.into())
    }
}

impl Files {
    async fn run(self, client: &Client, output: Output) -> Result<()> {
        let found = find(client, &self.storage).await?;
        if found.is_export() {
            return Err(CliError::OptionNotApplicable {
                option: "storage files".to_owned(),
                to: format!("storage {}, which is an export storage", found.id),
                instead: "name an import storage".to_owned(),
            });
        }
        let mut body = found.storage.clone();
        body["limit"] = self.limit.into();
        let answer = client.post(&format!("{}/files", found.collection()), &body).await?;
        output.one(&answer, preview);
        Ok(())
    }
}

/// The objects of a preview, then the skipped ones.
fn preview(answer: &Value) -> String {
    // The API marks the end of a shortened list by an entry without a size.
    let (files, ends): (Vec<Value>, Vec<Value>) =
        answer["files"].as_array().cloned().unwrap_or_default().into_iter().partition(|file| file["size"].is_u64());
    let mut text = table(&files, &[("OBJECT", "/key"), ("BYTES", "/size"), ("CHANGED", "/last_modified")]);
    if !ends.is_empty() {
        text.push_str("\nThere may be more objects: raise --limit to see them.");
    }
    let skipped = rows(&answer["skipped"]);
    if !skipped.is_empty() {
        text.push_str(&format!("\n\n{}", table(skipped, &[("SKIPPED", "/key"), ("RULE", "/rule")])));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_preview_shows_objects_and_skipped_keys() {
        let answer = json!({
            "files": [{"key": "a.png", "size": 3, "last_modified": null}, {"key": null, "size": null}],
            "skipped": [{"key": "b.txt", "rule": "filter"}], "complete": false,
        });
        let expected = "OBJECT  BYTES  CHANGED\na.png       3  -\nThere may be more objects: raise --limit to see them.\n\n\
                        SKIPPED  RULE\nb.txt    filter";
        assert_eq!(preview(&answer), expected);
        assert_eq!(preview(&json!({"files": [], "skipped": []})), "(none)");
    }
}
