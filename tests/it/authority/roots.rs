//! Local files: no root opens the whole machine, and with a root for each project none reads another's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use longshore_rig::rig::{Rig, StorageHandle};
use serde_json::{Value, json};

use super::{admin_of, call};

const PATH: &str = "/api/storages/localfiles";

/// A folder with a root for each project, removed after the test.
struct Roots(PathBuf);

impl Roots {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("longshore-roots-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path.canonicalize().expect("a folder"))
    }

    fn path(&self, below: &str) -> String {
        self.0.join(below).display().to_string()
    }

    fn write(&self, below: &str, content: &str) {
        let path = self.0.join(below);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(path, content).expect("a file");
    }

    async fn rig(&self) -> Rig {
        Rig::with()
            .env("LOCAL_FILES_SERVING_ENABLED", "true")
            .env("LOCAL_FILES_DOCUMENT_ROOT", self.path("{project}"))
            .start()
            .await
    }
}

impl Drop for Roots {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder was there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_serves_local_files_without_a_root_or_from_the_whole_machine() {
    let link = std::env::temp_dir().join(format!("longshore-machine-{}", uuid::Uuid::new_v4()));
    symlink("/", &link).expect("a link");
    let mut rig = Rig::with().workers(0).start().await;
    rig.set_environment("LOCAL_FILES_SERVING_ENABLED", "true");
    for root in ["", "/", "//", "/.", "/x/..", "data", "/{project}", link.to_str().expect("a plain path")] {
        rig.set_environment("LOCAL_FILES_DOCUMENT_ROOT", root);
        let (scheduler, worker) = (rig.spawn_scheduler(), rig.spawn_worker());
        for app in [&rig.schedulers[scheduler], &rig.workers[worker]] {
            assert!(!app.process.wait().await.success(), "{root}");
            let log = app.process.log();
            assert!(log.contains("LOCAL_FILES_DOCUMENT_ROOT m"), "{root}: {log}");
        }
        rig.workers.clear();
    }
    fs::remove_file(&link).expect("the link was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_connects_no_folder_of_another_projects_root() {
    let roots = Roots::new();
    let rig = roots.rig().await;
    let (own, other, without) = (rig.project().await, rig.project().await, rig.project().await);
    roots.write(&format!("{own}/pics/a.png"), "own");
    roots.write(&format!("{other}/pics/b.png"), "other");
    symlink(roots.path(&format!("{other}/pics")), roots.path(&format!("{own}/link"))).expect("a link");
    let admin = admin_of(&rig, &[own, other, without]).await;
    let own_root = roots.path(&own.to_string());
    for (project, path, code) in [
        (own, roots.path(&format!("{other}/pics")), "outside_root"),
        (own, roots.path(&format!("{other}/no-such-folder")), "outside_root"),
        (own, roots.path(&other.to_string()), "outside_root"),
        (own, roots.path(""), "outside_root"),
        (own, format!("{own_root}/../{other}/pics"), "outside_root"),
        (own, format!("{own_root}/pics/../../{other}/pics"), "outside_root"),
        (own, format!("{own_root}/link"), "outside_root"),
        (own, format!("{own_root}{other}/pics"), "outside_root"),
        (own, "/etc".to_owned(), "outside_root"),
        (own, own_root.clone(), "root_itself"),
        (without, roots.path(&format!("{without}/pics")), "no_such_folder"),
        (without, roots.path(&format!("{own}/pics")), "outside_root"),
    ] {
        for route in [
            PATH.to_owned(),
            format!("{PATH}/validate"),
            format!("{PATH}/files"),
            "/api/storages/export/localfiles".to_owned(),
        ] {
            let (status, body) = call(&rig, &admin, "POST", &route, &json!({"project": project, "path": path})).await;
            assert_eq!((status, &body["code"]), (400, &json!(code)), "{route} {path}: {body}");
        }
    }
    let storage = rig.post(PATH, json!({"project": own, "path": format!("{own_root}/pics")})).await;
    // The move of a storage does not take a folder along.
    let (status, body) =
        call(&rig, &admin, "PATCH", &format!("{PATH}/{}", storage["id"]), &json!({"project": other})).await;
    assert_eq!((status, &body["code"]), (400, &json!("outside_root")), "{body}");
    // A root that is a link leads nowhere, even if it leads to a folder of the same name.
    symlink(roots.path(&other.to_string()), roots.path(&without.to_string())).expect("a link");
    let linked = json!({"project": without, "path": roots.path(&format!("{without}/pics"))});
    let (status, body) = rig.call("POST", PATH, Some(linked)).await;
    assert_eq!((status, &body["code"]), (400, &json!("outside_root")), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn syncs_and_links_of_a_project_read_only_its_own_root() {
    let roots = Roots::new();
    let rig = roots.rig().await;
    let (own, other) = (rig.project().await, rig.project().await);
    roots.write(&format!("{own}/pics/a.png"), "own");
    roots.write(&format!("{other}/pics/b.png"), "other");
    symlink(roots.path(&format!("{other}/pics/b.png")), roots.path(&format!("{own}/pics/out.png"))).expect("a link");
    let connect = async |project: i64| {
        let body = json!({"project": project, "path": roots.path(&format!("{project}/pics")), "use_blob_urls": true});
        let made = rig.post(PATH, body).await;
        StorageHandle { id: made["id"].as_i64().expect("an ID"), project, path: PATH }
    };
    let (storage, others) = (connect(own).await, connect(other).await);
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed_with_errors"), &json!(1)), "{sync}");
    assert_eq!(rig.quarantine(&storage).await[0]["reason"], "denied");
    assert_eq!(rig.sync_to_end(&others).await["status"], "completed");

    // A URI begins with the folder of its project, so that it differs for each file of all projects.
    let admin = admin_of(&rig, &[own]).await;
    let get = async |path: &str| {
        let answer = rig.request("GET", path).bearer_auth(&admin).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let uri = format!("/data/local-files/?d={own}/pics/a.png");
    let stored = rig.get(&format!("/api/tasks?project={own}&resolve_uri=false")).await;
    assert_eq!(stored["tasks"][0]["data"]["image"], json!(uri));
    assert_eq!(get(&uri).await, (200, "own".to_owned()));
    for path in [
        format!("{other}/pics/b.png"),
        format!("{own}/pics/out.png"),
        format!("{own}/../{other}/pics/b.png"),
        format!("{own}/pics/../../{other}/pics/b.png"),
        format!("{own}/pics/..%2f..%2f{other}/pics/b.png"),
    ] {
        assert_eq!(get(&format!("/data/local-files/?d={path}")).await.0, 404, "{path}");
    }
    // A task of the project that names a file of the other one.
    let named = format!("/data/local-files/?d={other}/pics/b.png");
    let task = rig.database().await;
    let insert = "INSERT INTO tasks (project_id, data) VALUES ($1, $2) RETURNING id";
    let task: i64 = task.query_one(insert, &[&own, &json!({"image": named})]).await.expect("a task").get(0);
    let (status, body) = get(&format!("/tasks/{task}/resolve?fileuri={named}")).await;
    assert!(status == 404 && body.contains("no_storage"), "{body}");
    let (_, document) = call(&rig, &admin, "POST", "/api/resolve", &json!({"task": task})).await;
    assert_eq!(document["left"][0]["code"], "no_storage", "{document}");

    // A storage of the project that was saved under another root.
    let elsewhere = "UPDATE storages SET settings = settings || jsonb_build_object('path', $2::text) WHERE id = $1";
    let path = roots.path(&format!("{other}/pics"));
    rig.database().await.execute(elsewhere, &[&storage.id, &path]).await.expect("a storage");
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("outside_root")), "{sync}");
    assert_eq!(get(&named).await.0, 404);
    let (status, _) = get(&format!("/tasks/{task}/resolve?fileuri={named}")).await;
    assert_ne!(status, 200);
    // It does not hide the file from a caller of both projects.
    let both: Value = rig.post("/api/tokens", json!({"name": "both", "role": "read", "projects": [own, other]})).await;
    let both = both["token"].as_str().expect("a token").to_owned();
    let answer = rig.request("GET", &named).bearer_auth(both).send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.text().await.ok().as_deref()), (200, Some("other")));
}
