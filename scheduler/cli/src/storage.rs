//! `longshore storage`.

use clap::Subcommand;
use longshore_model::StorageKind;
use serde_json::{Value, json};

use crate::client::{Client, storage_path};
use crate::create::Create;
use crate::error::{CliError, Result};
use crate::show::{Output, rows};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Creates a storage after probing its connection.
    #[command(subcommand)]
    Create(Create),
    /// Lists import and export storages.
    List {
        #[arg(long, value_name = "ID")]
        project: Option<i64>,
    },
    /// Shows a storage, without its secrets.
    Show { id: i64 },
    /// Probes the connection of a stored storage.
    Validate { id: i64 },
    /// Deletes a storage and its history. Its tasks and its objects stay.
    Delete { id: i64 },
}

impl Command {
    pub(crate) async fn run(self, client: &Client, output: Output) -> Result<()> {
        match self {
            Self::Create(create) => create.run(client, output).await?,
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
                let mut all = list(client, project).await?;
                for row in &mut all {
                    row["place"] = place(row);
                    row["name"] = name(row).clone();
                }
                output.list(&all.into(), &columns);
            }
            Self::Show { id } => output.fields(&find(client, id).await?.0),
            Self::Validate { id } => {
                let (storage, path) = find(client, id).await?;
                let collection = path.rsplit_once('/').map_or("", |(collection, _)| collection);
                let answer = client.post(&format!("{collection}/validate"), &storage).await?;
                output.one(&answer, |_| "The connection works.".to_owned());
            }
            Self::Delete { id } => {
                let (_, path) = find(client, id).await?;
                let answer = client.delete(&path).await?;
                output.one(&answer, |_| format!("Storage {id} was deleted."));
            }
        }
        Ok(())
    }
}

/// The bucket, container, folder or path of a storage, by its kind.
fn place(storage: &Value) -> Value {
    let kind = storage["type"].as_str().and_then(|kind| kind.parse::<StorageKind>().ok());
    kind.map_or(Value::Null, |kind| storage[kind.data().place].clone())
}

/// The ID by which people name a storage. Those of Label Studio have one ID for each kind, so their handle counts.
fn name(storage: &Value) -> &Value {
    storage.get("handle").unwrap_or(&storage["id"])
}

/// Reads the storages of both directions. Adds a field `direction` to each.
async fn list(client: &Client, project: Option<i64>) -> Result<Vec<Value>> {
    let query: Vec<_> = project.map(|id| ("project", id.to_string())).into_iter().collect();
    let mut all = Vec::new();
    for (direction, path) in [("import", "/api/storages"), ("export", "/api/storages/export")] {
        for row in rows(&client.get(path, &query).await?) {
            let mut row = row.clone();
            row["direction"] = json!(direction);
            all.push(row);
        }
    }
    Ok(all)
}

/// Finds a storage by its ID. Returns it with its API path.
pub(crate) async fn find(client: &Client, id: i64) -> Result<(Value, String)> {
    let storage = list(client, None).await?.into_iter().find(|row| *name(row) == id).ok_or(CliError::NoStorage(id))?;
    let word = |name: &str| storage[name].as_str().unwrap_or_default().to_owned();
    let path = format!("{}/{}", storage_path(&word("direction"), &word("type")), storage["id"]);
    Ok((storage, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storage_of_label_studio_is_named_by_its_handle() {
        assert_eq!(name(&json!({"id": 3, "handle": 17})), &json!(17));
        assert_eq!(name(&json!({"id": 3})), &json!(3));
    }

    #[test]
    fn a_place_is_a_bucket_a_container_or_a_path() {
        assert_eq!(place(&json!({"type": "s3", "bucket": "b", "prefix": "p"})), "b");
        assert_eq!(place(&json!({"type": "azure", "container": "c"})), "c");
        assert_eq!(place(&json!({"type": "redis", "path": "t:", "host": null})), "t:");
        assert_eq!(place(&json!({"type": "a later kind", "path": "/data"})), Value::Null);
    }
}
