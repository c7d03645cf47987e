//! Longshore never reads, writes or names a file outside the document root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use bytes::Bytes;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::Rig;
use longshore_storage::{ListRequest, PutOptions};
use serde_json::{Value, json};

use super::{EXPORT, IMPORT, Root, counts, create};

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_may_not_be_a_storage_is_refused_with_a_reason() {
    let (root, outside) = (Root::new(), Root::new());
    let rig = root.rig().await;
    fs::create_dir(root.path("pics")).expect("a folder");
    fs::create_dir(outside.path("pics")).expect("a folder");
    let sibling = format!("{}-sibling", root.0.display());
    fs::create_dir(&sibling).expect("a folder");
    symlink(outside.path("pics"), root.path("link")).expect("a link");
    symlink("/etc", root.path("etc")).expect("a link");
    root.write("file", "x");
    let up = format!("{}/pics/../../{}", root.0.display(), Path::new(&outside.path("pics")).display());
    let shown = root.0.display().to_string();
    let cases = [
        (json!(""), "validation_error"),
        (Value::Null, "validation_error"),
        (json!("pics"), "validation_error"),
        (json!("C:\\data\\media"), "validation_error"),
        (json!(root.path("missing")), "no_such_folder"),
        (json!(root.path("file")), "no_such_folder"),
        (json!(root.path("%2e%2e/pics")), "no_such_folder"),
        (json!(root.path("..%2fpics")), "no_such_folder"),
        (json!(up), "outside_root"),
        (json!(shown), "root_itself"),
        (json!(format!("{shown}/pics/..")), "root_itself"),
        (json!(format!("{shown}\\")), "root_itself"),
        (json!("/"), "outside_root"),
        (json!("/etc"), "outside_root"),
        (json!(sibling), "outside_root"),
        (json!(outside.path("pics")), "outside_root"),
        (json!(format!("{shown}/../../../../../etc")), "outside_root"),
        (json!(format!("{shown}\\..\\..\\..\\..\\etc")), "outside_root"),
        (json!(root.path("link")), "outside_root"),
        (json!(root.path("etc")), "outside_root"),
    ];
    let project = rig.project().await;
    for collection in [IMPORT, EXPORT] {
        for path in [collection.to_owned(), format!("{collection}/validate")] {
            for (folder, code) in &cases {
                let (status, body) = rig.call("POST", &path, Some(json!({"project": project, "path": folder}))).await;
                assert_eq!((status, &body["code"]), (400, &json!(code)), "{path} {folder}: {body}");
                assert!(body["validation_errors"]["path"].is_array(), "{path} {folder}: {body}");
            }
            let good = json!({"project": project, "path": format!(" {shown}//pics/./ ")});
            let (status, body) = rig.call("POST", &path, Some(good)).await;
            assert!(status < 300, "{body}");
        }
    }
    assert_eq!(fs::read_dir(root.path("pics")).expect("a folder").count(), 0, "trials leave nothing");
    fs::remove_dir(&sibling).expect("it was there");

    // If the operator has not enabled local files, faults of the path are reported first.
    let closed = Rig::with().workers(0).env("LOCAL_FILES_DOCUMENT_ROOT", root.0.display().to_string()).start().await;
    let project = closed.project().await;
    for (folder, code) in [("pics", "local_files_disabled"), ("missing", "no_such_folder"), ("link", "outside_root")] {
        let own = json!({"project": project, "path": root.path(folder)});
        let (status, body) = closed.call("POST", IMPORT, Some(own)).await;
        assert_eq!((status, &body["code"]), (400, &json!(code)), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_but_a_regular_file_below_the_root_is_quarantined_and_never_opened() {
    let (root, outside) = (Root::new(), Root::new());
    let rig = root.rig().await;
    outside.write("secret.json", r#"{"secret": 1}"#);
    root.write("elsewhere/real.json", r#"{"n": 1}"#);
    root.write("tasks/1.json", r#"{"n": 2}"#);
    let link = |to: &str, name: &str| symlink(to, root.path(&format!("tasks/{name}"))).expect("a link");
    link(&outside.path("secret.json"), "2-out.json");
    link(&format!("../../../../../../../../{}", outside.path("secret.json")), "3-up.json");
    link(&root.path("elsewhere/real.json"), "4-inside.json");
    link("nowhere.json", "5-nowhere.json");
    link(&outside.path(""), "6-folder-outside");
    link(".", "7-loop");
    // A reader of this pipe would wait without end.
    nix::unistd::mkfifo(Path::new(&root.path("tasks/8-pipe.json")), nix::sys::stat::Mode::from_bits_truncate(0o600))
        .expect("a pipe");
    fs::write(Path::new(&root.path("tasks")).join(OsStr::from_bytes(b"9-\xff.json")), "{}").expect("a file");
    let expected = one_each([root.path("tasks/1.json"), root.path("tasks/4-inside.json")]);
    let aside = ["2-out.json", "3-up.json", "5-nowhere.json", "6-folder-outside", "8-pipe.json", "9-\\xff.json"]
        .map(|name| root.path(&format!("tasks/{name}")));
    let aside: Vec<&str> = aside.iter().map(String::as_str).collect();
    let project = rig.project().await;
    for is_blob in [false, true] {
        let own = json!({
            "project": project, "path": root.path("tasks"), "recursive_scan": true, "use_blob_urls": is_blob,
        });
        let storage = create(&rig, IMPORT, own).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed_with_errors", "{sync}");
        rig.check_import(&storage, &sync, &expected, &aside).await;
        rig.check_first_counts(&sync, &expected, 6);
        let reasons: Vec<Value> = rig.quarantine(&storage).await.iter().map(|row| row["reason"].clone()).collect();
        assert_eq!(reasons, ["denied", "denied", "not_a_file", "denied", "not_a_file", "unsupported_key"]);
        let again = rig.sync_to_end(&storage).await;
        assert_eq!(counts(&again, ["quarantined", "still_quarantined", "existed"]), [0, 6, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_created_after_the_storage_was_saved_is_not_followed() {
    let (root, outside) = (Root::new(), Root::new());
    let rig = root.rig().await;
    outside.write("1.json", r#"{"secret": 1}"#);
    root.write("tasks/1.json", "{}");
    let project = rig.project().await;
    let import = create(&rig, IMPORT, json!({"project": project, "path": root.path("tasks")})).await;
    rig.sync_to_end(&import).await;
    let export = create(&rig, EXPORT, json!({"project": project, "path": root.path("tasks")})).await;
    let tasks = rig.get(&format!("/api/tasks/?project={project}")).await;
    let task = &longshore_rig::rig::rows(&tasks)[0]["id"];
    rig.post(&format!("/api/tasks/{task}/annotations/"), json!({"result": []})).await;

    fs::remove_dir_all(root.path("tasks")).expect("it was there");
    symlink(outside.path(""), root.path("tasks")).expect("a link");
    for storage in [&import, &export] {
        let sync = rig.sync_to_end(storage).await;
        assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("outside_root")), "{sync}");
    }
    assert_eq!(fs::read_dir(outside.path("")).expect("a folder").count(), 1, "nothing was written there");
    let tasks = rig.get(&format!("/api/tasks/?project={project}")).await;
    assert_eq!(tasks["total"], 1, "nothing was read there: {tasks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_leads_out_of_the_folder() {
    let (root, outside) = (Root::new(), Root::new());
    let secret = outside.write("secret", "secret");
    root.write("other/file", "theirs");
    root.write("pics/real", "ours");
    symlink(outside.path(""), root.path("pics/out")).expect("a link");
    symlink(&secret, root.path("pics/file-out")).expect("a link");
    let storage = root.open("pics");
    let keys = [
        secret.clone(),
        root.path("other/file"),
        root.path("pics/../other/file"),
        root.path("pics/../../etc/passwd"),
        root.path("pics//real"),
        root.path("pics/./real"),
        root.path("pics/real/"),
        root.path("pics/out/secret"),
        root.path("pics/file-out"),
        root.path("pics-not/real"),
        "real".to_owned(),
        "/etc/passwd".to_owned(),
        "\0".to_owned(),
    ];
    for key in &keys {
        assert!(storage.get(key, None, 100).await.is_err(), "get of {key:?}");
        assert!(storage.head(key).await.is_err(), "head of {key:?}");
        assert!(storage.stream(key, None).await.is_err(), "stream of {key:?}");
    }
    for key in keys.iter().filter(|key| **key != root.path("pics/file-out")) {
        assert!(storage.put(key, Bytes::from_static(b"x"), &PutOptions::default()).await.is_err(), "put of {key:?}");
    }
    // A link in the place of a file is replaced, not followed.
    let link = root.path("pics/file-out");
    storage.put(&link, Bytes::from_static(b"new"), &PutOptions::default()).await.expect("a put");
    assert_eq!(
        (fs::read(&link).expect("a file"), fs::read(&secret).expect("a file")),
        (b"new".into(), b"secret".into())
    );
    // The file does not count, because its folder is a link.
    storage.delete(&root.path("pics/out/secret")).await.expect("nothing to delete");
    assert_eq!(fs::read(&secret).expect("a file"), b"secret");
    for prefix in [outside.path(""), root.path("pics/../other/"), root.path("pics/out/"), "/".to_owned(), String::new()]
    {
        let request = ListRequest { prefix: &prefix, limit: 10, ..ListRequest::default() };
        assert!(storage.list_page(request).await.is_err(), "list of {prefix:?}");
    }
}

/// Goal: the variables of Label Studio's documentation work, and the operator learns which counts. Method: both pairs of
/// names, with different values.
#[tokio::test(flavor = "multi_thread")]
async fn label_studios_names_of_the_settings_work_and_a_conflict_is_logged() {
    let (root, other) = (Root::new(), Root::new());
    let path = root.write("pets/a.png", "image").rsplit_once('/').expect("a folder").0.to_owned();
    let rig = Rig::with()
        .env("LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED", "true")
        .env("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT", root.0.display().to_string())
        .env("LOCAL_FILES_DOCUMENT_ROOT", other.0.display().to_string())
        .start()
        .await;
    let project = rig.project().await;
    let storage = create(&rig, IMPORT, json!({"project": project, "path": path, "use_blob_urls": true})).await;
    assert_eq!(rig.sync_to_end(&storage).await["counts"]["created"], 1);
    for app in [&rig.schedulers[0], &rig.workers[0]] {
        let log = app.process.log();
        assert!(log.contains("settings_conflict"), "{log}");
        assert!(log.contains("LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT counts"), "{log}");
        assert!(!log.contains("SERVING_ENABLED counts"), "only one of its names is set: {log}");
    }
}
