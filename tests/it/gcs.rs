//! Google Cloud Storage: import, export, accounts, validation, and a server that is busy or revokes its tokens.

mod adapter;
mod content;

use std::collections::BTreeMap;
use std::time::Duration;

use longshore_rig::gcs::{Fault, Gcs, Op, Right};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle, rows};
use serde_json::{Value, json};

const IMPORT: &str = "/api/storages/gcs";
const EXPORT: &str = "/api/storages/export/gcs";

/// A rig whose Cloud Storage is this one.
async fn rig(gcs: &Gcs) -> Rig {
    Rig::with().env("STORAGE_EMULATOR_HOST", gcs.endpoint()).start().await
}

fn settings(gcs: &Gcs, project: i64, bucket: &str) -> Value {
    json!({"project": project, "bucket": bucket, "google_application_credentials": gcs.key_file().to_string()})
}

/// The same with additional or other fields.
fn with(settings: &Value, fields: Value) -> Value {
    let mut settings = settings.clone();
    let (Some(all), Value::Object(fields)) = (settings.as_object_mut(), fields) else { panic!("fields are an object") };
    all.extend(fields);
    settings
}

async fn create(rig: &Rig, path: &'static str, settings: Value) -> StorageHandle {
    let storage = rig.post(path, settings).await;
    assert_eq!(storage["type"], "gcs", "{storage}");
    assert!(!storage.to_string().contains("PRIVATE"), "the key is written and never read");
    let project = storage["project"].as_i64().expect("an id");
    StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path }
}

async fn put_all<'a>(gcs: &Gcs, bucket: &str, keys: impl IntoIterator<Item = &'a str>) {
    gcs.create_bucket(bucket).await;
    for key in keys {
        gcs.put(bucket, key, json!({"text": key}).to_string().as_bytes()).await;
    }
}

async fn check_first(rig: &Rig, storage: &StorageHandle, sync: &Value, expected: &BTreeMap<String, usize>) {
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(storage, sync, expected, &[]).await;
    rig.check_first_counts(sync, expected, 0);
}

