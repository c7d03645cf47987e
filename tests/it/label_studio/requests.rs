//! Requests for syncs by other ways than the Sync button: SQL, AMQP, retries and replays.

use longshore_local::s3::{Op, When};
use longshore_rig::amqp::AmqpHost;
use longshore_rig::rig::until;
use serde_json::{Value, json};

use super::{Twin, Twins};

impl Twins {
    /// The ID of the storage's handle, by which SQL and AMQP name it.
    async fn handle(&self, twin: &Twin) -> i64 {
        let storage = self.rig.get(&format!("/api/storages/s3/{}", twin.storage)).await;
        storage["handle"].as_i64().expect("a handle")
    }

    /// Asks for a sync by SQL, and returns its ID.
    async fn ask_by_sql(&self, handle: i64) -> i64 {
        let text = "SELECT longshore.enqueue_sync('s3', 'import', $1)";
        self.rig.database().await.query_one(text, &[&handle]).await.expect("a sync").get(0)
    }

    /// Asks for a sync by AMQP, and returns the message.
    async fn ask_by_amqp(&self, handle: i64) -> String {
        let request = json!({"version": 1, "kind": "s3", "direction": "import", "storage": handle}).to_string();
        AmqpHost::connect(&self.rig.amqp_url).await.publish("longshore.requests", request.as_bytes()).await;
        request
    }

    /// The newest sync of a storage.
    async fn newest(&self, handle: i64) -> Value {
        self.rig.get(&format!("/api/syncs?storage={handle}&limit=1")).await["syncs"][0].clone()
    }

    /// The status of the storage as Label Studio shows it.
    async fn status(&self, twin: &Twin) -> Value {
        self.studio.send("GET", &format!("/api/storages/s3/{}", twin.storage), None).await["status"].clone()
    }

    /// Checks that Label Studio starts no sync, because one of ours has the storage.
    async fn check_kept(&self, twin: &Twin, sync: &str) {
        let theirs = self.sync_theirs(twin).await;
        assert!(theirs["status"] == "queued" || theirs["status"] == "in_progress", "{sync} has it: {theirs}");
    }

    async fn check_completed(&self, sync: i64, by: &str, created: i64) {
        let ended = self.rig.ended(sync).await;
        let seen = (&ended["status"], &ended["requested_by"], &ended["counts"]["created"]);
        assert_eq!(seen, (&json!("completed"), &json!(by), &json!(created)), "{ended}");
    }
}

/// Goal: each way to ask for a sync takes the storage from Label Studio. Method: one new object for each way.
/// While no worker runs, the storage is taken by the request itself; SQL does not see Label Studio, so its sync takes the
/// storage when its first job starts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn syncs_asked_by_sql_amqp_retry_and_replay_keep_label_studio_from_syncing() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("asked");
    let task = json!({"data": {"image": "s3://x/1.jpg"}}).to_string();
    let put = |key: &str, text: &str| twins.rig.s3.put_many("asked", [(key.to_owned(), text.to_owned())]);
    put("0.json", &task);
    let twin = twins.import("asked", json!({})).await;
    let handle = twins.handle(&twin).await;

    let listing = twins.rig.s3.hold(Op::List);
    let by_sql = twins.ask_by_sql(handle).await;
    listing.reached().await;
    twins.check_kept(&twin, "a sync by SQL").await;
    listing.release();
    twins.check_completed(by_sql, "sql", 1).await;
    until("its end is shown", async || (twins.status(&twin).await == "completed").then_some(())).await;

    twins.rig.stop_worker(0).await;
    put("1.json", &task);
    twins.ask_by_amqp(handle).await;
    until("the storage is queued", async || (twins.status(&twin).await == "queued").then_some(())).await;
    twins.check_kept(&twin, "a sync by AMQP").await;
    twins.rig.wake_worker(0);
    let by_amqp = twins.newest(handle).await["id"].as_i64().expect("an ID");
    twins.check_completed(by_amqp, "amqp", 1).await;

    put("2.json", &task);
    put("3.json", "no JSON");
    twins.rig.stop_worker(0).await;
    let retry = twins.rig.post(&format!("/api/syncs/{by_amqp}/retry"), json!({})).await;
    twins.check_kept(&twin, "a retry").await;
    twins.rig.wake_worker(0);
    let retry = twins.rig.ended(retry["id"].as_i64().expect("an ID")).await;
    let seen = (&retry["status"], &retry["requested_by"]);
    assert_eq!(seen, (&json!("completed_with_errors"), &json!("retry")), "{retry}");

    put("3.json", &task);
    twins.rig.stop_worker(0).await;
    let replay = twins.rig.post("/api/quarantine/replay", json!({"storage": handle})).await;
    assert_eq!(replay["count"], 1, "{replay}");
    twins.check_kept(&twin, "a replay").await;
    twins.rig.wake_worker(0);
    twins.check_completed(replay["syncs"][0].as_i64().expect("an ID"), "replay", 1).await;
    assert_eq!(twins.rows(&twin).await["tasks"].as_array().map(Vec::len), Some(4));
}

