//! Storages with the same place: the same bucket, container, database or folder of the same server and account.

use longshore_model::{Connection, Direction, StorageKind, StorageSettings};
use tokio_postgres::types::{ToSql, Type};

use super::write::digest;
use crate::row::word;
use crate::{Error, GenericClient, Result};

/// The most twins that are read. People make a few.
const MOST: i64 = 100;

/// A storage with the same place as another one.
#[derive(Debug, Clone)]
pub struct Twin {
    /// ID of the storage.
    pub id: i64,
    /// ID of its project.
    pub project_id: i64,
    /// Import or export.
    pub direction: Direction,
    /// Everything that users set, without secrets.
    pub settings: StorageSettings,
}

/// The storages of these projects with the place of a connection, newest first, at most 100. `projects` of `None` means all;
/// `server` is [`Connection::server`] of the connection.
///
/// The spelling of an endpoint and the credentials do not matter. A storage of local files has the place of another one if its
/// folder is the same, or lies in or above it.
pub async fn twins(
    client: &impl GenericClient,
    settings: &StorageSettings,
    server: &str,
    projects: Option<&[i64]>,
) -> Result<Vec<Twin>> {
    let own = &settings.connection;
    let field = match own {
        Connection::S3(_) | Connection::S3s(_) | Connection::Gcs(_) => "bucket",
        Connection::Azure(_) => "container",
        Connection::Redis(_) => "db",
        Connection::Localfiles(_) => "path",
    };
    let value = match own {
        Connection::Redis(redis) => redis.db.to_string(),
        Connection::Localfiles(files) => files.path.clone(),
        _ => own.bucket().into_owned(),
    };
    let kinds: Vec<&str> =
        StorageKind::ALL.iter().filter(|kind| is_alike(**kind, own.kind())).map(|k| k.as_str()).collect();
    let text = "SELECT id, project_id, direction, settings::text AS settings, server = $2 AS same FROM storages
                 WHERE kind = ANY ($1)
                   AND CASE WHEN $3 = 'path' THEN starts_with(settings ->> $3, $4) OR starts_with($4, settings ->> $3)
                       ELSE settings ->> $3 = $4 END
                   AND ($5::bigint[] IS NULL OR project_id = ANY ($5)) ORDER BY id DESC LIMIT $6";
    let statement = client.prepare_typed_cached(text, &[Type::TEXT_ARRAY, Type::BYTEA, Type::TEXT, Type::TEXT]).await?;
    let server = digest(server);
    let values: [&(dyn ToSql + Sync); 6] = [&kinds, &server, &field, &value, &projects, &MOST];
    let rows = client.query(&statement, &values).await?;
    let mut twins = Vec::new();
    for row in &rows {
        let settings: StorageSettings =
            serde_json::from_str(row.get("settings")).map_err(|error| Error::unreadable("storages.settings", error))?;
        if row.get::<_, Option<bool>>("same") == Some(true) || is_same_server(own, &settings.connection) {
            let (id, project_id) = (row.get("id"), row.get("project_id"));
            twins.push(Twin { id, project_id, direction: word(row, "direction")?, settings });
        }
    }
    Ok(twins)
}

/// Whether storages of both kinds may have the same place.
fn is_alike(one: StorageKind, other: StorageKind) -> bool {
    one.data().uri == other.data().uri
}

/// Whether both connections lead to the same server, however they spell it. Of Azure, the account belongs to the place and is a
/// secret, so this cannot tell.
fn is_same_server(own: &Connection, other: &Connection) -> bool {
    !matches!(own, Connection::Azure(_)) && plain_address(&own.address()) == plain_address(&other.address())
}

/// An address without what does not matter in it: capitals, a default port, slashes at the end. Amazon's own are one, because the
/// names of its buckets are.
fn plain_address(typed: &str) -> String {
    let address = typed.trim().trim_end_matches('/').to_ascii_lowercase();
    let (scheme, host) = address.split_once("://").unwrap_or(("", &address));
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = host.strip_suffix(port).unwrap_or(host);
    if scheme != "http" && (host == "amazonaws.com" || host.ends_with(".amazonaws.com")) {
        return String::new();
    }
    let local = host.strip_prefix("localhost").filter(|rest| rest.is_empty() || rest.starts_with(':'));
    local.map_or_else(|| host.to_owned(), |port| format!("127.0.0.1{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_an_address_does_not_matter() {
        for (one, other) in [
            ("https://minio.lan/", "HTTPS://Minio.lan:443"),
            ("http://localhost:9000", "http://127.0.0.1:9000/"),
            ("", "https://s3.amazonaws.com"),
            ("https://s3.eu-west-1.amazonaws.com/", "https://s3.amazonaws.com"),
            ("localhost:6379", "127.0.0.1:6379"),
        ] {
            assert_eq!(plain_address(one), plain_address(other), "{one}");
        }
        for (one, other) in [
            ("", "https://minio.lan"),
            ("https://minio.lan:9000", "https://minio.lan"),
            ("https://minio.lan", "https://minio2.lan"),
            ("https://amazonaws.com.lan", ""),
            ("http://localhosts", "http://127.0.0.1"),
        ] {
            assert_ne!(plain_address(one), plain_address(other), "{one}");
        }
    }
}