/// The tasks of a project as they are stored.
async fn tasks(rig: &Rig, project: i64) -> Vec<Value> {
    rows(&rig.get(&format!("/api/tasks/?project={project}&page_size=1000&resolve_uri=false")).await).to_vec()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("train/{n:04}.json")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_become_tasks_by_prefix_regex_and_recursion() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    let keys =
        ["train/a.png", "train/b+ü.png", "train/c.txt", "train/deep/d.png", "train/deep/", "trains/e.png", "f.png"];
    put_all(&gcs, "pics", keys).await;

    let base = settings(&gcs, rig.project().await, "pics");
    let fields = json!({"prefix": "train", "regex_filter": r".*\.png$", "recursive_scan": true, "use_blob_urls": true});
    let deep = create(&rig, IMPORT, with(&base, fields)).await;
    gcs.clear();
    let sync = rig.sync_to_end(&deep).await;
    let expected = one_each(["train/a.png", "train/b+ü.png", "train/deep/d.png"]);
    check_first(&rig, &deep, &sync, &expected).await;
    assert_eq!((gcs.count(Op::List), gcs.count(Op::Get)), (1, 0), "images are listed and never read");
    let data: Vec<Value> = tasks(&rig, deep.project).await.iter().map(|task| task["data"]["image"].clone()).collect();
    assert!(data.contains(&json!("gs://pics/train/b+ü.png")), "{data:?}");

    // Only the new object becomes a task.
    gcs.put("pics", "train/z.png", b"x").await;
    let again = rig.sync_to_end(&deep).await;
    assert_eq!((&again["counts"]["created"], &again["counts"]["existed"]), (&json!(1), &json!(3)), "{again}");

    let fields =
        json!({"project": rig.project().await, "prefix": "train/", "use_blob_urls": true, "recursive_scan": false});
    let flat = create(&rig, IMPORT, with(&base, fields)).await;
    let sync = rig.sync_to_end(&flat).await;
    let expected = one_each(["train/a.png", "train/b+ü.png", "train/c.txt", "train/z.png"]);
    check_first(&rig, &flat, &sync, &expected).await;

    let preview = rig.post(&format!("{IMPORT}/files"), with(&base, json!({"prefix": "train", "limit": 10}))).await;
    let found: Vec<&Value> = preview["files"].as_array().expect("files").iter().map(|file| &file["key"]).collect();
    assert_eq!(found, ["train/a.png", "train/b+ü.png", "train/c.txt", "train/z.png"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_objects_are_read_over_many_pages_and_an_invalid_one_is_quarantined() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    let keys = numbered(230);
    put_all(&gcs, "json", keys.iter().map(String::as_str)).await;
    gcs.put("json", "train/bad.json", b"{\"text\": ").await;
    gcs.put("json", "train/more.json", br#"[{"text": 1}, {"data": {"text": 2}, "meta": {"m": 1}}]"#).await;
    // A listing from a server with short pages.
    gcs.set_page(50);

    let fields = json!({"prefix": "train", "recursive_scan": true});
    let storage = create(&rig, IMPORT, with(&settings(&gcs, rig.project().await, "json"), fields)).await;
    gcs.clear();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let mut expected = one_each(keys);
    expected.insert("train/more.json".to_owned(), 2);
    rig.check_import(&storage, &sync, &expected, &["train/bad.json"]).await;
    rig.check_first_counts(&sync, &expected, 1);
    assert!(gcs.count(Op::List) >= 5, "{} pages", gcs.count(Op::List));
    let texts: Vec<Value> =
        tasks(&rig, storage.project).await.iter().map(|task| task["data"]["text"].clone()).collect();
    assert!(texts.contains(&json!("train/0007.json")) && texts.contains(&json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_are_written_again_when_changed_and_removed_when_deleted() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    put_all(&gcs, "source", ["a.json", "b.json"]).await;
    gcs.create_bucket("target").await;
    let project = rig.project().await;
    let source = create(&rig, IMPORT, settings(&gcs, project, "source")).await;
    rig.sync_to_end(&source).await;
    let mut annotations = Vec::new();
    for task in tasks(&rig, project).await {
        let path = format!("/api/tasks/{}/annotations/", task["id"]);
        let annotation = rig.post(&path, json!({"result": [{"value": {"text": ["ü"]}}]})).await;
        annotations.push(annotation["id"].as_i64().expect("an id"));
    }
    let fields = json!({"prefix": "out//", "json_suffix": true, "can_delete_objects": true});
    let target = create(&rig, EXPORT, with(&settings(&gcs, project, "target"), fields)).await;
    let written = async |what: &str| {
        gcs.clear();
        let sync = rig.sync_to_end(&target).await;
        assert_eq!(sync["status"], "completed", "{what}: {sync}");
        gcs.count(Op::Put)
    };
    assert_eq!(written("first").await, 2);
    let names: Vec<String> = annotations.iter().map(|id| format!("out/{id}.json")).collect();
    assert_eq!(gcs.keys("target").await, names);
    let (content, content_type) = gcs.get("target", &names[0]).await.expect("an object");
    let body: Value = serde_json::from_slice(&content).expect("JSON");
    assert_eq!((&body["id"], content_type.as_str()), (&json!(annotations[0]), "application/json"));
    assert_eq!(body["result"][0]["value"]["text"][0], "ü");

    assert_eq!(written("nothing changed").await, 0);
    let path = format!("/api/annotations/{}/", annotations[0]);
    assert_eq!(rig.call("PATCH", &path, Some(json!({"lead_time": 2.5}))).await.0, 200);
    assert_eq!(written("one changed").await, 1);
    let (content, _) = gcs.get("target", &names[0]).await.expect("an object");
    assert_eq!(serde_json::from_slice::<Value>(&content).expect("JSON")["lead_time"], 2.5);

    assert_eq!(rig.call("DELETE", &path, None).await.0, 204);
    assert_eq!(written("one deleted").await, 0);
    assert_eq!(gcs.keys("target").await, names[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_in_the_middle_of_a_sync() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    let keys = numbered(300);
    put_all(&gcs, "pics", keys.iter().map(String::as_str)).await;
    gcs.set_page(30);
    let expected = one_each(keys);
    let base = settings(&gcs, rig.project().await, "pics");
    let fields = json!({"recursive_scan": true, "use_blob_urls": true});

    // A sync that outlives its tokens: the worker renews them before they end.
    gcs.set_token_lifetime(Duration::from_secs(2));
    let storage = create(&rig, IMPORT, with(&base, fields.clone())).await;
    gcs.clear();
    gcs.fail(Op::List, 1..=usize::MAX, Fault::Delay(Duration::from_millis(400)));
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &expected).await;
    assert!(gcs.count(Op::Token) > 1, "one token served a sync that outlived it");
    assert_eq!(sync["jobs"][0]["failures"], 0, "{sync}");

    // Tokens that become invalid early: each is renewed once, and no attempt fails.
    gcs.set_token_lifetime(Duration::from_secs(3_600));
    let storage = create(&rig, IMPORT, with(&base, with(&fields, json!({"project": rig.project().await})))).await;
    gcs.clear();
    gcs.fail(Op::List, 4..=4, Fault::Revoke);
    gcs.fail(Op::List, 8..=8, Fault::Revoke);
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &expected).await;
    let refused = gcs.calls().iter().filter(|call| call.op == Op::List && call.status == 401).count();
    assert_eq!((refused, &sync["jobs"][0]["failures"]), (2, &json!(0)), "{sync}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_busy_server_are_retried_without_loss_or_duplicates() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    let keys = numbered(120);
    put_all(&gcs, "json", keys.iter().map(String::as_str)).await;
    gcs.set_page(25);
    let expected = one_each(keys);
    for (op, fault) in [
        (Op::List, Fault::Status(503, "backendError", Some(1))),
        (Op::List, Fault::Status(429, "rateLimitExceeded", None)),
        (Op::List, Fault::Status(403, "userRateLimitExceeded", None)),
        (Op::Get, Fault::Status(503, "backendError", None)),
        (Op::Get, Fault::Status(500, "internalError", None)),
    ] {
        let fields = json!({"recursive_scan": true});
        let storage = create(&rig, IMPORT, with(&settings(&gcs, rig.project().await, "json"), fields)).await;
        gcs.clear();
        gcs.fail(op, 3..=3, fault.clone());
        let sync = rig.sync_to_end(&storage).await;
        check_first(&rig, &storage, &sync, &expected).await;
        assert_eq!(sync["jobs"][0]["failures"], 0, "{op:?} {fault:?}: {sync}");
    }

    // A `Retry-After` that is too long for the request delays the job, whatever is done by then.
    let fields = json!({"recursive_scan": true, "use_blob_urls": true});
    let storage = create(&rig, IMPORT, with(&settings(&gcs, rig.project().await, "json"), fields)).await;
    gcs.clear();
    gcs.fail(Op::List, 3..=3, Fault::Status(503, "backendError", Some(600)));
    let sync = rig.sync(&storage).await;
    longshore_rig::rig::until("the job waits", || async {
        let row = rig.get(&format!("/api/syncs/{sync}")).await;
        (row["jobs"][0]["state"] == "retryable").then_some(())
    })
    .await;
    rig.make_due(sync).await;
    let sync = rig.ended(sync).await;
    check_first(&rig, &storage, &sync, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_reports_the_fault_and_its_field() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    gcs.create_bucket("pics").await;
    let project = rig.project().await;
    let good = settings(&gcs, project, "pics");
    let credentials = |file: Value| with(&good, json!({"google_application_credentials": file.to_string()}));
    let changed = |field: &str, value: Value| {
        let mut file = gcs.key_file();
        file[field] = value;
        file
    };
    let rights = |name: &str, rights: &[Right]| credentials(gcs.key_file_with(name, rights));
    let both = [IMPORT, EXPORT];
    for path in both {
        assert_eq!(rig.call("POST", &format!("{path}/validate"), Some(good.clone())).await.0, 200);
    }

    let key_field = "google_application_credentials";
    for (settings, paths, code, field) in [
        (credentials(changed("private_key_id", json!("gone"))), &both[..], "wrong_secret_key", Some(key_field)),
        (credentials(gcs.unknown_key_file()), &both, "unknown_access_key", Some(key_field)),
        (with(&good, json!({"bucket": "no-such-bucket"})), &both, "no_such_bucket", Some("bucket")),
        (rights("writer", &[Right::Put, Right::Delete]), &[IMPORT], "access_denied", None),
        (rights("reader", &[Right::List, Right::Get]), &[EXPORT], "access_denied", None),
        (with(&good, json!({key_field: ""})), &both, "missing_credentials", Some(key_field)),
    ] {
        for path in paths {
            for path in [format!("{path}/validate"), (*path).to_owned()] {
                let (status, body) = rig.call("POST", &path, Some(settings.clone())).await;
                assert_eq!((status, &body["code"]), (400, &json!(code)), "{path}: {body}");
                let field = field.unwrap_or("non_field_errors");
                assert!(body["validation_errors"][field][0].is_string(), "{path}: {body}");
                assert!(!body.to_string().contains("PRIVATE"), "{body}");
            }
        }
    }

    // An invalid file is reported without a request and without quoting it.
    gcs.clear();
    for (file, message) in [
        ("{\"private_key\": \"hunter2\"".to_owned(), "this is not the JSON text of a key file"),
        ("/secrets/key.json".to_owned(), "this is not the JSON text of a key file"),
        (changed("type", json!("external_account")).to_string(), "the type of this file is not supported"),
        (changed("client_email", Value::Null).to_string(), "the key file lacks client_email"),
        (changed("private_key", json!("hunter2")).to_string(), "the private_key of this file is not an RSA key"),
        (changed("token_uri", json!("ftp://h")).to_string(), "the token_uri of this file is not a URL"),
    ] {
        let settings = with(&good, json!({key_field: file}));
        let (status, body) = rig.call("POST", IMPORT, Some(settings)).await;
        assert_eq!((status, &body["code"]), (400, &json!("validation_error")), "{body}");
        let output = body["validation_errors"][key_field][0].as_str().expect("a message");
        assert!(output.starts_with(message), "{output}");
        assert!(!body.to_string().contains("hunter2"), "{body}");
    }
    let (status, body) = rig.call("POST", IMPORT, Some(with(&good, json!({"bucket": "gs://pics"})))).await;
    assert_eq!((status, body["validation_errors"]["bucket"][0].is_string()), (400, true), "{body}");
    assert!(gcs.calls().is_empty());
    assert_eq!(rig.get("/api/storages").await, json!([]), "nothing was stored");
    assert!(gcs.keys("pics").await.is_empty(), "the test object is deleted");
    let logs = rig.logs();
    assert!(!logs.contains("PRIVATE KEY") && !logs.contains("hunter2") && !logs.contains("ya29."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_distinguished_from_a_wrong_key() {
    let gcs = Gcs::start().await;
    let rig = rig(&gcs).await;
    gcs.create_bucket("pics").await;
    let good = settings(&gcs, rig.project().await, "pics");
    for ahead in [-3_600, 7_200] {
        gcs.set_clock(ahead);
        let (status, body) = rig.call("POST", &format!("{IMPORT}/validate"), Some(good.clone())).await;
        assert_eq!((status, &body["code"]), (400, &json!("clock_skew")), "{ahead}: {body}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.contains("clock")), "{body}");
    }
    gcs.set_clock(0);
    assert_eq!(rig.call("POST", &format!("{IMPORT}/validate"), Some(good)).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_operator_does_not_allow_is_not_reached() {
    let gcs = Gcs::start().await;
    gcs.create_bucket("pics").await;
    let rig = Rig::with()
        .workers(0)
        .env("STORAGE_EMULATOR_HOST", gcs.endpoint())
        .env("LONGSHORE_ALLOWED_ENDPOINTS", "")
        .start()
        .await;
    let good = settings(&gcs, rig.project().await, "pics");
    let mut inside = gcs.key_file();
    inside["token_uri"] = "http://169.254.169.254/computeMetadata/v1/token".into();
    for settings in [good.clone(), with(&good, json!({"google_application_credentials": inside.to_string()}))] {
        let (status, body) = rig.call("POST", IMPORT, Some(settings)).await;
        assert_eq!((status, &body["code"]), (403, &json!("blocked_address")), "{body}");
    }
    assert!(gcs.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_without_credentials_uses_the_operators_file() {
    let gcs = Gcs::start().await;
    put_all(&gcs, "pics", ["a.png", "b.png"]).await;
    let file = std::env::temp_dir().join(format!("longshore-adc-{}.json", std::process::id()));
    std::fs::write(&file, gcs.key_file().to_string()).expect("a file");
    let rig = Rig::with()
        .env("STORAGE_EMULATOR_HOST", gcs.endpoint())
        .env("GOOGLE_APPLICATION_CREDENTIALS", file.to_string_lossy())
        .start()
        .await;
    let bare =
        json!({"project": rig.project().await, "bucket": "pics", "use_blob_urls": true, "google_project_id": "p"});
    let storage = create(&rig, IMPORT, bare).await;
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &one_each(["a.png", "b.png"])).await;
    let shown = rig.get(&format!("{IMPORT}/{}", storage.id)).await;
    assert_eq!(shown["google_project_id"], "p");

    // The file is replaced while all processes run.
    std::fs::write(&file, gcs.unknown_key_file().to_string()).expect("a file");
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("unknown_access_key")), "{sync}");
    std::fs::remove_file(&file).expect("the file");
}
