//! A sync request has the same effect over HTTP, over AMQP, and in a host's own transaction.

use std::collections::BTreeSet;

use futures::future::join_all;
use longshore_db::lifecycle;
use longshore_local::s3::{Op, When};
use longshore_rig::amqp::AmqpHost;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle, rows, until};
use serde_json::{Value, json};

/// A rig with an import storage on a bucket of three images.
async fn with_images() -> (Rig, StorageHandle) {
    let rig = Rig::start().await;
    rig.s3.put_many("images", (0..3).map(|n| (format!("{n}.png"), "image")));
    let storage = rig.import_storage(rig.project().await, "images", json!({"use_blob_urls": true})).await;
    (rig, storage)
}

async fn check_images(rig: &Rig, storage: &StorageHandle, sync: &Value) {
    let expected = one_each((0..3).map(|n| format!("{n}.png")));
    rig.check_import(storage, sync, &expected, &[]).await;
}

/// Requests a sync and returns the status, the ID of the sync and the body.
async fn ask(rig: &Rig, storage: &StorageHandle, key: Option<&str>, body: Option<Value>) -> (u16, Option<i64>, Value) {
    let mut request = rig.request("POST", &format!("{}/{}/sync", storage.path, storage.id)).bearer_auth(rig.token());
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("the scheduler answers");
    let id = answer.headers().get("x-longshore-sync").map(|id| id.to_str().expect("digits").parse().expect("an id"));
    (answer.status().as_u16(), id, answer.json().await.expect("a JSON body"))
}

async fn start(rig: &Rig, storage: &StorageHandle, key: Option<&str>, body: Option<Value>) -> i64 {
    let (status, id, body) = ask(rig, storage, key, body).await;
    assert_eq!(status, 200, "{body}");
    id.expect("an answer that names its sync")
}

