//! Servers of every kind, and both processes with the environment that they need for them.

use std::fs;
use std::path::PathBuf;

use longshore_rig::azurite::{self, Azurite};
use longshore_rig::gcs::Gcs;
use longshore_rig::label_studio::Version;
use longshore_rig::redis::RedisServer;

use super::store::{Store, their_account};
use crate::label_studio::Twins;

/// A proxy's address of Label Studio, which is in the URIs of local files.
pub(crate) const HOST: &str = "http://labels.example.com:8080";

/// A Longshore, a Label Studio, and servers of every kind but S3, which the rig has.
pub(crate) struct EveryKind {
    pub(crate) twins: Twins,
    pub(crate) stores: Vec<Store>,
    root: PathBuf,
}

impl Drop for EveryKind {
    fn drop(&mut self) {
        // What is left is in the folder for temporary files.
        fs::remove_dir_all(&self.root).ok();
    }
}

impl EveryKind {
    pub(crate) async fn start() -> Self {
        let root = std::env::temp_dir().join(format!("longshore-root-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&root).expect("a folder");
        let root = root.canonicalize().expect("a folder");
        let (gcs, azurite, redis) = (Gcs::start().await, Azurite::shared().await, RedisServer::start().await);
        let key_file = root.join("key.json");
        fs::write(&key_file, gcs.key_file().to_string()).expect("a file");
        let both = [
            ("LOCAL_FILES_SERVING_ENABLED", "true".to_owned()),
            ("LOCAL_FILES_DOCUMENT_ROOT", root.display().to_string()),
            ("LABEL_STUDIO_HOST", HOST.to_owned()),
            ("GOOGLE_APPLICATION_CREDENTIALS", key_file.display().to_string()),
            ("AZURE_BLOB_ACCOUNT_KEY", azurite::KEY.to_owned()),
        ];
        let mut theirs = both.to_vec();
        // Google's client asks for a bucket's metadata, which only the server behind the proxy knows.
        theirs.push(("STORAGE_EMULATOR_HOST", gcs.backend().to_owned()));
        let download = format!("{}/download/storage/v1/b/{{bucket_name}}/o/{{blob_name}}?alt=media", gcs.backend());
        theirs.push(("RESOLVER_PROXY_GCS_DOWNLOAD_URL", download));
        theirs.push(("AZURE_BLOB_ACCOUNT_NAME", their_account(&azurite)));
        let ours = [
            ("STORAGE_EMULATOR_HOST", gcs.endpoint().to_owned()),
            ("AZURE_BLOB_ACCOUNT_NAME", azurite::ACCOUNT.to_owned()),
            ("AZURE_BLOB_ENDPOINT", azurite.endpoint()),
            ("LONGSHORE_LEASE_SECONDS", "60".to_owned()),
        ];
        let twins = Twins::of_version(Version::Newest, &theirs, |options| {
            both.iter().chain(&ours).fold(options, |options, (name, value)| options.env(name, value))
        })
        .await;
        let stores = vec![Store::Gcs(gcs), Store::Azure(azurite), Store::Redis(redis), Store::Localfiles(root.clone())];
        Self { twins, stores, root }
    }
}
