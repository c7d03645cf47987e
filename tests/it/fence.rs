//! The fence: an attempt writes nothing if the database is older than the last state that the attempt saw. This test
//! changes the rows by hand; module `failover` uses a standby.

use longshore_local::s3::{Op, When};
use longshore_rig::rig::{Rig, until};

/// One worker whose jobs run to their end.
async fn rig() -> Rig {
    Rig::with().env("LONGSHORE_QUANTUM_SECONDS", "600").env("LONGSHORE_LEASE_SECONDS", "3600").start().await
}

async fn commits_lost(rig: &Rig) -> String {
    let url = format!("{}/metrics", rig.workers[0].url());
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let text = client.get(url).send().await.expect("an answer").text().await.expect("metrics");
    text.lines().find_map(|line| line.strip_prefix("longshore_commits_lost_total ")).expect("the counter").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_behind_a_cursor_that_the_database_lost_is_not_written() {
    let rig = rig().await;
    let images = rig.images("lost", 3_500).await;
    let second = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&images.storage).await;
    second.reached().await;
    rig.until_counted(sync, "pages", 1).await;
    let db = rig.database().await;
    db.batch_execute("CREATE TABLE kept AS SELECT * FROM jobs").await.expect("a copy");
    let third = rig.s3.hold(When::op(Op::List).nth(1));
    second.release();
    third.reached().await;
    rig.until_counted(sync, "pages", 2).await;

    // As a standby that lacks the second page.
    db.batch_execute(
        "BEGIN;
         UPDATE jobs j SET cursor = k.cursor, commits = k.commits, pages = k.pages, listed = k.listed,
                matched = k.matched, imported = k.imported, created = k.created FROM kept k WHERE k.id = j.id;
         DELETE FROM tasks WHERE storage_key > '00999.png';
         DELETE FROM objects WHERE key > '00999.png';
         COMMIT",
    )
    .await
    .expect("the page is lost");
    third.release();
    rig.until_event(0, "commits_lost").await;
    rig.check_first_sync(&images, sync).await;
    assert_eq!(commits_lost(&rig).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_attempt_number_is_a_different_attempt() {
    let rig = rig().await;
    let images = rig.images("again", 2_500).await;
    let second = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&images.storage).await;
    second.reached().await;
    rig.until_counted(sync, "pages", 1).await;
    // Another worker has the same attempt of the same job, and then stops.
    rig.database().await.batch_execute("UPDATE jobs SET token = gen_random_uuid()").await.expect("another claim");
    second.release();
    until("the attempt ends, by its heartbeat or by its commit", || async {
        let log = rig.workers[0].process.log();
        ["lease_lost", "commits_lost"].iter().any(|event| log.contains(&format!("\"event\":\"{event}\""))).then_some(())
    })
    .await;
    rig.expire_leases(sync).await;
    rig.check_first_sync(&images, sync).await;
}
