//! Schedulers that die at a bad moment, run concurrently, or start before their servers: every sync starts and ends
//! once.

use std::collections::BTreeMap;

use longshore_rig::proxy::{Direction, Mode};
use longshore_rig::recovery::until_readiness_is;
use longshore_rig::rig::{Rig, RigOptions, until};
use serde_json::Value;

/// Messages come only from the outbox.
fn without_rescuer() -> RigOptions {
    Rig::with().env("LONGSHORE_RESCUE_SECONDS", "3600")
}

/// Waits until a relay has locked all rows of the outbox; it keeps the locks until the broker confirms.
async fn until_on_the_way(rig: &Rig) {
    let db = rig.database().await;
    until("a relay waits for the broker's confirm", || async {
        let row = db
            .query_one(
                "SELECT (SELECT count(*) FROM outbox),
                        (SELECT count(*) FROM (SELECT 1 FROM outbox FOR UPDATE SKIP LOCKED) AS free)",
                &[],
            )
            .await
            .expect("the outbox");
        (row.get::<_, i64>(0) > 0 && row.get::<_, i64>(1) == 0).then_some(())
    })
    .await;
}

/// How many messages a scheduler counts as sent.
async fn sent(rig: &Rig, scheduler: usize) -> u64 {
    let url = format!("{}/metrics", rig.schedulers[scheduler].url());
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let text = client.get(url).send().await.expect("an answer").text().await.expect("metrics");
    let value = text.lines().find_map(|line| line.strip_prefix("longshore_messages_sent_total "));
    value.expect("the counter").parse().expect("a number")
}

/// The number of end events of each sync.
fn told_ends(rig: &Rig) -> BTreeMap<i64, usize> {
    let mut report = BTreeMap::new();
    for line in rig.schedulers.iter().flat_map(|app| app.process.log().lines().map(str::to_owned).collect::<Vec<_>>()) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        if line["event"] == "sync_ended" {
            let sync = line["sync.id"].as_i64().expect("a sync's id");
            *report.entry(sync).or_default() += 1;
        }
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_killed_between_commit_and_confirm_sends_again() {
    let rig = without_rescuer().start().await;
    // The relay cannot know whether the message or only its confirm was lost.
    for (way, bucket) in [(Direction::ToServer, "not-sent"), (Direction::ToClient, "sent")] {
        let mut images = rig.images(bucket, 1_500).await;
        let broker = &rig.scheduler_links.broker;
        broker.set(Mode::Stall(way)).await;
        let sync = rig.sync(&images.storage).await;
        until_on_the_way(&rig).await;
        rig.schedulers[0].process.kill().await.expect("the scheduler dies");
        broker.cut();
        broker.wait_for_connections(|open| open == 0).await;
        broker.set(Mode::Pass).await;

        rig.schedulers[0].process.start().expect("the scheduler starts again");
        rig.schedulers[0].until_ready().await.expect("the scheduler becomes ready again");
        rig.check_first_sync(&images, sync).await;
        rig.check_next_sync(&mut images).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_schedulers_share_the_work_and_one_continues_alone() {
    const SYNCS: u64 = 30;
    let mut rig = without_rescuer().schedulers(2).start().await;
    let mut buckets = Vec::new();
    for n in 0..SYNCS {
        // The other scheduler's API: what one has written, the other reads.
        rig.schedulers.swap(0, 1);
        buckets.push(rig.images(&format!("bucket-{n}"), 3).await);
    }
    let mut syncs = Vec::new();
    for images in &buckets {
        rig.schedulers.swap(0, 1);
        syncs.push(rig.sync(&images.storage).await);
    }
    for (images, sync) in buckets.iter().zip(&syncs) {
        rig.schedulers.swap(0, 1);
        rig.check_first_sync(images, *sync).await;
    }
    assert_eq!(sent(&rig, 0).await + sent(&rig, 1).await, SYNCS, "each message was sent, by one of them");
    until("every end was report", || async { (told_ends(&rig).len() == syncs.len()).then_some(()) }).await;
    assert_eq!(told_ends(&rig), syncs.iter().map(|sync| (*sync, 1)).collect(), "each end was report by one of them");

    // One dies while neither can send and a message is in flight.
    rig.scheduler_links.broker.set(Mode::Stall(Direction::ToServer)).await;
    let mut later = Vec::new();
    for images in &buckets {
        later.push(rig.sync(&images.storage).await);
        if later.len() == 1 {
            until_on_the_way(&rig).await;
        }
    }
    rig.schedulers[1].process.kill().await.expect("a scheduler dies");
    rig.scheduler_links.broker.set(Mode::Pass).await;
    for sync in later {
        let sync = rig.ended(sync).await;
        assert_eq!((&sync["status"], &sync["counts"]["existed"]), (&"completed".into(), &3.into()), "{sync}");
    }
    for images in &mut buckets[..3] {
        rig.check_next_sync(images).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_before_their_servers_become_ready_later() {
    let mut rig = Rig::with().schedulers(0).workers(0).start().await;
    for links in [&rig.scheduler_links, &rig.worker_links] {
        links.database.set(Mode::Refuse).await;
        links.broker.set(Mode::Refuse).await;
    }
    rig.spawn_scheduler();
    rig.spawn_worker();
    for app in [&rig.schedulers[0], &rig.workers[0]] {
        until_readiness_is(app, false).await;
    }
    let pids = rig.pids();

    // Then the ports are open, but the servers do not answer yet.
    for links in [&rig.scheduler_links, &rig.worker_links] {
        for link in [&links.database, &links.broker] {
            link.set(Mode::BlackHole).await;
            until("a process tries again", async || (link.connections() > 0).then_some(())).await;
        }
    }
    for links in [&rig.scheduler_links, &rig.worker_links] {
        links.database.set(Mode::Pass).await;
        links.broker.set(Mode::Pass).await;
    }
    rig.check_recovered(&pids).await;
    let mut images = rig.images("images", 10).await;
    let sync = rig.sync(&images.storage).await;
    rig.check_first_sync(&images, sync).await;
    rig.check_next_sync(&mut images).await;
}
