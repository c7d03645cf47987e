//! Local files: folders below the document root.

mod guard;
mod listing;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_model::{NoSecrets, Secrets};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle, rows, until};
use longshore_storage::{Operator, Storage, StorageMetrics, Stores, WireOptions};
use prometheus::Registry;
use serde_json::{Value, json};

const IMPORT: &str = "/api/storages/localfiles";
const EXPORT: &str = "/api/storages/export/localfiles";

/// A document root, removed after the test.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("longshore-root-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path.canonicalize().expect("a folder"))
    }

    pub(crate) fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.0.display())
    }

    fn write(&self, below: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(below);
        fs::create_dir_all(Path::new(&path).parent().expect("a folder")).expect("folders");
        fs::write(&path, content).expect("a file");
        path
    }

    /// A storage without Longshore around it.
    fn open(&self, folder: &str) -> Arc<dyn Storage> {
        let settings = serde_json::from_value(json!({"kind": "localfiles", "path": self.path(folder)}));
        let operator = Operator {
            local_files_serving: true,
            local_files_root: self.0.to_str().and_then(|root| root.parse().ok()),
            ..Operator::default()
        };
        let metrics = StorageMetrics::register(&Registry::new()).expect("a fresh registry");
        let stores = Stores::new(WireOptions::default(), operator, metrics).expect("a client");
        stores.open(1, &settings.expect("settings"), &Secrets::Localfiles(NoSecrets {})).expect("good settings")
    }

    async fn rig(&self) -> Rig {
        Rig::with()
            .env("LOCAL_FILES_SERVING_ENABLED", "true")
            .env("LOCAL_FILES_DOCUMENT_ROOT", self.0.display().to_string())
            .start()
            .await
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder was there");
    }
}

async fn create(rig: &Rig, path: &'static str, settings: Value) -> StorageHandle {
    let storage = rig.post(path, settings).await;
    assert_eq!(storage["type"], "localfiles", "{storage}");
    let project = storage["project"].as_i64().expect("an id");
    StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path }
}

