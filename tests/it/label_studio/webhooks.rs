//! Webhooks: servers of users hear of imported tasks, as from Label Studio itself.

mod undefined;

use http::StatusCode;
use longshore_rig::rig::until;
use longshore_rig::webhook::{Received, Reply, WebhookServer};
use serde_json::{Value, json};

use super::{Twin, Twins};

impl Twins {
    /// Creates a webhook in Label Studio, of a project or of the organization.
    async fn webhook(&self, url: &str, project: Option<i64>, settings: Value) -> i64 {
        let mut body = json!({"url": url, "project": project});
        body.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
        self.studio.send("POST", "/api/webhooks/", Some(&body)).await["id"].as_i64().expect("an ID")
    }

    /// Waits until no delivery is left.
    async fn until_delivered(&self) {
        let db = self.rig.database().await;
        until("everything is delivered", async || {
            let left = "SELECT (SELECT count(*) FROM webhook_deliveries) + (SELECT count(*) FROM host_created_tasks)";
            (db.query_one(left, &[]).await.expect("tables").get::<_, i64>(0) == 0).then_some(())
        })
        .await;
    }

    /// Makes all deliveries due now.
    async fn make_deliveries_due(&self) {
        let db = self.rig.database().await;
        db.batch_execute("UPDATE webhook_deliveries SET due_at = now(); NOTIFY longshore_webhooks").await.expect("due");
    }

    /// Waits for this many requests for a path.
    async fn until_received(&self, server: &WebhookServer, path: &str, count: usize) -> Vec<Received> {
        until(&format!("{count} requests for {path}"), async || {
            let received = server.received(path);
            (received.len() >= count).then_some(received)
        })
        .await
    }
}

/// The `inner_id`s of the tasks in requests, in ascending order.
fn numbers(received: &[Received]) -> Vec<i64> {
    let tasks = received.iter().flat_map(|received| received.body["tasks"].as_array().into_iter().flatten());
    let mut numbers: Vec<i64> = tasks.filter_map(|task| task["inner_id"].as_i64()).collect();
    numbers.sort_unstable();
    numbers
}

/// A body without what differs between twin projects: IDs, times, and the order of the tasks.
fn normalized(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(tasks) = body["tasks"].as_array_mut() {
        tasks.sort_by_key(|task| task["inner_id"].as_i64());
        for task in tasks {
            for name in ["id", "project", "created_at", "updated_at"] {
                hide(&mut task[name]);
            }
        }
    }
    if body["project"].is_object() {
        // The vector has the ID.
        for name in ["id", "search_vector", "created_at", "updated_at"] {
            hide(&mut body["project"][name]);
        }
        assert!(body["project"]["token"].take().is_string(), "{body}");
    }
    body
}

/// Keeps the form of a time without its digits. Whole seconds have no fraction.
fn hide(value: &mut Value) {
    let is_digit = |c: char| c.is_ascii_hexdigit();
    *value = match &*value {
        Value::String(text) => text.replace(is_digit, "0").replace(".000000", "").into(),
        Value::Number(_) => "a number".into(),
        other => other.clone(),
    };
}

/// Goal: receivers cannot tell which sync sent a body. Method: twin projects with a webhook each, and a storage whose tasks
/// need the name of the label config.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_webhook_gets_the_body_that_label_studio_itself_sends() {
    let twins = Twins::start().await;
    let server = WebhookServer::start().await;
    twins.rig.s3.create_bucket("hooked");
    twins.rig.s3.create_bucket("labeled");
    twins.rig.s3.put_many("hooked", (0..3).map(|n| (format!("{n}.jpg"), "x")));
    let region =
        json!({"id": "r", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}});
    let item = json!({"data": {"image": "i", "n": [1.5, null, "ü"]}, "predictions": [{"result": [region]}], "annotations": [
        {"result": [region], "completed_by": 1}, {"result": [region], "ground_truth": true}, {"result": [], "was_cancelled": true}]});
    twins.rig.s3.put("labeled", "1.json", item.to_string().into_bytes());
    twins.rig.s3.put("labeled", "2.json", r#"{"image": "plain"}"#);

    for (bucket, settings) in [("hooked", json!({"use_blob_urls": true})), ("labeled", json!({}))] {
        let [theirs, ours] = [twins.import(bucket, settings.clone()).await, twins.import(bucket, settings).await];
        for (twin, path) in [(&theirs, format!("/theirs-{bucket}")), (&ours, format!("/ours-{bucket}"))] {
            twins
                .webhook(&server.url(&path), Some(twin.project), json!({"headers": {"X-Secret": "hook-secret"}}))
                .await;
        }
        twins.sync_theirs(&theirs).await;
        twins.sync_ours(&ours).await;
        let expected = twins.until_received(&server, &format!("/theirs-{bucket}"), 1).await;
        let seen = twins.until_received(&server, &format!("/ours-{bucket}"), 1).await;
        let (expected, seen) = (&expected[0], &seen[0]);
        let (their_body, our_body) = (normalized(&expected.body), normalized(&seen.body));
        assert_eq!(our_body["tasks"], their_body["tasks"], "{bucket}");
        assert_eq!(our_body, their_body, "{bucket}");
        for name in ["x-secret", "content-type"] {
            assert_eq!(seen.headers.get(name), expected.headers.get(name), "{name}");
        }
    }
    twins.until_delivered().await;
    assert!(!twins.rig.logs().contains("hook-secret"), "the logs have a header");
}

