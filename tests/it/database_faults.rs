//! A database that becomes unavailable in the middle of a sync: all processes wait for it and then continue.

use longshore_local::s3::{Op, When};
use longshore_rig::recovery::until_readiness_is;
use longshore_rig::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn processes_wait_for_a_database_killed_or_restarted_in_mid_sync() {
    let rig = Rig::with().own_servers().start().await;
    let pids = rig.pids();

    // Killed while a worker is inside the transaction of its second page.
    let mut killed = rig.images("killed", 2_500).await;
    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&killed.storage).await;
    rig.until_counted(sync, "pages", 1).await;
    let tasks = rig.freeze("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await;
    second_page.release();
    tasks.reached("COPY").await;
    rig.stack.postgres.kill().await.expect("the database dies");
    drop(tasks);
    for app in rig.schedulers.iter().chain(&rig.workers) {
        until_readiness_is(app, false).await;
    }
    rig.stack.postgres.restart().await.expect("the database starts again");
    rig.check_recovered(&pids).await;
    rig.check_first_sync(&killed, sync).await;
    rig.check_next_sync(&mut killed).await;

    // Restarted while a worker waits for a listing.
    let mut restarted = rig.images("restarted", 2_500).await;
    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&restarted.storage).await;
    second_page.reached().await;
    rig.stack.postgres.restart().await.expect("the database starts again");
    second_page.release();
    rig.check_recovered(&pids).await;
    rig.check_first_sync(&restarted, sync).await;
    rig.check_next_sync(&mut restarted).await;

    // Unavailable for longer than a lease, with running and waiting jobs.
    let mut away = rig.images("away", 2_500).await;
    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&away.storage).await;
    second_page.reached().await;
    rig.stack.postgres.stop().await.expect("the database stops");
    second_page.release();
    rig.until_event(0, "attempt_end_not_written").await;
    rig.stack.postgres.restart().await.expect("the database starts again");
    rig.check_recovered(&pids).await;
    rig.check_first_sync(&away, sync).await;
    rig.check_next_sync(&mut away).await;
    rig.check_next_sync(&mut killed).await;
    assert_eq!(rig.pids(), pids);
}
