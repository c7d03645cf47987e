//! Redis: tasks from strings under keys, annotations to strings under keys.

mod connection;
mod faults;
mod hostile;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use longshore_model::{RedisSecrets, Secret, Secrets};
use longshore_rig::oracle::one_each;
use longshore_rig::redis::{PASSWORD, RedisServer};
use longshore_rig::rig::{Rig, StorageHandle, rows};
use longshore_storage::conformance::{self, Seed, Subject};
use longshore_storage::{AllowedEndpoints, Operator, Storage, StorageMetrics, Stores, WireOptions};
use longshore_uri::encode_fileuri;
use prometheus::Registry;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

const IMPORT: &str = "/api/storages/redis";
const EXPORT: &str = "/api/storages/export/redis";

/// Settings that reach the server, with overrides.
fn settings(server: &RedisServer, project: i64, own: Value) -> Value {
    let mut all = json!({
        "project": project, "host": "127.0.0.1", "port": server.port.to_string(), "password": PASSWORD,
    });
    let (Some(fields), Value::Object(own)) = (all.as_object_mut(), own) else { panic!("settings are an object") };
    fields.extend(own);
    all
}

async fn create(rig: &Rig, path: &'static str, settings: Value) -> StorageHandle {
    let storage = rig.post(path, settings).await;
    assert_eq!(storage["type"], "redis", "{storage}");
    assert!(storage.get("password").is_none(), "a secret never comes back: {storage}");
    let project = storage["project"].as_i64().expect("an id");
    StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path }
}

async fn set(db: &mut MultiplexedConnection, key: impl redis::ToRedisArgs, value: impl redis::ToRedisArgs) {
    redis::cmd("SET").arg(key).arg(value).exec_async(db).await.expect("a value is written");
}

async fn run(db: &mut MultiplexedConnection, command: &str) {
    let mut words = command.split(' ');
    let mut asked = redis::cmd(words.next().expect("a command"));
    asked.arg(words.collect::<Vec<_>>()).exec_async(db).await.unwrap_or_else(|error| panic!("{command}: {error}"));
}

/// Each key of the database with its value.
async fn values(db: &mut MultiplexedConnection) -> BTreeMap<String, String> {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(db).await.expect("keys");
    let mut values = BTreeMap::new();
    for key in keys {
        let value = redis::cmd("GET").arg(&key).query_async(db).await.expect("a value");
        values.insert(key, value);
    }
    values
}

/// The number of `GETRANGE` commands since the counters were reset.
async fn reads(db: &mut MultiplexedConnection) -> usize {
    let report: String = redis::cmd("INFO").arg("commandstats").query_async(db).await.expect("counters");
    let calls = report.split_once("cmdstat_getrange:calls=").and_then(|(_, rest)| rest.split_once(','));
    calls.map_or(0, |(calls, _)| calls.parse().expect("a number"))
}

fn counts<const N: usize>(sync: &Value, names: [&str; N]) -> [i64; N] {
    names.map(|name| sync["counts"][name].as_i64().unwrap_or_else(|| panic!("no counter {name}: {sync}")))
}

