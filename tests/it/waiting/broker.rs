//! Waits for the broker.

use longshore_local::s3::Op;
use longshore_rig::recovery::until_readiness_is;
use longshore_rig::rig::Rig;
use serde_json::json;

use super::{Follower, check_warnings, due_at, since, until_gauge, until_readyz_names, until_waiting};

/// Goal: a broker that takes no messages is named, and nothing is lost. Method: raise its memory alarm, then stop it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_no_messages_is_named_since_the_sync_was_requested() {
    let rig = Rig::with().own_servers().start().await;
    let mut images = rig.images("images", 10).await;
    let pids = rig.pids();
    let run_dir = rig.stack.run_dir();

    rig.stack.rabbitmq.set_memory_alarm(run_dir, true).await.expect("the alarm is raised");
    let sync = rig.sync(&images.storage).await;
    let shown = until_waiting(&rig, sync, "broker").await;
    assert_eq!((&shown["status"], since(&shown)), (&json!("queued"), due_at(&rig, sync).await), "{shown}");
    let (status, body) = until_readyz_names(&rig.schedulers[0], "broker").await;
    assert_eq!(status, 200, "the alarm may end at any time: {body}");
    until_gauge(&rig.schedulers[0], "longshore_syncs_waiting", "broker", true).await;
    let follower = Follower::start(&rig, sync);
    follower.until_printed("waiting for broker for ", 2).await;
    let shown = until_waiting(&rig, sync, "broker").await;
    assert!(shown["waiting_error"].as_str().expect("a text").contains("memory"), "{shown}");

    rig.stack.rabbitmq.set_memory_alarm(run_dir, false).await.expect("the alarm ends");
    rig.check_first_sync(&images, sync).await;
    assert_eq!(follower.ended().await, Some(0));
    until_gauge(&rig.schedulers[0], "longshore_syncs_waiting", "broker", false).await;

    // Stopped.
    rig.stack.rabbitmq.stop().await.expect("the broker stops");
    until_readiness_is(&rig.schedulers[0], false).await;
    let sync = rig.sync(&images.storage).await;
    let shown = until_waiting(&rig, sync, "broker").await;
    assert_eq!(since(&shown), due_at(&rig, sync).await, "{shown}");
    let error = shown["waiting_error"].as_str().expect("a text");
    assert!(error.contains("cannot be reached") && !error.contains("127.0.0.1"), "{error}");
    for app in [&rig.schedulers[0], &rig.workers[0]] {
        until_readyz_names(app, "broker").await;
        until_gauge(app, "longshore_wait_seconds", "broker", true).await;
        check_warnings(app, "broker");
    }
    rig.stack.rabbitmq.restart().await.expect("the broker starts again");
    rig.check_recovered(&pids).await;
    assert_eq!(rig.ended(sync).await["status"], "completed");
    rig.check_next_sync(&mut images).await;
    assert!(rig.s3.count(Op::List) >= 3);
}
