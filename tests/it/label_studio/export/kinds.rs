//! All kinds of target storages.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use longshore_rig::azurite::{ACCOUNT, Azurite, KEY};
use longshore_rig::gcs::Gcs;
use longshore_rig::redis::{PASSWORD, RedisServer};
use serde_json::json;

use super::super::Twins;
use super::{Target, differences};
use crate::localfiles::Root;

/// The files of a folder.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().expect("a plain name");
    entries.map(|entry| (name(&entry), fs::read_to_string(entry.path()).expect("text"))).collect()
}

impl Twins {
    /// A target storage that Label Studio's API would not make, because it cannot reach the server of the tests.
    async fn insert_target(&self, table: &str, parent: &str, kind: &'static str, project: i64) -> Target {
        let text = format!(
            "WITH parent AS (INSERT INTO public.io_storages_{table}storagemixin {parent} RETURNING id)
             INSERT INTO public.io_storages_{table}exportstorage ({table}storagemixin_ptr_id, created_at, project_id, status,
                                                                 synchronizable, meta)
             SELECT id, now(), {project}, 'initialized', true, '{{}}' FROM parent
             RETURNING {table}storagemixin_ptr_id::bigint"
        );
        let row = self.rig.database().await.query_one(&text, &[]).await.expect("a storage");
        Target { kind, id: row.get(0) }
    }

    /// The number of links of a storage.
    async fn link_count(&self, table: &str, target: Target) -> i64 {
        let text = format!(
            "SELECT count(*) FROM public.io_storages_{table}exportstoragelink WHERE storage_id = {}",
            target.id
        );
        self.rig.database().await.query_one(&text, &[]).await.expect("links").get(0)
    }
}

/// Goal: every kind gets what Label Studio writes. Method: Label Studio exports to S3 and to a folder, Longshore to all.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn every_kind_of_target_gets_the_objects_of_label_studio() {
    let (gcs, azurite, redis) = (Gcs::start().await, Azurite::shared().await, RedisServer::start().await);
    let root = Root::new();
    let folder = |side: &str| {
        let folder = root.path(side);
        fs::create_dir_all(&folder).expect("a folder");
        PathBuf::from(folder)
    };
    let (their_folder, our_folder) = (folder("theirs"), folder("ours"));
    let local = [
        ("LOCAL_FILES_SERVING_ENABLED", "true".to_owned()),
        ("LOCAL_FILES_DOCUMENT_ROOT", root.path("").trim_end_matches('/').to_owned()),
    ];
    let mut ours = local.to_vec();
    ours.extend([
        ("STORAGE_EMULATOR_HOST", gcs.endpoint().to_owned()),
        ("AZURE_BLOB_ENDPOINT", azurite.endpoint()),
        ("AZURE_BLOB_ACCOUNT_NAME", ACCOUNT.to_owned()),
        ("AZURE_BLOB_ACCOUNT_KEY", KEY.to_owned()),
        ("LONGSHORE_OWN_IDENTITY", "all".to_owned()),
    ]);
    let twins = Twins::start_with(&ours, &local).await;
    let content = twins.content().await;
    let project = content.project;
    let count = i64::try_from(content.annotations.len()).expect("a small number");
    let theirs = twins.target(project, "theirs", json!({})).await;
    twins.export_theirs(theirs).await;
    let expected = twins.exported("theirs");
    let mut found = Vec::new();
    let mut check = |kind: &str, theirs: &BTreeMap<String, String>, ours: &BTreeMap<String, String>, links: i64| {
        found.extend(differences(theirs, ours).into_iter().map(|difference| format!("{kind}: {difference}")));
        assert_eq!((kind, links), (kind, count));
    };

    let path = |folder: &Path| json!({"project": project, "path": folder.display().to_string()});
    let their_files = twins.make_target("localfiles", path(&their_folder)).await;
    twins.export_theirs(their_files).await;
    let remove = "DELETE FROM public.io_storages_localfilesexportstoragelink";
    twins.rig.database().await.execute(remove, &[]).await.expect("links");
    let our_files = twins.make_target("localfiles", path(&our_folder)).await;
    let shown = twins.export_ours(our_files).await;
    assert_eq!(shown["status"], "completed", "{shown}");
    check("localfiles", &files(&their_folder), &files(&our_folder), twins.link_count("localfiles", our_files).await);

    let settings = json!({"project": project, "host": "127.0.0.1", "port": redis.port.to_string(),
        "password": PASSWORD, "db": 3});
    let our_keys = twins.make_target("redis", settings).await;
    let shown = twins.export_ours(our_keys).await;
    assert_eq!(shown["status"], "completed", "{shown}");
    let mut db = redis.db(3).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut db).await.expect("keys");
    let values: Vec<String> = redis::cmd("MGET").arg(&keys).query_async(&mut db).await.expect("values");
    let ours = keys.into_iter().zip(values).collect();
    check("redis", &expected, &ours, twins.link_count("redis", our_keys).await);

    gcs.create_bucket("ours").await;
    let parent = format!(
        "(bucket, use_blob_urls, google_application_credentials) VALUES ('ours', false, '{}')",
        gcs.key_file().to_string().replace('\'', "''")
    );
    let ours = twins.insert_target("gcs", &parent, "gcs", project).await;
    let shown = twins.export_ours(ours).await;
    assert_eq!(shown["status"], "completed", "{shown}");
    let mut objects = BTreeMap::new();
    for key in gcs.keys("ours").await {
        let (bytes, _) = gcs.get("ours", &key).await.expect("an object");
        objects.insert(key, String::from_utf8(bytes.to_vec()).expect("text"));
    }
    check("gcs", &expected, &objects, twins.link_count("gcs", ours).await);

    let container = azurite.create_container("ours").await;
    let parent = format!("(container, use_blob_urls) VALUES ('{container}', false)");
    let ours = twins.insert_target("azureblob", &parent, "azure", project).await;
    let shown = twins.export_ours(ours).await;
    assert_eq!(shown["status"], "completed", "{shown}");
    let mut objects = BTreeMap::new();
    for key in azurite.keys(&container).await {
        let bytes = azurite.get(&container, &key).await.expect("a blob");
        objects.insert(key, String::from_utf8(bytes).expect("text"));
    }
    check("azure", &expected, &objects, twins.link_count("azureblob", ours).await);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