fn counts<const N: usize>(sync: &Value, names: [&str; N]) -> [i64; N] {
    names.map(|name| sync["counts"][name].as_i64().unwrap_or_else(|| panic!("no counter {name}: {sync}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_folder_become_tasks_with_sub_folders_or_without() {
    let root = Root::new();
    let rig = root.rig().await;
    let top = root.write("tasks/a.json", r#"[{"n": 1}, {"n": 2}]"#);
    let deep = root.write("tasks/sub/deep/b.json", r#"{"n": 3}"#);
    root.write("tasks-too/c.json", "{}");
    let project = rig.project().await;
    for (recursive, expected) in [(false, vec![(top.clone(), 2)]), (true, vec![(top.clone(), 2), (deep.clone(), 1)])] {
        let own = json!({"project": project, "path": root.path("tasks/"), "recursive_scan": recursive});
        let storage = create(&rig, IMPORT, own).await;
        let sync = rig.sync_to_end(&storage).await;
        let expected = expected.into_iter().collect();
        assert_eq!(sync["status"], "completed", "{sync}");
        rig.check_import(&storage, &sync, &expected, &[]).await;
        rig.check_first_counts(&sync, &expected, 0);
        let again = rig.sync_to_end(&storage).await;
        rig.check_import(&storage, &again, &expected, &[]).await;
        assert_eq!(counts(&again, ["created", "existed"]), [0, expected.len() as i64]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_blob_mode_a_task_names_its_file_as_label_studio_does_and_the_filter_sees_the_name() {
    let root = Root::new();
    let rig = root.rig().await;
    let keys: Vec<String> = ["pics/img 1+ü%.png", "pics/img_2.png", "pics/sub/img#3?.png"]
        .into_iter()
        .map(|name| root.write(name, "pixels"))
        .collect();
    let other = root.write("pics/other.png", "pixels");
    let project = rig.project().await;
    let own = json!({
        "project": project, "path": root.path("pics"), "recursive_scan": true, "use_blob_urls": true,
        "regex_filter": "img.*png$",
    });
    let preview = rig.post(&format!("{IMPORT}/files"), own.clone()).await;
    let shown: Vec<&str> = rows(&preview["files"]).iter().filter_map(|file| file["key"].as_str()).collect();
    assert_eq!(shown, keys, "{preview}");
    let rule = "the file filter does not match at the start of the file's name";
    assert_eq!(preview["skipped"], json!([{"key": other, "rule": rule}]));

    let storage = create(&rig, IMPORT, own).await;
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &one_each(keys), &[]).await;
    let stored = "SELECT data ->> 'image' FROM tasks ORDER BY id";
    let data: Vec<String> =
        rig.database().await.query(stored, &[]).await.expect("tasks").iter().map(|row| row.get(0)).collect();
    let uri = |name: &str| format!("/data/local-files/?d=pics/{name}");
    assert_eq!(data, [uri("img%201%2B%C3%BC%25.png"), uri("img_2.png"), uri("sub/img%233%3F.png")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_become_files_and_the_files_of_deleted_ones_are_removed() {
    let root = Root::new();
    let rig = root.rig().await;
    for n in 0..3 {
        root.write(&format!("tasks/{n}.json"), "{}");
    }
    fs::create_dir(root.path("done")).expect("a folder");
    let project = rig.project().await;
    let import = create(&rig, IMPORT, json!({"project": project, "path": root.path("tasks")})).await;
    rig.sync_to_end(&import).await;
    let mut ids = Vec::new();
    for task in rows(&rig.get(&format!("/api/tasks/?project={project}")).await) {
        let path = format!("/api/tasks/{}/annotations/", task["id"]);
        ids.push(rig.post(&path, json!({"result": []})).await["id"].as_i64().expect("an id"));
    }
    let own = json!({"project": project, "path": root.path("done"), "can_delete_objects": true});
    let export = create(&rig, EXPORT, own).await;
    let sync = rig.sync_to_end(&export).await;
    assert_eq!((&sync["status"], counts(&sync, ["exported"])), (&json!("completed"), [3]), "{sync}");
    let names = || {
        let entries = fs::read_dir(root.path("done")).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("a name").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ids.iter().map(ToString::to_string).collect::<Vec<_>>(), "and no unfinished files");
    let body = fs::read(root.path(&format!("done/{}", ids[0]))).expect("a file");
    assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON")["id"], ids[0]);

    root.write(&format!("done/{}", ids[1]), "untouched");
    let (status, _) = rig.call("DELETE", &format!("/api/annotations/{}/", ids[2]), None).await;
    assert_eq!(status, 204);
    let sync = rig.sync_to_end(&export).await;
    assert_eq!(counts(&sync, ["exported"]), [0], "what did not change is not written again: {sync}");
    until("the file of the deleted annotation is gone", async || (names().len() == 2).then_some(())).await;
    assert_eq!(fs::read(root.path(&format!("done/{}", ids[1]))).expect("a file"), b"untouched");
}

/// Goal: what differs from buckets is said when it goes wrong. Method: a filter with a folder in it, which is matched against
/// names, and a folder without files.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_with_a_folder_and_an_empty_folder_are_warned_of() {
    let root = Root::new();
    let rig = root.rig().await;
    root.write("pets/cats/1.png", "image");
    fs::create_dir(root.path("empty")).expect("a folder");
    let project = rig.project().await;
    let warning = async |own: Value| {
        let mut settings = json!({"project": project, "use_blob_urls": true, "recursive_scan": true});
        settings.as_object_mut().expect("an object").extend(own.as_object().expect("an object").clone());
        rig.post(&format!("{IMPORT}/validate"), settings).await["warnings"][0].clone()
    };
    let found = warning(json!({"path": root.path("pets"), "regex_filter": r"cats/.*\.png"})).await;
    let shown = (&found["code"], &found["field"], &found["suggestion"]);
    assert_eq!(shown, (&json!("filter_with_folder"), &json!("regex_filter"), &json!(r".*\.png")), "{found}");
    let found = warning(json!({"path": root.path("empty")})).await;
    assert_eq!(found["code"], "nothing_matches");
    assert!(
        found["detail"].as_str().is_some_and(|detail| detail.starts_with("There is no file in the folder")),
        "{found}"
    );
}