/// Goal: Label Studio's choice of webhooks. Method: one webhook of each form.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn each_active_webhook_of_the_project_or_its_organization_gets_what_it_asked_for() {
    let twins = Twins::start().await;
    let server = WebhookServer::start().await;
    twins.rig.s3.create_bucket("choice");
    twins.rig.s3.put_many("choice", (0..3).map(|n| (format!("{n}.jpg"), "x")));
    let ours = twins.import("choice", json!({"use_blob_urls": true})).await;
    let other = twins.import("choice", json!({"use_blob_urls": true})).await;
    let own = Some(ours.project);
    let some = |actions: &[&str]| json!({"send_for_all_actions": false, "actions": actions});
    twins.webhook(&server.url("/all"), own, json!({})).await;
    twins.webhook(&server.url("/created"), own, some(&["TASKS_CREATED"])).await;
    twins.webhook(&server.url("/deleted"), own, some(&["TASKS_DELETED"])).await;
    twins.webhook(&server.url("/bare"), own, json!({"send_payload": false})).await;
    twins.webhook(&server.url("/inactive"), own, json!({"is_active": false})).await;
    twins.webhook(&server.url("/other"), Some(other.project), json!({})).await;
    let organization = twins.webhook(&server.url("/organization"), own, json!({})).await;
    let db = twins.rig.database().await;
    let widen = "UPDATE public.webhook SET project_id = NULL WHERE id = $1::bigint";
    db.execute(widen, &[&organization]).await.expect("a webhook of the organization");
    // No address inside is reached, as with endpoints of storages.
    twins.webhook("http://169.254.169.254/latest", own, json!({})).await;

    twins.sync_ours(&ours).await;
    for path in ["/all", "/created", "/organization"] {
        let received = twins.until_received(&server, path, 1).await;
        assert_eq!((received.len(), numbers(&received)), (1, vec![1, 2, 3]), "{path}");
        assert_eq!(received[0].body["action"], "TASKS_CREATED");
    }
    let bare = twins.until_received(&server, "/bare", 1).await;
    assert_eq!(bare[0].body, json!({"action": "TASKS_CREATED"}));
    until("only the blocked delivery is left, and failed", async || {
        let rows = db.query("SELECT attempts FROM webhook_deliveries", &[]).await.expect("deliveries");
        (rows.len() == 1 && rows[0].get::<_, i32>(0) > 0).then_some(())
    })
    .await;
    for path in ["/deleted", "/inactive", "/other"] {
        assert!(server.received(path).is_empty(), "{path}");
    }
}