/// The syncs of a storage, newest first.
async fn syncs_of(rig: &Rig, storage: &StorageHandle) -> Vec<Value> {
    rows(&rig.get(&format!("/api/syncs?storage={}", storage.id)).await).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_is_queued_immediately_and_a_second_request_returns_the_same_sync() {
    let (rig, storage) = with_images().await;
    let listing = rig.s3.hold(Op::List);
    // Answered although the bucket does not answer at all.
    let (status, first, shown) = ask(&rig, &storage, None, None).await;
    assert_eq!((status, &shown["status"], &shown["id"]), (200, &json!("queued"), &json!(storage.id)), "{shown}");
    assert_eq!(shown["last_sync_job"], json!(first.expect("an id").to_string()));
    listing.reached().await;

    let (status, second, shown) = ask(&rig, &storage, None, None).await;
    assert_eq!((status, second), (200, first));
    assert!([json!("queued"), json!("in_progress")].contains(&shown["status"]), "{shown}");
    listing.release();
    let sync = rig.ended(first.expect("an id")).await;
    assert_eq!((&sync["status"], &sync["requested_by"]), (&json!("completed"), &json!("api")));
    check_images(&rig, &storage, &sync).await;

    let third = start(&rig, &storage, None, None).await;
    assert_ne!(Some(third), first, "the first has ended");
    assert_eq!(rig.ended(third).await["counts"]["existed"], 3);
    assert_eq!(syncs_of(&rig, &storage).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_concurrent_requests_start_one_sync() {
    let (rig, storage) = with_images().await;
    let listing = rig.s3.hold(Op::List);
    let ids = join_all((0..10).map(|_| start(&rig, &storage, None, None))).await;
    assert_eq!(syncs_of(&rig, &storage).await.len(), 1);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    listing.release();
    check_images(&rig, &storage, &rig.ended(ids[0]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_with_one_key_are_one_sync_even_after_its_end() {
    let (rig, storage) = with_images().await;
    let sync = start(&rig, &storage, Some("night-7"), None).await;
    assert_eq!(rig.ended(sync).await["idempotency_key"], "night-7");

    assert_eq!(start(&rig, &storage, Some("night-7"), None).await, sync, "key in the header");
    assert_eq!(start(&rig, &storage, None, Some(json!({"idempotency_key": "night-7"}))).await, sync, "in the body");
    let other = start(&rig, &storage, Some("night-8"), None).await;
    assert_ne!(other, sync);
    rig.ended(other).await;
    let elsewhere = rig.import_storage(storage.project, "images", json!({})).await;
    assert_ne!(start(&rig, &elsewhere, Some("night-7"), None).await, sync, "keys are a storage's own");

    let (status, _, body) = ask(&rig, &storage, Some(&"x".repeat(256)), None).await;
    assert_eq!((status, &body["code"]), (400, &json!("validation_error")));
    assert!(body["validation_errors"]["idempotency_key"].is_array(), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_is_switched_off_is_not_synced() {
    let (rig, storage) = with_images().await;
    rig.patch(&storage, json!({"synchronizable": false})).await;
    let (status, sync, body) = ask(&rig, &storage, None, None).await;
    assert_eq!((status, sync, &body["code"]), (400, None, &json!("not_synchronizable")));
    assert_eq!(body["detail"], format!("Storage {} is not synchronizable", storage.id));
    assert!(syncs_of(&rig, &storage).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_the_requests_exchange_starts_a_sync_and_a_bad_one_stops_nothing() {
    let (rig, storage) = with_images().await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    let request = json!({
        "version": 1, "kind": "s3", "direction": "import", "storage": storage.id, "idempotency_key": "from-the-host"
    });
    let but = |field: &str, value: Value| {
        let mut request = request.clone();
        request[field] = value;
        request.to_string()
    };
    let bad = [
        "not JSON".to_owned(),
        "[]".to_owned(),
        but("version", json!(2)),
        but("storage", json!("three")),
        but("kind", json!("ftp")),
        but("surprise", json!(true)),
        but("storage", json!(storage.id + 1_000)),
        but("direction", json!("export")),
    ];
    for body in &bad {
        host.publish("longshore.requests", body.as_bytes()).await;
    }
    for _ in 0..2 {
        host.publish("longshore.requests", request.to_string().as_bytes()).await;
    }

    let sync = until("the host's sync is there", || async { syncs_of(&rig, &storage).await.pop() }).await;
    assert_eq!((&sync["requested_by"], &sync["idempotency_key"]), (&json!("amqp"), &json!("from-the-host")));
    check_images(&rig, &storage, &rig.ended(sync["id"].as_i64().expect("an id")).await).await;
    until("all bad requests are dead letters", || async {
        let dead = BTreeSet::from_iter(host.waiting_in("longshore.dead").await);
        (dead == BTreeSet::from_iter(bad.clone())).then_some(())
    })
    .await;

    // It runs after the second one above: a queue keeps its order.
    host.publish("longshore.requests", but("idempotency_key", json!("next")).as_bytes()).await;
    until("the next request is followed", || async { (syncs_of(&rig, &storage).await.len() > 1).then_some(()) }).await;
    assert_eq!(syncs_of(&rig, &storage).await.len(), 2, "the same key twice is one sync");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_enqueues_in_its_own_transaction() {
    let (rig, storage) = with_images().await;
    let mut db = rig.database().await;
    db.batch_execute("CREATE TABLE public.work (id int)").await.expect("a table of the host");
    let call = format!("SELECT longshore.enqueue_sync('s3', 'import', {})", storage.id);

    let undone = db.transaction().await.expect("a transaction");
    undone.batch_execute("INSERT INTO public.work VALUES (1)").await.expect("a row of the host");
    let id: i64 = undone.query_one(&call, &[]).await.expect("a sync").get(0);
    assert_eq!(rig.call("GET", &format!("/api/syncs/{id}"), None).await.0, 404, "not yet there for others");
    undone.rollback().await.expect("a rollback");
    assert!(syncs_of(&rig, &storage).await.is_empty());
    let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    assert_eq!(shown["status"], "initialized");

    let done = db.transaction().await.expect("a transaction");
    done.batch_execute("INSERT INTO public.work VALUES (1)").await.expect("a row of the host");
    let id: i64 = done.query_one(&call, &[]).await.expect("a sync").get(0);
    let again: i64 = done.query_one(&call, &[]).await.expect("a sync").get(0);
    assert_eq!(again, id, "it is live already");
    done.commit().await.expect("a commit");
    let sync = rig.ended(id).await;
    assert_eq!((&sync["status"], &sync["requested_by"]), (&json!("completed"), &json!("sql")));
    check_images(&rig, &storage, &sync).await;
    assert_eq!(rig.s3.count(Op::List), 2, "one to try the connection, one for the sync that was not rolled back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_request_without_a_storage_is_answered_with_the_format() {
    let (rig, storage) = with_images().await;
    let db = rig.database().await;
    let id = storage.id;
    for (kind, direction, id) in [("gcs", "import", id), ("s3", "export", id), ("s3", "import", id + 1_000)] {
        let call = "SELECT longshore.enqueue_sync($1, $2, $3)";
        let error = db.query_one(call, &[&kind, &direction, &id]).await.expect_err("must be refused");
        let error = error.as_db_error().expect("an answer of the database");
        assert_eq!(error.message(), format!("there is no {kind} {direction} storage with id {id}"));
        assert!(error.hint().is_some_and(|hint| hint.contains("enqueue_sync(kind, direction, storage id)")));
    }
    rig.patch(&storage, json!({"synchronizable": false})).await;
    let call = format!("SELECT longshore.enqueue_sync('s3', 'import', {id})");
    let error = db.query_one(&call, &[]).await.expect_err("must be refused");
    assert_eq!(
        error.as_db_error().map(|error| error.message().to_owned()),
        Some(format!("Storage {id} is not synchronizable"))
    );
    assert!(syncs_of(&rig, &storage).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_publishes_its_progress_on_the_events_exchange_and_as_a_stream() {
    let (rig, storage) = with_images().await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    let mut heard = host.listen("longshore.events").await;
    let listing = rig.s3.hold(Op::List);
    let sync = start(&rig, &storage, None, None).await;

    let mut next = async || loop {
        let (key, event) = heard.next().await;
        assert_eq!(
            (&event["version"], &event["sync"], &event["storage"]),
            (&json!(1), &json!(sync), &json!(storage.id))
        );
        assert_eq!(key, format!("sync.{}", event["status"].as_str().expect("a status")));
        if key != "sync.queued" {
            return event;
        }
    };
    assert_eq!(next().await["status"], "in_progress");

    let path = format!("/api/syncs/{sync}/events");
    let mut stream = rig.request("GET", &path).bearer_auth(rig.token()).send().await.expect("a stream");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while !text.contains("event: progress\n") {
        text += &String::from_utf8_lossy(&stream.chunk().await.expect("more").expect("it goes on"));
    }
    listing.release();
    // To its end: it closes by itself.
    while let Some(chunk) = stream.chunk().await.expect("more") {
        text += &String::from_utf8_lossy(&chunk);
    }
    let (progress, end) = text.split_once("event: end\n").expect("a last event");
    assert!(!progress.contains("\"completed\""), "{progress}");
    let data = end.lines().find_map(|line| line.strip_prefix("data: ")).expect("data of the last event");
    let last: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!((&last["id"], &last["status"]), (&json!(sync), &json!("completed")));
    assert_eq!(last["counts"]["created"], 3);

    let completed = loop {
        let event = next().await;
        if event["status"] != "in_progress" {
            break event;
        }
    };
    assert_eq!((&completed["status"], &completed["counts"]["created"]), (&json!("completed"), &json!(3)));
    assert_eq!((&completed["kind"], &completed["direction"]), (&json!("s3"), &json!("import")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_sync_ends_immediately_and_a_retry_is_a_new_sync() {
    let (rig, storage) = with_images().await;
    let listing = rig.s3.hold(When::op(Op::List).times(1));
    let sync = start(&rig, &storage, None, None).await;
    listing.reached().await;
    let retried = rig.post(&format!("/api/syncs/{sync}/retry"), json!({})).await;
    assert_eq!(retried["id"], sync, "the one that runs");

    let cancelled = rig.post(&format!("/api/syncs/{sync}/cancel"), json!({})).await;
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["jobs"][0]["state"], "cancelled");
    assert!(!cancelled["finished_at"].is_null());
    until("the host is shown the end", || async {
        let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
        (shown["status"] == "cancelled").then_some(())
    })
    .await;

    let retried = rig.post(&format!("/api/syncs/{sync}/retry"), json!({})).await;
    let second = retried["id"].as_i64().expect("an id");
    assert_ne!(second, sync);
    // The worker of the first sync notices only now that it was cancelled.
    listing.release();
    let ended = rig.ended(second).await;
    assert_eq!((&ended["status"], &ended["requested_by"]), (&json!("completed"), &json!("retry")));
    check_images(&rig, &storage, &ended).await;
    let again = rig.post(&format!("/api/syncs/{second}/cancel"), json!({})).await;
    assert_eq!(again["status"], "completed", "what has ended stays as it ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_ends_while_it_is_reported_is_shown_as_ended() {
    let (rig, storage) = with_images().await;
    let listing = rig.s3.hold(Op::List);
    let sync = start(&rig, &storage, None, None).await;
    listing.reached().await;
    let db = rig.pool();
    let mut client = db.client().await.expect("a connection");
    let tx = client.transaction().await.expect("a transaction");
    tx.execute("SELECT 1 FROM syncs WHERE id = $1 FOR UPDATE", &[&sync]).await.expect("the sync's row");
    let watcher = rig.database().await;
    until("the reporter has read the sync as live and is about to note so", || async {
        let waiting = "SELECT 1 FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event_type = 'Lock'
                          AND query LIKE 'UPDATE syncs SET reported_at%'";
        watcher.query_opt(waiting, &[]).await.expect("activity")
    })
    .await;
    lifecycle::cancel(&tx, sync).await.expect("the sync ends");
    tx.commit().await.expect("a commit");
    rig.check_no_unfinished_work(&storage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_keeps_the_options() {
    let (rig, images) = with_images().await;
    rig.s3.create_bucket("out");
    let target = rig.export_storage(images.project, "out", json!({})).await;
    let options = json!({"mode": "all", "tasks": [7]});
    let sync = start(&rig, &target, None, Some(json!({"options": options}))).await;
    assert_eq!(rig.ended(sync).await["options"], options);
    let retried = rig.post(&format!("/api/syncs/{sync}/retry"), json!({})).await;
    assert_ne!(retried["id"], sync);
    assert_eq!(retried["options"], options);
    assert_eq!(rig.ended(retried["id"].as_i64().expect("an id")).await["status"], "completed");
}
