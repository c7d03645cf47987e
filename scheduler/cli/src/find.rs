//! Finds storages by ID or title, in both directions and all kinds.

use longshore_model::{Direction, StorageKind};
use serde_json::{Value, json};

use crate::client::{Client, storage_path};
use crate::error::{CliError, Result};
use crate::named::Named;
use crate::titles::by_title;

/// A storage of the API.
#[derive(Debug)]
pub(crate) struct Found {
    /// The ID by which people name it.
    pub(crate) id: i64,
    /// The API's answer.
    pub(crate) storage: Value,
    pub(crate) kind: StorageKind,
    pub(crate) direction: Direction,
    /// Its path in the API.
    pub(crate) path: String,
}

impl Found {
    /// The path of the storages of its kind and direction.
    pub(crate) fn collection(&self) -> String {
        storage_path(self.direction.as_str(), self.kind.as_str())
    }

    pub(crate) fn is_export(&self) -> bool {
        self.direction == Direction::Export
    }
}

/// Finds a storage by its ID or title.
pub(crate) async fn find(client: &Client, wanted: &Named) -> Result<Found> {
    let all = list(client, None).await?;
    let mut storage = match wanted {
        Named::Id(id) => all.iter().find(|row| name(row) == id),
        Named::Title(title) => Some(by_title("storage", title, &all, described)?),
    }
    .ok_or_else(|| CliError::NotFound { what: "storage", name: wanted.clone() })?
    .clone();
    let read = || {
        let word = |name: &str| storage[name].as_str();
        Some((word("direction")?.parse().ok()?, word("type")?.parse().ok()?, name(&storage).as_i64()?))
    };
    let (direction, kind, id): (Direction, StorageKind, i64) = read().ok_or_else(|| client.not_longshore())?;
    let path = format!("{}/{}", storage_path(direction.as_str(), kind.as_str()), storage["id"]);
    if let Some(storage) = storage.as_object_mut() {
        // It is ours, not a field of the API.
        storage.remove("direction");
    }
    Ok(Found { id, storage, kind, direction, path })
}

/// The ID of an optional storage, for a filter. An ID is taken as it is, because the storage may be deleted.
pub(crate) async fn optional_id(client: &Client, wanted: Option<&Named>) -> Result<Option<i64>> {
    Ok(match wanted {
        None => None,
        Some(Named::Id(id)) => Some(*id),
        Some(title @ Named::Title(_)) => Some(find(client, title).await?.id),
    })
}

/// Reads the storages of both directions. Adds a field `direction` to each.
pub(crate) async fn list(client: &Client, project: Option<i64>) -> Result<Vec<Value>> {
    let query: Vec<_> = project.map(|id| ("project", id.to_string())).into_iter().collect();
    let mut all = Vec::new();
    for (direction, path) in [("import", "/api/storages"), ("export", "/api/storages/export")] {
        for mut row in client.get_all(path, &query).await? {
            row["direction"] = json!(direction);
            all.push(row);
        }
    }
    Ok(all)
}

/// The ID by which people name a storage. Those of Label Studio have one ID for each kind, so their handle counts.
pub(crate) fn name(storage: &Value) -> &Value {
    storage.get("handle").unwrap_or(&storage["id"])
}

/// The bucket, container, folder or path of a storage, by its kind.
pub(crate) fn place(storage: &Value) -> Value {
    let kind = storage["type"].as_str().and_then(|kind| kind.parse::<StorageKind>().ok());
    kind.map_or(Value::Null, |kind| storage[kind.data().place].clone())
}

/// A storage among several of the same title.
fn described(row: &Value) -> String {
    let word = |name: &str| row[name].as_str().unwrap_or_default();
    format!("{} ({} {} of project {})", name(row), word("type"), word("direction"), row["project"])
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
