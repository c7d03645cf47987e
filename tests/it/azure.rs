//! Azure Blob Storage: import, export, accounts, validation and a busy server.

mod content;
mod fault_proxy;
mod folders;
mod signed;

use std::collections::BTreeMap;

use longshore_rig::azurite::{ACCOUNT, Azurite, KEY};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle, rows};
use serde_json::{Value, json};

use fault_proxy::{FaultProxy, Refusal, RequestKind};

const IMPORT: &str = "/api/storages/azure";
const EXPORT: &str = "/api/storages/export/azure";

fn settings(endpoint: &str, project: i64, container: &str) -> Value {
    json!({
        "project": project, "container": container, "endpoint": endpoint, "account_name": ACCOUNT, "account_key": KEY,
    })
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
    assert_eq!(storage["type"], "azure", "{storage}");
    assert!(!storage.to_string().contains(KEY), "the key is written and never read");
    let project = storage["project"].as_i64().expect("an id");
    StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path }
}

async fn check_first(rig: &Rig, storage: &StorageHandle, sync: &Value, expected: &BTreeMap<String, usize>) {
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(storage, sync, expected, &[]).await;
    rig.check_first_counts(sync, expected, 0);
}

/// The image of the first task of a storage.
async fn first_image(rig: &Rig, storage: &StorageHandle) -> String {
    let first = "SELECT data::jsonb->>'image' FROM tasks WHERE storage_id = $1 ORDER BY storage_key LIMIT 1";
    rig.database().await.query_one(first, &[&storage.id]).await.expect("a task").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn blob_mode_creates_one_task_per_azure_blob() {
    let azurite = Azurite::shared().await;
    let rig = Rig::start().await;
    let container = azurite.create_container("images").await;
    let wanted: Vec<String> = (0..1_100).map(|n| format!("train/{:02}/{n:05}.png", n % 7)).collect();
    let others = ["train/00/a.txt", "train/top.png", "trains/0.png", "other/0.png", "train/dir/"];
    azurite.put_many(&container, &wanted).await;
    azurite.put_many(&container, &others.map(str::to_owned)).await;

    let base = settings(&azurite.endpoint(), rig.project().await, &container);
    let fields = json!({
        "prefix": "train", "regex_filter": r"train/\d+/.*\.png", "recursive_scan": true, "use_blob_urls": true,
    });
    let deep = create(&rig, IMPORT, with(&base, fields)).await;
    let sync = rig.sync_to_end(&deep).await;
    let expected = one_each(wanted.clone());
    check_first(&rig, &deep, &sync, &expected).await;
    assert_eq!(first_image(&rig, &deep).await, format!("azure-blob://{container}/train/00/00000.png"));

    // Only the new blob becomes a task.
    azurite.put(&container, "train/99/new.png", b"x").await;
    let again = rig.sync_to_end(&deep).await;
    assert_eq!((&again["counts"]["created"], &again["counts"]["existed"]), (&json!(1), &json!(1_100)), "{again}");
    rig.check_import(&deep, &again, &one_each(wanted.into_iter().chain(["train/99/new.png".into()])), &[]).await;

    let fields = json!({"project": rig.project().await, "prefix": "train/", "use_blob_urls": true});
    let flat = create(&rig, IMPORT, with(&base, fields)).await;
    let sync = rig.sync_to_end(&flat).await;
    check_first(&rig, &flat, &sync, &one_each(["train/top.png"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_blobs_become_tasks_and_unusable_ones_are_quarantined() {
    let azurite = Azurite::shared().await;
    let rig = Rig::start().await;
    let container = azurite.create_container("tasks").await;
    azurite.put(&container, "one.json", br#"{"image": "azure-blob://c/1.png"}"#).await;
    azurite.put(&container, "two ü+%.json", br#"[{"image": "a"}, {"data": {"image": "b"}}]"#).await;
    azurite.put(&container, "bad.json", b"{\"image\":").await;
    let storage = create(&rig, IMPORT, settings(&azurite.endpoint(), rig.project().await, &container)).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let expected = [("one.json".to_owned(), 1), ("two ü+%.json".to_owned(), 2)].into();
    rig.check_import(&storage, &sync, &expected, &["bad.json"]).await;
    rig.check_first_counts(&sync, &BTreeMap::from([("one.json".to_owned(), 1), ("two ü+%.json".to_owned(), 2)]), 1);
    assert_eq!(rig.quarantine(&storage).await[0]["reason"], "invalid_json");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_azure_sorts_differently_come_once() {
    let azurite = Azurite::shared().await;
    let rig = Rig::start().await;
    let container = azurite.create_container("order").await;
    // By UTF-16 units, as Azurite lists, emoji come before full-width characters; by bytes after them. So
    // the second page holds names that sort before those of the first.
    let wide = (0..100).map(|n| format!("（{n:04}"));
    let keys: Vec<String> = wide.chain((0..1_050).map(|n| format!("😀{n:04}"))).collect();
    azurite.put_many(&container, &keys).await;
    let settings =
        with(&settings(&azurite.endpoint(), rig.project().await, &container), json!({"use_blob_urls": true}));
    let storage = create(&rig, IMPORT, settings).await;
    for created in [1_150, 0] {
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(created)), "{sync}");
        assert_eq!(sync["counts"]["listed"], 1_150, "{sync}");
        rig.check_import(&storage, &sync, &one_each(keys.clone()), &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_shared_by_many_jobs_and_every_key_comes_once() {
    let azurite = Azurite::shared().await;
    let rig = Rig::with()
        .workers(2)
        .env("LONGSHORE_SPLIT_AFTER_PAGES", "1")
        .env("LONGSHORE_QUANTUM_SECONDS", "0")
        .start()
        .await;
    let container = azurite.create_container("split").await;
    let keys: Vec<String> = (0..3_000).map(|n| format!("img/{n:05}.jpg")).collect();
    azurite.put_many(&container, &keys).await;
    let fields = json!({"prefix": "img", "use_blob_urls": true});
    let storage =
        create(&rig, IMPORT, with(&settings(&azurite.endpoint(), rig.project().await, &container), fields)).await;
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &one_each(keys)).await;
    assert_eq!(sync["counts"]["listed"], 3_000, "each key is listed by one job alone: {sync}");
    let jobs = sync["jobs"].as_array().map_or(0, Vec::len);
    assert!(jobs > 1, "{sync}");
}

/// A project with this many annotated tasks, and the IDs of the annotations.
async fn annotated(rig: &Rig, azurite: &Azurite, count: usize) -> (i64, Vec<i64>) {
    let container = azurite.create_container("source").await;
    for n in 0..count {
        azurite.put(&container, &format!("{n}.json"), json!({"n": n}).to_string().as_bytes()).await;
    }
    let project = rig.project().await;
    let source = create(rig, IMPORT, settings(&azurite.endpoint(), project, &container)).await;
    rig.sync_to_end(&source).await;
    let list = rig.get(&format!("/api/tasks/?project={project}&page_size=100")).await;
    let mut annotations = Vec::new();
    for task in rows(&list) {
        let path = format!("/api/tasks/{}/annotations/", task["id"]);
        annotations.push(rig.post(&path, json!({"result": []})).await["id"].as_i64().expect("an id"));
    }
    (project, annotations)
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_are_exported_to_azure_again_when_changed_and_removed_when_deleted() {
    let azurite = Azurite::shared().await;
    let rig = Rig::start().await;
    let (project, annotations) = annotated(&rig, &azurite, 3).await;
    let proxy = FaultProxy::start(azurite.address()).await;
    let container = azurite.create_container("target").await;
    let fields = json!({"prefix": "out/", "can_delete_objects": true});
    let target = create(&rig, EXPORT, with(&settings(&proxy.endpoint(), project, &container), fields)).await;
    let names = |ids: &[i64]| ids.iter().map(|id| format!("out/{id}")).collect::<Vec<_>>();
    let written = || {
        let puts = proxy.calls(RequestKind::Put).into_iter().filter(|call| !call.target.contains("longshore-probe"));
        puts.count()
    };

    let sync = rig.sync_to_end(&target).await;
    assert_eq!((&sync["status"], &sync["counts"]["exported"]), (&json!("completed"), &json!(3)), "{sync}");
    assert_eq!(azurite.keys(&container).await, names(&annotations), "and the probe has left nothing");
    let body = azurite.get(&container, &names(&annotations)[0]).await.expect("an object");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&body["id"], &body["task"]["data"]), (&json!(annotations[0]), &json!({"n": 0})), "{body}");

    // Without a change no blob is written. After one change one blob is written.
    let sync = rig.sync_to_end(&target).await;
    assert_eq!((written(), &sync["status"]), (3, &json!("completed")), "{sync}");
    let change = json!({"result": [{"value": {"text": ["new"]}}]});
    let (status, answer) = rig.call("PATCH", &format!("/api/annotations/{}/", annotations[1]), Some(change)).await;
    assert_eq!(status, 200, "{answer}");
    rig.sync_to_end(&target).await;
    assert_eq!(written(), 4);
    let body = azurite.get(&container, &names(&annotations)[1]).await.expect("an object");
    assert!(String::from_utf8_lossy(&body).contains("new"));

    assert_eq!(rig.call("DELETE", &format!("/api/annotations/{}/", annotations[0]), None).await.0, 204);
    rig.sync_to_end(&target).await;
    assert_eq!(azurite.keys(&container).await, names(&annotations[1..]));
    assert!(!rig.logs().contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_account_is_used_only_at_the_operators_endpoint() {
    let azurite = Azurite::shared().await;
    let rig = Rig::with()
        .env("AZURE_BLOB_ACCOUNT_NAME", ACCOUNT)
        .env("AZURE_BLOB_ACCOUNT_KEY", KEY)
        .env("AZURE_BLOB_ENDPOINT", azurite.endpoint())
        .start()
        .await;
    let container = azurite.create_container("env").await;
    azurite.put(&container, "a.png", b"x").await;
    let project = rig.project().await;
    let settings = json!({"project": project, "container": container, "use_blob_urls": true});
    let storage = create(&rig, IMPORT, settings.clone()).await;
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &one_each(["a.png"])).await;

    // Another server could forward a request that the operator's key signed to the operator's account.
    let proxy = FaultProxy::start(azurite.address()).await;
    let elsewhere = with(&settings, json!({"endpoint": proxy.endpoint()}));
    let (status, body) = rig.call("POST", &format!("{IMPORT}/validate"), Some(elsewhere)).await;
    assert_eq!(status, 400, "{body}");
    assert!(body["validation_errors"]["endpoint"][0].is_string(), "{body}");
    assert!(proxy.calls(RequestKind::List).is_empty(), "nothing signed was sent there");
    assert!(!rig.logs().contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_account_is_answered_with_both_ways_to_set_one() {
    let azurite = Azurite::shared().await;
    let rig = Rig::with().workers(0).start().await;
    let body = json!({"project": rig.project().await, "container": "any", "endpoint": azurite.endpoint()});
    let (status, body) = rig.call("POST", IMPORT, Some(body)).await;
    assert_eq!(status, 400, "{body}");
    let report = body["validation_errors"]["account_name"][0].as_str().unwrap_or_default();
    for way in ["the account name and the account key", "AZURE_BLOB_ACCOUNT_NAME", "AZURE_BLOB_ACCOUNT_KEY"] {
        assert!(report.contains(way), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_reports_the_fault_of_a_container_and_the_fix() {
    let azurite = Azurite::shared().await;
    let proxy = FaultProxy::start(azurite.address()).await;
    let rig = Rig::with().workers(0).env("LONGSHORE_ALLOWED_ENDPOINTS", "127.0.0.1").start().await;
    let container = azurite.create_container("valid").await;
    let good = settings(&proxy.endpoint(), rig.project().await, &container);
    for path in [IMPORT, EXPORT] {
        let (status, body) = rig.call("POST", &format!("{path}/validate"), Some(good.clone())).await;
        assert_eq!(status, 200, "{path}: {body}");
    }

    let both: &[&str] = &[IMPORT, EXPORT];
    let check = async |paths: &[&str], fields: Value, status: u16, code: &str, field: &str| {
        for path in paths {
            let answer = rig.call("POST", &format!("{path}/validate"), Some(with(&good, fields.clone()))).await;
            assert_eq!((answer.0, &answer.1["code"]), (status, &json!(code)), "{path} {fields}: {}", answer.1);
            assert!(answer.1["validation_errors"][field][0].is_string(), "{path} {fields}: {}", answer.1);
            assert!(!answer.1.to_string().contains(KEY), "{}", answer.1);
        }
    };
    // Errors that Azurite returns.
    let wrong_key = "d3Jvbmc=";
    check(both, json!({"account_key": wrong_key}), 400, "wrong_secret_key", "account_key").await;
    let endpoint = azurite.endpoint().replace(ACCOUNT, "unknown");
    check(both, json!({"account_name": "unknown", "endpoint": endpoint}), 400, "unknown_access_key", "account_name")
        .await;
    check(both, json!({"container": "nowhere"}), 400, "no_such_bucket", "container").await;
    let blocked = proxy.endpoint().replace("127.0.0.1", "127.0.0.2");
    check(both, json!({"endpoint": blocked}), 403, "blocked_address", "endpoint").await;

    // Errors that only Azure returns.
    let authentication = |detail| Refusal { detail, ..Refusal::new(403, "AuthenticationFailed") };
    let mac =
        authentication("The MAC signature found in the HTTP request 'x' is not the same as any computed signature.");
    let late = authentication("Request date header too old: 'Fri, 31 Jan 2020 12:28:37 GMT'");
    let no_right = Refusal::new(403, "AuthorizationPermissionMismatch");
    let import: &[&str] = &[IMPORT];
    let export: &[&str] = &[EXPORT];
    for (kind, paths, refusal, code, field) in [
        (RequestKind::List, import, mac, "wrong_secret_key", "account_key"),
        (RequestKind::Put, export, late, "clock_skew", "non_field_errors"),
        (RequestKind::List, import, no_right, "access_denied", "non_field_errors"),
        (RequestKind::Put, export, no_right, "access_denied", "non_field_errors"),
        (RequestKind::List, import, Refusal::new(403, "AuthorizationFailure"), "access_denied", "non_field_errors"),
        (RequestKind::List, import, Refusal::new(403, "AccountIsDisabled"), "access_denied", "non_field_errors"),
        (RequestKind::Put, export, Refusal::new(409, "ContainerBeingDeleted"), "no_such_bucket", "container"),
    ] {
        proxy.refuse(kind, refusal);
        check(paths, json!({}), 400, code, field).await;
        proxy.clear();
    }

    // Export needs no right to delete.
    proxy.refuse(RequestKind::Delete, no_right);
    let (status, body) = rig.call("POST", &format!("{EXPORT}/validate"), Some(good.clone())).await;
    assert_eq!(status, 200, "{body}");
    proxy.clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_azure_settings_are_reported_with_their_field() {
    let rig = Rig::with().workers(0).start().await;
    let good = settings("http://127.0.0.1:1/any", rig.project().await, "photos");
    for (fields, field) in [
        (json!({"container": "No_Container"}), "container"),
        (json!({"container": ""}), "container"),
        (json!({"endpoint": "azurite:10000"}), "endpoint"),
        (json!({"endpoint": "https://h/c?sv=1&sig=x"}), "endpoint"),
        (json!({"account_key": "not base64!"}), "account_key"),
        (json!({"account_name": ""}), "account_name"),
        (json!({"account_key": ""}), "account_key"),
        (json!({"account_name": "evil.example.com/", "endpoint": ""}), "account_name"),
    ] {
        let (status, body) = rig.call("POST", IMPORT, Some(with(&good, fields.clone()))).await;
        assert_eq!(status, 400, "{fields}: {body}");
        assert!(body["validation_errors"][field][0].is_string(), "{fields}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_continues_at_the_failed_page_after_a_busy_container() {
    let azurite = Azurite::shared().await;
    let proxy = FaultProxy::start(azurite.address()).await;
    let rig = Rig::start().await;
    let container = azurite.create_container("busy").await;
    let keys: Vec<String> = (0..2_100).map(|n| format!("{n:05}.png")).collect();
    azurite.put_many(&container, &keys).await;
    let fields = json!({"use_blob_urls": true});
    let storage =
        create(&rig, IMPORT, with(&settings(&proxy.endpoint(), rig.project().await, &container), fields)).await;

    // More refusals than retries of a request: the job waits and is retried.
    let busy = Refusal { retry_after: Some(0), ..Refusal::new(503, "ServerBusy") };
    let asked = proxy.calls(RequestKind::List).len();
    proxy.refuse_some(RequestKind::List, 1, 6, busy);
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &one_each(keys)).await;
    let lists = proxy.calls(RequestKind::List).split_off(asked);
    let count = |status: u16| lists.iter().filter(|call| call.status == status).count();
    assert_eq!((count(200), count(503)), (3, 6), "each page is listed once: {lists:?}");
    assert!(lists[1..].iter().all(|call| call.target.contains("startFrom=")), "{lists:?}");
    assert!(sync["jobs"][0]["attempt"].as_i64() > Some(1), "{sync}");
}
