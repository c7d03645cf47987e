//! A storage as Label Studio stores it.

use longshore_model::{Direction, Secret, Secrets, StorageKind, StorageSettings};
use serde_json::{Map, Value};

use super::tables::StorageTables;
use crate::{Error, GenericClient, Result};

/// A storage as Label Studio stores it. Its secrets are in memory only.
#[derive(Debug, Clone)]
pub(super) struct HostStorage {
    pub(super) project_id: i64,
    pub(super) title: Option<String>,
    pub(super) synchronizable: bool,
    pub(super) status: String,
    pub(super) meta: Map<String, Value>,
    pub(super) settings: StorageSettings,
    pub(super) secrets: Secrets,
    /// Its other columns: what Label Studio shows of its syncs.
    pub(super) row: Map<String, Value>,
}

/// What a reader of a storage does with its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    None,
    /// As a lock: Label Studio takes it before it starts a sync itself.
    ForUpdate,
}

/// Reads a storage of a project that is not deleted. `None` if there is none.
pub(super) async fn read(
    client: &impl GenericClient,
    kind: StorageKind,
    direction: Direction,
    id: i64,
    lock: Lock,
) -> Result<Option<HostStorage>> {
    let Some(tables) = StorageTables::of(kind, direction) else { return Ok(None) };
    let (whole, from) = whole(&tables);
    let lock = match lock {
        Lock::None => "",
        // It excludes Label Studio's own lock, and waits for no page: those hold the row's key, one after the other without
        // end while a sync runs.
        Lock::ForUpdate => "FOR NO KEY UPDATE OF s",
    };
    let text = format!(
        "SELECT ({whole})::text FROM {from} JOIN public.project p ON p.id = s.project_id
          WHERE s.{key} = $1::bigint AND to_jsonb(p) ->> 'deleted_at' IS NULL {lock}",
        key = tables.id
    );
    let Some(row) = client.query_opt(&text, &[&id]).await? else { return Ok(None) };
    parse(kind, row.get(0)).map(Some)
}

/// SQL for all columns of a storage as one JSON object, and for the tables that have them. `s` is the table with its
/// project.
pub(super) fn whole(tables: &StorageTables) -> (&'static str, String) {
    let StorageTables { storages, id, parents, .. } = tables;
    match parents {
        None => ("to_jsonb(s)", format!("public.{storages} s")),
        Some(parents) => {
            let from = format!("public.{storages} s JOIN public.{parents} c ON c.id = s.{id}");
            ("to_jsonb(s) || to_jsonb(c)", from)
        }
    }
}

/// Reads the JSON form of a row. Label Studio's names of fields are those of the settings.
pub(super) fn parse(kind: StorageKind, text: &str) -> Result<HostStorage> {
    let unreadable = |error: serde_json::Error| Error::unreadable("a storage of Label Studio", error);
    let mut row: Map<String, Value> = serde_json::from_str(text).map_err(unreadable)?;
    row.retain(|_, value| !value.is_null());
    if kind == StorageKind::Redis {
        // Label Studio ignores it: it could not load a value of Redis by its URI.
        row.remove("use_blob_urls");
    }
    row.insert("kind".to_owned(), kind.as_str().into());
    // Label Studio skips no object by its name, but for keys that end in `/`.
    row.insert("import_all_objects".to_owned(), true.into());
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let secrets = Secret::new(Value::Object(row.clone()).to_string());
    let shown = ["description", "last_sync", "last_sync_count", "last_sync_job", "traceback", "created_at"];
    let shown = shown.iter().filter_map(|name| Some(((*name).to_owned(), row.get(*name)?.clone())));
    let storage = HostStorage {
        row: shown.collect(),
        project_id: row.get("project_id").and_then(Value::as_i64).unwrap_or_default(),
        title: text("title"),
        synchronizable: row.get("synchronizable").and_then(Value::as_bool).unwrap_or(true),
        status: text("status").unwrap_or_default(),
        meta: row.get("meta").and_then(Value::as_object).cloned().unwrap_or_default(),
        secrets: Secrets::read(kind, &secrets)
            .map_err(|error| Error::unreadable("the secrets of a storage of Label Studio", error))?,
        settings: serde_json::from_value(Value::Object(row)).map_err(unreadable)?,
    };
    Ok(storage)
}

#[cfg(test)]
mod tests {
    use longshore_model::Connection;

    use super::*;

    #[test]
    fn a_row_of_label_studio_gives_settings_and_secrets_apart() {
        let row = r#"{"id": 3, "title": null, "bucket": "pics", "prefix": "a", "regex_filter": null,
            "use_blob_urls": true, "aws_access_key_id": "AKIA", "aws_secret_access_key": "s", "aws_session_token": null,
            "region_name": null, "s3_endpoint": "http://s3.example", "presign": false, "presign_ttl": 15,
            "project_id": 7, "recursive_scan": true, "meta": {"attempts": 2}, "status": "completed",
            "synchronizable": true, "created_at": "2026-11-26T01:42:48.485215+00:00"}"#;
        let storage = parse(StorageKind::S3, row).unwrap();
        assert_eq!((storage.project_id, &*storage.status, storage.synchronizable), (7, "completed", true));
        assert_eq!(storage.meta["attempts"], 2);
        let settings = &storage.settings;
        assert!(settings.use_blob_urls && settings.recursive_scan && !settings.presign);
        assert!(matches!(&settings.connection, Connection::S3(s3) if s3.bucket == "pics"));
        assert!(!serde_json::to_string(settings).unwrap().contains("AKIA"), "no secret among the settings");
        let Secrets::S3(secrets) = &storage.secrets else { panic!("secrets of S3") };
        assert_eq!(secrets.aws_access_key_id.as_ref().map(Secret::expose), Some("AKIA"));
        assert_eq!(secrets.aws_session_token, None);
    }

    #[test]
    fn values_of_redis_are_always_read_as_tasks() {
        let row = r#"{"id": 3, "host": "h", "port": "6379", "password": "s", "db": 4, "path": "t:", "regex_filter": "t:1",
            "use_blob_urls": true, "project_id": 7, "meta": {}, "status": "completed", "synchronizable": true}"#;
        let storage = parse(StorageKind::Redis, row).unwrap();
        assert!(!storage.settings.use_blob_urls);
        assert!(matches!(&storage.settings.connection, Connection::Redis(redis) if redis.db == 4));
    }
}