/// Goal: nothing is lost at any step. Method: a server that does not answer, a scheduler killed after it sent and before
/// it recorded that, a server that fails.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_delivery_is_sent_again_after_a_kill_or_a_failure_and_delays_no_other() {
    let mut twins = Twins::start().await;
    let server = WebhookServer::start().await;
    twins.rig.s3.create_bucket("again");
    twins.rig.s3.put_many("again", (0..5).map(|n| (format!("{n}.jpg"), "x")));
    let twin = twins.import("again", json!({"use_blob_urls": true})).await;
    server.reply("/slow", Reply::Hang);
    for _ in 0..8 {
        // More than there are places.
        twins.webhook(&server.url("/slow"), Some(twin.project), json!({})).await;
    }
    twins.webhook(&server.url("/quick"), Some(twin.project), json!({})).await;

    // The sync ends, and the other webhook hears of it, although all places hang.
    let storage = twins.sync_ours(&twin).await;
    assert_eq!(storage["status"], "completed", "{storage}");
    twins.until_received(&server, "/quick", 1).await;

    // Killed between send and record.
    twins.until_received(&server, "/slow", 8).await;
    twins.rig.schedulers[0].process.kill().await.expect("killed");
    server.reply("/slow", Reply::Status(StatusCode::SERVICE_UNAVAILABLE));
    let before = server.received("/slow").len();
    twins.make_deliveries_due().await;
    twins.rig.add_scheduler().await;
    // More than one request for each delivery: those that fail are repeated.
    until("a delivery is sent again after a failure", async || {
        twins.make_deliveries_due().await;
        (server.received("/slow").len() > before + 8).then_some(())
    })
    .await;

    server.reply("/slow", Reply::Status(StatusCode::NO_CONTENT));
    until("everything is delivered", async || {
        twins.make_deliveries_due().await;
        let db = twins.rig.database().await;
        let left = db.query_one("SELECT count(*) FROM webhook_deliveries", &[]).await.expect("a table");
        (left.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    for received in server.received("/slow").iter().chain(&server.received("/quick")) {
        assert_eq!(numbers(std::slice::from_ref(received)), [1, 2, 3, 4, 5]);
    }
}

/// Goal: a webhook that is down for good costs little. Method: its last attempt fails.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_delivery_that_fails_too_often_is_dropped_with_an_event_and_the_next_one_is_sent() {
    let twins = Twins::start().await;
    let server = WebhookServer::start().await;
    twins.rig.s3.create_bucket("down");
    let twin = twins.import("down", json!({"use_blob_urls": true})).await;
    twins.webhook(&server.url("/down?key=url-secret"), Some(twin.project), json!({})).await;
    server.reply("/down", Reply::Status(StatusCode::BAD_GATEWAY));
    let db = twins.rig.database().await;
    for object in ["1.jpg", "2.jpg"] {
        twins.rig.s3.put("down", object, "x");
        twins.sync_ours(&twin).await;
    }
    // Again, and meanwhile the second one waits for it.
    let received = until("the first delivery is sent again", async || {
        twins.make_deliveries_due().await;
        let received = server.received("/down");
        (received.len() >= 2).then_some(received)
    })
    .await;
    assert!(received.iter().all(|received| numbers(std::slice::from_ref(received)) == [1]), "one delivery at a time");
    let first = db.query_one("SELECT min(id) FROM webhook_deliveries", &[]).await.expect("deliveries");
    let first: i64 = first.get(0);
    let last_try = "UPDATE webhook_deliveries SET attempts = 9, due_at = now() WHERE id = $1";
    until("the first delivery is dropped", async || {
        db.execute(last_try, &[&first]).await.expect("deliveries");
        let left = db.query_one("SELECT count(*) FROM webhook_deliveries", &[]).await.expect("a table");
        (left.get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    server.reply("/down", Reply::Status(StatusCode::OK));
    until("the second one is sent", async || {
        twins.make_deliveries_due().await;
        let received = server.received("/down");
        (received.last().map(|last| numbers(std::slice::from_ref(last))) == Some(vec![2])).then_some(())
    })
    .await;
    twins.until_delivered().await;
    let logs = twins.rig.logs();
    assert!(logs.contains(r#""event":"webhook_dropped""#), "no event");
    assert!(!logs.contains("url-secret"), "the logs have the URL");
    let metrics =
        reqwest::get(format!("{}/metrics", twins.rig.url())).await.expect("an answer").text().await.expect("text");
    assert!(metrics.contains(r#"longshore_webhook_requests_total{outcome="dropped"} 1"#), "{metrics}");
}

/// Goal: a delivery whose attempts end without a record does not repeat forever. Method: as many attempts as schedulers that
/// died in them would leave.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_delivery_whose_attempts_never_ended_is_given_up() {
    let twins = Twins::start().await;
    let server = WebhookServer::start().await;
    twins.rig.s3.create_bucket("unfinished");
    twins.rig.s3.put("unfinished", "1.jpg", "x");
    let twin = twins.import("unfinished", json!({"use_blob_urls": true})).await;
    twins.webhook(&server.url("/unfinished"), Some(twin.project), json!({})).await;
    server.reply("/unfinished", Reply::Status(StatusCode::BAD_GATEWAY));
    twins.sync_ours(&twin).await;
    twins.until_received(&server, "/unfinished", 1).await;
    let db = twins.rig.database().await;
    db.batch_execute("UPDATE webhook_deliveries SET attempts = 10").await.expect("deliveries");
    until("the delivery is given up", async || {
        twins.make_deliveries_due().await;
        let left = db.query_one("SELECT count(*) FROM webhook_deliveries", &[]).await.expect("a table");
        (left.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    assert!(twins.rig.logs().contains("earlier attempts did not end"), "the log has the reason");
}

/// Goal: no body is larger than a server takes. Method: more tasks than a delivery has, and large ones.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn many_or_large_tasks_come_in_several_requests_and_each_task_once() {
    let twins = Twins::start().await;
    let server = WebhookServer::start().await;
    let twin = many(&twins).await;
    twins.webhook(&server.url("/many"), Some(twin.project), json!({})).await;
    twins.sync_ours(&twin).await;
    until("every task came", async || (numbers(&server.received("/many")).len() >= 5_512).then_some(())).await;
    twins.until_delivered().await;
    let received = server.received("/many");
    assert_eq!(numbers(&received), (1..=5_512).collect::<Vec<i64>>());
    for received in &received {
        assert!(received.body["tasks"].as_array().is_some_and(|tasks| tasks.len() <= 5_000));
        assert!(received.body.to_string().len() <= 10 * 1024 * 1024, "a body is too large");
    }
    // 5,000 tasks, and the others with 12 MiB.
    assert!(received.len() >= 3, "{} requests", received.len());
}

/// A storage with 5,500 small tasks and 12 of a megabyte.
async fn many(twins: &Twins) -> Twin {
    twins.rig.s3.create_bucket("many");
    let small = Value::from((0..5_500).map(|n| json!({"image": n.to_string()})).collect::<Vec<_>>()).to_string();
    twins.rig.s3.put("many", "small.json", small.into_bytes());
    let large = json!({"image": "x".repeat(1024 * 1024)}).to_string();
    twins.rig.s3.put_many("many", (0..12).map(|n| (format!("large{n:02}.json"), large.clone())));
    twins.import("many", json!({})).await
}
