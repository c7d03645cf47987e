//! A broker that dies, loses or repeats messages, or delivers invalid ones. Messages only wake workers, so no work is
//! lost or done twice.

use std::collections::BTreeSet;

use longshore_local::s3::{Op, When};
use longshore_rig::amqp::AmqpHost;
use longshore_rig::recovery::until_readiness_is;
use longshore_rig::rig::{Rig, RigOptions, until};
use serde_json::json;

const QUEUES: [&str; 4] = ["longshore.import", "longshore.export", "longshore.requests", "longshore.dead"];

/// Every page is the last of its attempt, so that the rest of a sync needs another message.
fn page_by_page() -> RigOptions {
    Rig::with().env("LONGSHORE_QUANTUM_SECONDS", "0")
}

/// Waits until the broker has confirmed every message.
async fn until_all_is_sent(rig: &Rig) {
    let db = rig.database().await;
    until("the outbox is empty", || async {
        let row = db.query_one("SELECT count(*) FROM outbox", &[]).await.expect("the outbox");
        (row.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
}

/// Waits until workers have received this many messages without a due job.
async fn until_ignored(rig: &Rig, messages: usize) {
    until(&format!("{messages} messages are ignored"), || async {
        (rig.logs().matches("\"event\":\"nothing_to_claim\"").count() >= messages).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_in_mid_sync_and_started_again_loses_nothing() {
    let rig = page_by_page().own_servers().start().await;
    let (mut running, mut waiting) = (rig.images("running", 2_500).await, rig.images("waiting", 10).await);
    let pids = rig.pids();

    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&running.storage).await;
    second_page.reached().await;
    rig.stack.rabbitmq.kill().await.expect("the broker dies");
    for app in rig.schedulers.iter().chain(&rig.workers) {
        until_readiness_is(app, false).await;
    }

    // The API still accepts syncs, and workers commit their current pages.
    let later = rig.sync(&waiting.storage).await;
    second_page.release();
    rig.until_counted(sync, "pages", 2).await;

    rig.stack.rabbitmq.restart().await.expect("the broker starts again");
    rig.check_recovered(&pids).await;
    rig.check_first_sync(&running, sync).await;
    rig.check_first_sync(&waiting, later).await;
    rig.check_next_sync(&mut running).await;
    rig.check_next_sync(&mut waiting).await;
    assert_eq!(rig.pids(), pids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lost_everything_is_refilled() {
    let mut rig = page_by_page().workers(0).start().await;
    let mut buckets = [rig.images("one", 10).await, rig.images("two", 10).await, rig.images("three", 2_500).await];
    let mut syncs = Vec::new();
    for images in &buckets {
        syncs.push(rig.sync(&images.storage).await);
    }
    until_all_is_sent(&rig).await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    // A job that waits long enough gets another message.
    let waiting = BTreeSet::from_iter(host.waiting_in("longshore.import").await);
    assert_eq!(waiting.len(), buckets.len());

    for queue in QUEUES {
        rig.stack.rabbitmq.delete_queue(&rig.vhost, queue).await.expect("the queue goes with its messages");
    }
    rig.add_worker().await;
    for (images, sync) in buckets.iter_mut().zip(syncs) {
        rig.check_first_sync(images, sync).await;
        rig.check_next_sync(images).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_deleted_in_mid_sync_are_declared_again() {
    let rig = page_by_page().start().await;
    let (mut running, mut waiting) = (rig.images("running", 2_500).await, rig.images("waiting", 10).await);
    let pids = rig.pids();

    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&running.storage).await;
    second_page.reached().await;
    for queue in QUEUES {
        rig.stack.rabbitmq.delete_queue(&rig.vhost, queue).await.expect("the queue goes");
    }

    // The worker receives new jobs while it still holds a message of the deleted queue.
    let later = rig.sync(&waiting.storage).await;
    rig.check_first_sync(&waiting, later).await;
    second_page.release();
    rig.check_first_sync(&running, sync).await;
    until("every queue is there again", || async {
        let queues = rig.stack.rabbitmq.queues(&rig.vhost).await.expect("the broker answers");
        QUEUES.iter().all(|name| queues.iter().any(|queue| queue.name == *name)).then_some(())
    })
    .await;
    rig.check_next_sync(&mut running).await;
    rig.check_next_sync(&mut waiting).await;
    rig.check_recovered(&pids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_consume_from_a_queue_that_was_replaced_unnoticed() {
    let rig = Rig::start().await;
    let mut images = rig.images("images", 10).await;
    let pids = rig.pids();
    let queues = rig.stack.rabbitmq.queues(&rig.vhost).await.expect("the broker answers");
    let queue = queues.iter().find(|queue| queue.name == "longshore.import").expect("the queue of imports");

    AmqpHost::connect(&rig.amqp_url).await.replace(queue).await;
    let sync = rig.sync(&images.storage).await;
    rig.check_first_sync(&images, sync).await;
    rig.check_next_sync(&mut images).await;
    rig.check_recovered(&pids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_delivered_twice_changes_nothing() {
    // No rescuer: every message comes from the relay or the test.
    let jobs_to_the_end = Rig::with().env("LONGSHORE_QUANTUM_SECONDS", "600").env("LONGSHORE_RESCUE_SECONDS", "3600");
    let mut rig = jobs_to_the_end.workers(0).start().await;
    let mut images = rig.images("images", 2_500).await;
    let sync = rig.sync(&images.storage).await;
    until_all_is_sent(&rig).await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    let message = host.waiting_in("longshore.import").await.pop().expect("the job's message");

    // Before a claim: one of the two workers gets the job, once.
    host.send("longshore.import", message.as_bytes()).await;
    rig.s3.clear_calls();
    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    rig.add_worker().await;
    rig.add_worker().await;
    until_ignored(&rig, 1).await;

    // While a worker has the lease: neither worker starts the job again.
    second_page.reached().await;
    host.send("longshore.import", message.as_bytes()).await;
    host.send("longshore.import", message.as_bytes()).await;
    until_ignored(&rig, 3).await;
    second_page.release();
    rig.check_first_sync(&images, sync).await;

    // After its end.
    host.send("longshore.import", message.as_bytes()).await;
    until_ignored(&rig, 4).await;
    assert_eq!(rig.s3.count(Op::List), 3, "no page was listed twice");
    rig.check_first_sync(&images, sync).await;
    rig.check_next_sync(&mut images).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_unknown_jobs_are_dropped_and_unreadable_ones_dead_lettered() {
    let rig = Rig::start().await;
    let mut images = rig.images("images", 10).await;
    let host = AmqpHost::connect(&rig.amqp_url).await;

    let unknown = json!({"version": 1, "job": 4_000_000_000_i64, "kind": "import"}).to_string();
    let unreadable = [
        String::new(),
        "not JSON".to_owned(),
        json!([1, 2]).to_string(),
        json!({"version": 99, "job": 1, "kind": "import"}).to_string(),
        json!({"version": 1, "job": "one", "kind": "import"}).to_string(),
        "[".repeat(100_000),
    ];
    for queue in ["longshore.import", "longshore.export"] {
        host.send(queue, unknown.as_bytes()).await;
        for body in &unreadable {
            host.send(queue, body.as_bytes()).await;
        }
    }
    until_ignored(&rig, 2).await;
    let sync = rig.sync(&images.storage).await;
    rig.check_first_sync(&images, sync).await;

    let wanted: Vec<&str> = unreadable.iter().chain(&unreadable).map(String::as_str).collect();
    until("every unreadable message is in the dead letters", || async {
        let queues = rig.stack.rabbitmq.queues(&rig.vhost).await.expect("the broker answers");
        queues.iter().any(|queue| queue.name == "longshore.dead" && queue.messages == wanted.len() as u64).then_some(())
    })
    .await;
    let (mut dead, mut wanted) = (host.waiting_in("longshore.dead").await, wanted);
    dead.sort();
    wanted.sort_unstable();
    assert_eq!(dead, wanted);
    rig.check_next_sync(&mut images).await;
}
