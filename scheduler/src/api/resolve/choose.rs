//! Chooses the storage of a project that holds the object of a URI, and presigns the object.

use std::time::Duration;

use longshore_db::resolve::Candidate;
use longshore_model::{FailureReason, Secret, StorageKind, StorageSettings};
use longshore_storage::Storage;
use longshore_uri::ObjectUri;

use crate::api::error::{ApiError, ApiResult};

/// The storage that holds the object. Of the storages with its bucket, this is the one with the longest prefix of the
/// key. If several have the same prefix, the storage that the task was imported from comes first.
///
/// A prefix does not restrict which URIs resolve: a storage that imports task files below `tasks/` also serves their
/// images from elsewhere in the bucket. The folder of local files does restrict them.
pub(super) fn choose<'a>(
    storages: &'a [Candidate],
    uri: &ObjectUri<'_>,
    key: &str,
    own: Option<i64>,
) -> Option<&'a Candidate> {
    let fitting = storages.iter().filter(|storage| {
        let connection = &storage.settings.connection;
        uri.may_be_on(connection.kind())
            && connection.bucket() == uri.bucket
            && (connection.kind() != StorageKind::Localfiles || matching(storage, key).is_some())
    });
    fitting.max_by_key(|storage| (matching(storage, key), Some(storage.id) == own, std::cmp::Reverse(storage.id)))
}

/// The length of the storage's prefix, if the key starts with it.
fn matching(storage: &Candidate, key: &str) -> Option<usize> {
    let prefix = storage.settings.connection.prefix();
    key.starts_with(&prefix).then_some(prefix.len())
}

/// A presigned URL of the object. `None` if the object must be streamed, because the user switched `presign` off, or
/// the kind or the credentials cannot sign.
pub(super) async fn presigned(
    storage: &dyn Storage,
    settings: &StorageSettings,
    key: &str,
) -> ApiResult<Option<Secret>> {
    if !settings.presign {
        return Ok(None);
    }
    match storage.presign(key, ttl(settings)).await {
        Err(error) if error.reason == FailureReason::NoSignedUrls => Ok(None),
        signed => signed.map(Some).map_err(ApiError::Storage),
    }
}

/// How long a presigned URL is valid.
pub(super) fn ttl(settings: &StorageSettings) -> Duration {
    Duration::from_secs(u64::from(settings.presign_ttl) * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storages(settings: &[&str]) -> Vec<Candidate> {
        let candidate = |(id, text): (i64, &&str)| Candidate {
            id,
            project_id: 1,
            settings: serde_json::from_str(text).unwrap(),
            settings_text: String::new(),
            secrets: longshore_db::resolve::CandidateSecrets::None,
        };
        (1..).zip(settings).map(candidate).collect()
    }

    fn chosen(settings: &[&str], uri: &str, own: Option<i64>) -> Option<i64> {
        let uri = ObjectUri::parse(uri).unwrap();
        let key = if uri.bucket.is_empty() { format!("/root/{}", uri.key) } else { uri.key.to_string() };
        choose(&storages(settings), &uri, &key, own).map(|storage| storage.id)
    }

    #[test]
    fn the_longest_matching_prefix_wins_and_no_prefix_restricts() {
        let all = [
            r#"{"kind":"s3","bucket":"b"}"#,
            r#"{"kind":"s3","bucket":"b","prefix":"train"}"#,
            r#"{"kind":"s3s","bucket":"b","prefix":"train/cats"}"#,
            r#"{"kind":"s3","bucket":"other","prefix":"train/cats/1"}"#,
            r#"{"kind":"gcs","bucket":"b","prefix":"train/cats/1"}"#,
        ];
        for (key, id) in [("train/cats/1", 3), ("train/cat", 2), ("training", 1), ("x", 1)] {
            assert_eq!(chosen(&all, &format!("s3://b/{key}"), None), Some(id), "{key}");
        }
        assert_eq!(chosen(&all[1..2], "s3://b/images/1", None), Some(1));
        assert_eq!(chosen(&all, "gs://b/x", None), Some(5));
        assert_eq!(chosen(&all, "azure-blob://b/x", None), None);
        assert_eq!(chosen(&all, "s3://B/x", None), None);
        let databases = [r#"{"kind":"redis","db":1}"#, r#"{"kind":"redis","host":"localhost ","port":"6379","db":2}"#];
        assert_eq!(chosen(&databases, "redis://localhost:6379/2/pics/1.jpg", None), Some(2));
        assert_eq!(chosen(&databases, "redis://localhost:6380/2/pics/1.jpg", None), None);
    }

    #[test]
    fn among_equals_the_tasks_own_storage_wins_and_then_the_oldest() {
        let twins = [r#"{"kind":"s3","bucket":"b"}"#; 3];
        assert_eq!(chosen(&twins, "s3://b/x", Some(2)), Some(2));
        assert_eq!(chosen(&twins, "s3://b/x", None), Some(1));
    }

    #[test]
    fn a_local_file_is_served_only_from_a_connected_folder() {
        let folders = [r#"{"kind":"localfiles","path":"/root/ds1"}"#];
        assert_eq!(chosen(&folders, "/data/local-files/?d=ds1/a.jpg", None), Some(1));
        assert_eq!(chosen(&folders, "/data/local-files/?d=ds1-private/a.jpg", None), None);
    }
}
