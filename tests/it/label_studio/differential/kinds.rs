//! The cases of the other kinds. Both processes have the same environment for storages.

use std::fs;

use longshore_rig::azurite::{self, Azurite};
use longshore_rig::gcs::Gcs;
use longshore_rig::label_studio::Version;
use longshore_rig::redis::RedisServer;

use super::cases::kinds::of_kind;
use super::run;
use super::store::{Store, their_account};
use crate::label_studio::Twins;

/// A proxy's address of Label Studio, which is in the URIs of local files.
const HOST: &str = "http://labels.example.com:8080";

/// Goal: storages of all kinds are read with their settings, with credentials of their own and with those of the processes.
/// Method: on each server, both sync the same buckets.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn storages_of_every_kind_are_imported_as_label_studio_does() {
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

    let mut faults = Vec::new();
    let stores = [Store::Gcs(gcs), Store::Azure(azurite), Store::Redis(redis), Store::Localfiles(root.clone())];
    for store in &stores {
        faults.extend(run::run_all(&twins, store, &of_kind(store.kind())).await);
    }
    fs::remove_dir_all(&root).expect("the folder is removed");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
