//! Probes a storage with the calls of the trait, as a sync would make them.

use bytes::Bytes;

use crate::{ErrorKind, ListRequest, Probe, PutOptions, Storage, StorageError};

/// Lists one key below the prefix, or puts a small object there and deletes it.
pub(crate) async fn by_calls(
    storage: &dyn Storage,
    prefix: &str,
    kms_key_id: Option<String>,
    probe: Probe,
) -> Result<(), StorageError> {
    match probe {
        Probe::Read => {
            let request = ListRequest { prefix, limit: 1, ..ListRequest::default() };
            storage.list_page(request).await.map(drop)
        }
        Probe::Write => {
            let key = format!("{prefix}.longshore-probe-{:016x}", rand::random::<u64>());
            let options = PutOptions { content_type: Some("text/plain"), kms_key_id };
            storage.put(&key, Bytes::from_static(b"Longshore checks that it may write here.\n"), &options).await?;
            match storage.delete(&key).await {
                // An export needs no right to delete; the small object is left behind.
                Err(error) if error.kind == ErrorKind::Denied => Ok(()),
                result => result,
            }
        }
    }
}
