//! Failures of workers speak of the storage's own kind, and quote the server's code.

use longshore_rig::azurite::{ACCOUNT, Azurite, KEY};
use longshore_rig::rig::{Rig, StorageHandle};
use serde_json::{Value, json};

/// Goal: the detail of a failed sync names what the user has: a container, a folder. Method: remove it after the storage was
/// saved, and sync.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_speaks_of_its_own_kind_of_storage() {
    let azurite = Azurite::shared().await;
    let root = crate::localfiles::Root::new();
    let folder = root.path("pets");
    std::fs::create_dir_all(&folder).expect("a folder");
    let rig = Rig::with()
        .env("LOCAL_FILES_SERVING_ENABLED", "true")
        .env("LOCAL_FILES_DOCUMENT_ROOT", root.path(""))
        .start()
        .await;
    let project = rig.project().await;
    let container = azurite.create_container("pets").await;
    let azure = json!({
        "project": project, "container": container, "endpoint": azurite.endpoint(), "account_name": ACCOUNT,
        "account_key": KEY,
    });
    let azure = create(&rig, "/api/storages/azure", azure).await;
    let local = create(&rig, "/api/storages/localfiles", json!({"project": project, "path": folder})).await;

    azurite.delete_container(&container).await;
    std::fs::remove_dir(&folder).expect("it is empty");
    for (storage, reason, detail) in [
        (
            azure,
            "no_such_bucket",
            "The container does not exist. Check its name, and the name of the storage account. The server answered \
             `404 ContainerNotFound`.",
        ),
        (local, "no_such_folder", "The folder does not exist on the machines of the scheduler and the workers"),
    ] {
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!(reason)), "{sync}");
        let shown = sync["detail"].as_str().unwrap_or_default();
        assert!(shown.starts_with(detail) && !shown.contains("bucket does not"), "{shown}");
    }
}

async fn create(rig: &Rig, path: &'static str, settings: Value) -> StorageHandle {
    let storage = rig.post(path, settings).await;
    let id = |name: &str| storage[name].as_i64().unwrap_or_else(|| panic!("{storage}"));
    StorageHandle { id: id("id"), project: id("project"), path }
}