/// A storage without Longshore around it.
fn open(server: &RedisServer, db: u16, allowed: &str) -> Arc<dyn Storage> {
    let settings = json!({"kind": "redis", "host": "127.0.0.1", "port": server.port.to_string(), "db": db});
    let settings = serde_json::from_value(settings).expect("settings");
    let secrets = Secrets::Redis(RedisSecrets { password: Some(Secret::new(PASSWORD)) });
    let allowed = AllowedEndpoints::parse(allowed).expect("networks");
    let metrics = StorageMetrics::register(&Registry::new()).expect("a fresh registry");
    let options = WireOptions { allowed, ..WireOptions::default() };
    let stores = Stores::new(options, Operator::default(), metrics).expect("a client");
    stores.open(1, &settings, &secrets).expect("good settings")
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_does_what_every_kind_does() {
    let server = RedisServer::start().await;
    let (own, seeded) = (open(&server, 3, "127.0.0.1"), open(&server, 4, "127.0.0.1"));
    conformance::all(&Subject { storage: own.as_ref(), seed: None, holds: |_| true }).await;

    let db = server.db(4).await;
    let seed: Seed<'_> = &|key: String, content: Bytes| {
        let mut db = db.clone();
        async move { set(&mut db, key, content.as_ref()).await }.boxed()
    };
    conformance::all(&Subject { storage: seeded.as_ref(), seed: Some(seed), holds: |_| true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_string_below_the_path_becomes_tasks_and_a_second_sync_reads_none() {
    let (rig, server) = (Rig::start().await, RedisServer::start().await);
    let mut db = server.db(1).await;
    for n in 0..1_500 {
        set(&mut db, format!("tasks:{n}"), format!("{{\"n\": {n}}}")).await;
    }
    set(&mut db, "tasks:list.json", r#"[{"n": 1}, {"n": 2}]"#).await;
    set(&mut db, "tasks:none", "[]").await;
    set(&mut db, "other:1", "{}").await;
    set(&mut db, "tasks", "{}").await;
    let storage = create(&rig, IMPORT, settings(&server, rig.project().await, json!({"path": "tasks:"}))).await;
    let sync = rig.sync_to_end(&storage).await;
    let mut expected = one_each((0..1_500).map(|n| format!("tasks:{n}")));
    expected.extend([("tasks:list.json".to_owned(), 2), ("tasks:none".to_owned(), 0)]);
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);

    run(&mut db, "CONFIG RESETSTAT").await;
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &expected, &[]).await;
    assert_eq!(counts(&sync, ["created", "existed", "imported"]), [0, 1_502, 0]);
    assert_eq!(reads(&mut db).await, 2 * 1_502, "both ends of each value, and no value");

    set(&mut db, "tasks:new", "{}").await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(counts(&sync, ["created", "existed"]), [1, 1_502]);
}

/// Goal: a key is no name of a file, so nothing in it says what the value is. Method: keys with dots, some of which look like
/// names of images, with small and large tasks.
#[tokio::test(flavor = "multi_thread")]
async fn values_with_tasks_are_imported_whatever_their_keys_are() {
    let server = RedisServer::start().await;
    let rig = Rig::start().await;
    let mut db = server.db(1).await;
    let keys =
        ["user@example.com", "task:v1.2:0001", "2024-05-24T01:27:36.123Z", "img.png:meta", "photo.png", ".DS_Store"];
    for key in keys {
        set(&mut db, key, json!({"text": key}).to_string()).await;
        set(&mut db, format!("large:{key}"), json!({"text": "x".repeat(10_000)}).to_string()).await;
    }
    let storage = create(&rig, IMPORT, settings(&server, rig.project().await, json!({}))).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    let expected = one_each(keys.iter().flat_map(|key| [(*key).to_owned(), format!("large:{key}")]));
    rig.check_import(&storage, &sync, &expected, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_no_strings_and_unsupported_keys_are_quarantined_until_they_change() {
    let (rig, server) = (Rig::start().await, RedisServer::start().await);
    let mut db = server.db(1).await;
    for command in ["RPUSH a:list x", "HSET b:hash f x", "SADD c:set x", "ZADD d:zset 1 x", "XADD e:stream * f x"] {
        run(&mut db, command).await;
    }
    set(&mut db, "f:empty", "").await;
    set(&mut db, "g:bad", r#"{"n": 1]"#).await;
    set(&mut db, b"h:\xff\xfe", "{}").await;
    set(&mut db, "i:good", "{}").await;
    let own = settings(&server, rig.project().await, json!({}));
    let preview = rig.post(&format!("{IMPORT}/files"), own.clone()).await;
    let keys = |list: &str| {
        let mut keys: Vec<&str> = rows(&preview[list]).iter().filter_map(|row| row["key"].as_str()).collect();
        keys.sort_unstable();
        keys
    };
    // The preview also shows faults that only a read finds.
    assert_eq!(keys("files"), ["f:empty", "g:bad", "i:good"], "{preview}");
    assert_eq!(keys("skipped"), ["a:list", "b:hash", "c:set", "d:zset", "e:stream", "h:\\xff\\xfe"], "{preview}");

    let storage = create(&rig, IMPORT, own).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let names = ["a:list", "b:hash", "c:set", "d:zset", "e:stream", "f:empty", "g:bad", "h:\\xff\\xfe"];
    let expected = one_each(["i:good"]);
    rig.check_import(&storage, &sync, &expected, &names).await;
    rig.check_first_counts(&sync, &expected, 8);
    let reasons: Vec<Value> = rig.quarantine(&storage).await.iter().map(|row| row["reason"].clone()).collect();
    let mut wanted = vec!["wrong_value_type"; 5];
    wanted.extend(["empty", "invalid_json", "unsupported_key"]);
    assert_eq!(reasons, wanted);

    // No value changed, so no key is quarantined again.
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &expected, &names).await;
    assert_eq!(counts(&sync, ["quarantined", "still_quarantined", "existed"]), [0, 8, 1]);

    run(&mut db, "DEL a:list").await;
    set(&mut db, "a:list", "{}").await;
    // Same length, but another end.
    set(&mut db, "g:bad", r#"{"n": 1}"#).await;
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &one_each(["a:list", "g:bad", "i:good"]), &[&names[1..6], &names[7..]].concat())
        .await;
    assert_eq!(counts(&sync, ["created", "still_quarantined"]), [2, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn path_and_file_filter_choose_the_keys_and_a_preview_explains_skips() {
    let (rig, server) = (Rig::start().await, RedisServer::start().await);
    let mut db = server.db(0).await;
    for key in ["a*b[1]:x", "a*b[1]:y/z", "axb[1]:x", "a*b1:x", "img/1.png", "img/2.png", "img/2.txt", "img/sub/3.png"]
    {
        set(&mut db, key, "{}").await;
    }
    let project = rig.project().await;
    let choices = [
        (json!({"path": "a*b[1]:"}), vec!["a*b[1]:x", "a*b[1]:y/z"]),
        (json!({"path": "img/", "regex_filter": r".*\.png$"}), vec!["img/1.png", "img/2.png", "img/sub/3.png"]),
        (json!({"path": "nothing"}), vec![]),
    ];
    for (mut own, keys) in choices {
        // Database 0 works like the others.
        own["db"] = json!(0);
        own["use_blob_urls"] = json!(true);
        let own = settings(&server, project, own);
        let preview = rig.post(&format!("{IMPORT}/files"), own.clone()).await;
        let mut shown: Vec<&str> = rows(&preview["files"]).iter().filter_map(|file| file["key"].as_str()).collect();
        shown.sort_unstable();
        assert_eq!(shown, keys, "{own}: {preview}");
        assert_eq!(preview["complete"], true);
        if own["path"] == "img/" {
            let rule = "the file filter does not match at the start of the key";
            assert_eq!(preview["skipped"], json!([{"key": "img/2.txt", "rule": rule}]));
        }
        let storage = create(&rig, IMPORT, own.clone()).await;
        let sync = rig.sync_to_end(&storage).await;
        let expected = one_each(keys);
        rig.check_import(&storage, &sync, &expected, &[]).await;
        rig.check_first_counts(&sync, &expected, 0);
    }
    let uri = format!("redis://127.0.0.1:{}/0/img/sub/3.png", server.port);
    let named = "SELECT count(*) FROM tasks WHERE data ->> 'image' = $1";
    let named = rig.database().await.query_one(named, &[&uri]).await.expect("tasks");
    assert_eq!(named.get::<_, i64>(0), 1, "a task names {uri}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_value_reaches_the_browser_by_its_uri_in_a_task() {
    let (rig, server) = (Rig::start().await, RedisServer::start().await);
    set(&mut server.db(1).await, "img/a b?.txt", "0123456789").await;
    set(&mut server.db(1).await, "img/other.txt", "secret").await;
    let project = rig.project().await;
    let own = json!({"path": "img/a", "use_blob_urls": true});
    let storage = create(&rig, IMPORT, settings(&server, project, own)).await;
    rig.sync_to_end(&storage).await;
    let tasks = rig.get(&format!("/api/tasks/?project={project}&resolve_uri=false")).await;
    let (task, uri) = (&rows(&tasks)[0]["id"], rows(&tasks)[0]["data"]["image"].as_str().expect("a URI"));
    assert_eq!(uri, format!("redis://127.0.0.1:{}/1/img/a b?.txt", server.port));
    let path = |uri: &str| format!("/tasks/{task}/resolve/?fileuri={}", encode_fileuri(uri));
    let asked = rig.request("GET", &path(uri)).bearer_auth(rig.token()).header("range", "bytes=2-4");
    let answer = asked.send().await.expect("an answer");
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.text().await.expect("a body"), "234");
    let (status, body) = rig.call("GET", &path(&uri.replace("a b?", "other")), None).await;
    assert_eq!((status, &body["code"]), (404, &json!("uri_not_held")), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_and_annotations_live_in_different_databases() {
    let (rig, server) = (Rig::start().await, RedisServer::start().await);
    let (mut tasks, mut annotations) = (server.db(1).await, server.db(2).await);
    for n in 0..3 {
        set(&mut tasks, format!("t{n}"), "{}").await;
    }
    let project = rig.project().await;
    // The defaults: 1 for import, 2 for export.
    let import = create(&rig, IMPORT, settings(&server, project, json!({}))).await;
    rig.sync_to_end(&import).await;
    let list = rig.get(&format!("/api/tasks/?project={project}")).await;
    let mut ids = Vec::new();
    for task in rows(&list) {
        let path = format!("/api/tasks/{}/annotations/", task["id"]);
        ids.push(rig.post(&path, json!({"result": [{"value": {"text": ["ü"]}}]})).await["id"].as_i64().expect("an id"));
    }
    let own = json!({"path": "done:", "can_delete_objects": true});
    let export = create(&rig, EXPORT, settings(&server, project, own)).await;
    let sync = rig.sync_to_end(&export).await;
    assert_eq!((&sync["status"], counts(&sync, ["exported", "failed"])), (&json!("completed"), [3, 0]), "{sync}");
    let written = values(&mut annotations).await;
    assert_eq!(
        written.keys().cloned().collect::<Vec<_>>(),
        ids.iter().map(|id| format!("done:{id}")).collect::<Vec<_>>()
    );
    let body: Value = serde_json::from_str(&written[&format!("done:{}", ids[0])]).expect("JSON");
    assert_eq!((&body["id"], &body["result"]), (&json!(ids[0]), &json!([{"value": {"text": ["ü"]}}])));
    assert_eq!(values(&mut tasks).await.len(), 3, "nothing is written among the tasks");

    // Unchanged annotations are not written again, and keys of deleted ones are removed.
    run(&mut annotations, &format!("SET done:{} untouched", ids[1])).await;
    let (status, _) = rig.call("DELETE", &format!("/api/annotations/{}/", ids[2]), None).await;
    assert_eq!(status, 204);
    let sync = rig.sync_to_end(&export).await;
    assert_eq!(counts(&sync, ["exported"]), [0], "{sync}");
    longshore_rig::rig::until("the object of the deleted annotation is gone", async || {
        (values(&mut server.db(2).await).await.len() == 2).then_some(())
    })
    .await;
    assert_eq!(values(&mut annotations).await[&format!("done:{}", ids[1])], "untouched");
}