/// Goal: no request starts a second sync, and each says why not. Method: all ask while Label Studio lists the bucket.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn while_label_studio_syncs_requests_by_sql_amqp_retry_and_replay_say_so() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("theirs");
    twins.rig.s3.put_many("theirs", [("0.json", "no JSON")]);
    let twin = twins.import("theirs", json!({})).await;
    let handle = twins.handle(&twin).await;
    twins.sync_ours(&twin).await;
    let first = twins.newest(handle).await["id"].as_i64().expect("an ID");
    let task = json!({"data": {"image": "s3://x/1.jpg"}}).to_string();
    twins.rig.s3.put_many("theirs", [("0.json", task)]);

    let listing = twins.rig.s3.hold(Op::List);
    let ask = async {
        listing.reached().await;
        let by_sql = twins.ask_by_sql(handle).await;
        let ended = twins.rig.ended(by_sql).await;
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("failed"), &json!("sync_live")), "{ended}");

        let message = twins.ask_by_amqp(handle).await;
        let host = AmqpHost::connect(&twins.rig.amqp_url).await;
        until("the request is a dead letter", async || {
            (host.waiting_in("longshore.dead").await == [message.as_str()]).then_some(())
        })
        .await;
        assert!(twins.rig.logs().contains("Label Studio itself is syncing this storage"), "the log has the reason");

        let retry = (format!("/api/syncs/{first}/retry"), json!({}));
        let replay = ("/api/quarantine/replay".to_owned(), json!({"storage": handle}));
        for (path, body) in [retry, replay] {
            let (status, body) = twins.rig.call("POST", &path, Some(body)).await;
            assert_eq!((status, &body["code"]), (400, &json!("sync_live")), "{path}: {body}");
        }
        assert_eq!(twins.newest(handle).await["id"], by_sql, "nothing else started");
        let quarantine = twins.rig.get(&format!("/api/quarantine?storage={handle}")).await;
        assert_eq!(quarantine["quarantine"][0]["state"], "open", "{quarantine}");
        listing.release();
    };
    let (theirs, ()) = tokio::join!(twins.sync_theirs(&twin), ask);
    assert_eq!((&theirs["status"], &theirs["last_sync_count"]), (&json!("completed"), &json!(1)), "{theirs}");
    assert_eq!(twins.rows(&twin).await["tasks"].as_array().map(Vec::len), Some(1));
}

/// Goal: a sync that lost its storage is in the way of no new one. Method: the worker of the first sync stays stopped, so
/// only the request can end it. Label Studio syncs in between.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_request_ends_a_sync_that_lost_its_storage_and_starts_a_new_one() {
    let mut twins = Twins::with(|options| options.env("LONGSHORE_LEASE_SECONDS", "600")).await;
    twins.rig.s3.create_bucket("lost");
    let task = json!({"data": {"image": "s3://x/1.jpg"}}).to_string();
    twins.rig.s3.put_many("lost", [("0.json", task.clone()), ("1.json", task.clone())]);
    let twin = twins.import("lost", json!({})).await;
    let handle = twins.handle(&twin).await;
    let reading = twins.rig.s3.hold(When::op(Op::Get).key("1.json"));
    let lost = twins.ask_by_sql(handle).await;
    reading.reached().await;
    until("it is in progress", async || (twins.status(&twin).await == "in_progress").then_some(())).await;
    twins.rig.stop_worker(0).await;
    reading.release();

    // As after 25 s of silence, in which Label Studio took the sync for dead.
    let freed = "UPDATE public.io_storages_s3importstorage SET status = 'failed',
                        meta = meta || '{\"time_queued\": \"2026-01-01 00:00:00.000000+00:00\"}' WHERE id = $1::bigint";
    twins.rig.database().await.execute(freed, &[&twin.storage]).await.expect("a storage");
    let theirs = twins.sync_theirs(&twin).await;
    assert_eq!((&theirs["status"], &theirs["last_sync_count"]), (&json!("completed"), &json!(2)), "{theirs}");

    twins.rig.s3.put_many("lost", [("2.json", task)]);
    twins.rig.add_worker().await;
    let ours = twins.sync_ours(&twin).await;
    assert_eq!((&ours["status"], &ours["last_sync_count"]), (&json!("completed"), &json!(1)), "{ours}");
    let ended = twins.rig.ended(lost).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("failed"), &json!("taken_over")), "{ended}");
    twins.rig.wake_worker(0);
    assert_eq!(twins.rows(&twin).await["tasks"].as_array().map(Vec::len), Some(3));
}
