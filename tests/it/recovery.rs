//! A live worker keeps its jobs, or releases them as soon as its database answers. No test here waits for a lease or
//! for the rescuer, because both are set to an hour.

use longshore_local::s3::{Op, When};
use longshore_rig::amqp::AmqpHost;
use longshore_rig::proxy::Mode;
use longshore_rig::rig::{Rig, RigOptions, until};
use serde_json::json;

fn without_rescue() -> RigOptions {
    Rig::with().env("LONGSHORE_LEASE_SECONDS", "3600").env("LONGSHORE_RESCUE_SECONDS", "3600")
}

/// Ends every database connection of workers and schedulers.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                          WHERE datname = $1 AND application_name LIKE 'longshore-%'";

async fn terminate_connections(rig: &Rig) {
    rig.database().await.execute(TERMINATE, &[&rig.database_name()]).await.expect("connections end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_continues_after_its_connections_were_terminated_at_any_step() {
    let rig = without_rescue().start().await;
    let pids = rig.pids();
    let images = rig.images("terminated", 4_500).await;

    // While a page is listed; then in the middle of a commit.
    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&images.storage).await;
    second_page.reached().await;
    terminate_connections(&rig).await;
    let tasks = rig.freeze("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await;
    second_page.release();
    tasks.reached("COPY tasks").await;
    terminate_connections(&rig).await;
    tasks.release().await;

    rig.check_first_sync(&images, sync).await;
    rig.check_recovered(&pids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_is_found_by_its_worker() {
    let rig = without_rescue().start().await;
    let images = rig.images("claimed", 1_500).await;
    let broker = &rig.worker_links.broker;
    broker.set(Mode::Refuse).await;
    broker.cut();
    let sync = rig.sync(&images.storage).await;

    // The claim waits for the sync's row, its connection breaks, and then the claim succeeds.
    let row = rig.freeze("SELECT 1 FROM syncs FOR UPDATE").await;
    broker.set(Mode::Pass).await;
    row.reached("WITH due AS").await;
    rig.worker_links.database.cut();
    row.release().await;

    rig.check_first_sync(&images, sync).await;
    rig.until_event(0, "unknown_claims_released").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_continues_after_the_database_was_read_only_or_refused_connections() {
    let rig = without_rescue().start().await;
    let database = rig.database_name();
    let faults = [
        ("read-only", "SET default_transaction_read_only = on", "RESET default_transaction_read_only"),
        ("no-connections", "ALLOW_CONNECTIONS false", "ALLOW_CONNECTIONS true"),
    ];
    for (bucket, begin, end) in faults {
        let images = rig.images(bucket, 2_500).await;
        let second_page = rig.s3.hold(When::op(Op::List).nth(2));
        let sync = rig.sync(&images.storage).await;
        second_page.reached().await;
        let operator = operator(&rig, &database).await;
        operator.batch_execute(&format!("ALTER DATABASE \"{database}\" {begin}")).await.expect("the fault begins");
        let output = rig.workers[0].process.log().len();
        operator.execute(TERMINATE, &[&database]).await.expect("connections end");
        second_page.release();
        until("the worker knows", || async {
            rig.workers[0].process.log()[output..].contains("\"event\":\"database_unavailable\"").then_some(())
        })
        .await;
        operator.batch_execute(&format!("ALTER DATABASE \"{database}\" {end}")).await.expect("the fault ends");
        operator.execute(TERMINATE, &[&database]).await.expect("connections end");
        rig.check_first_sync(&images, sync).await;
    }
}

/// A connection to the server that no fault of the rig's database touches.
async fn operator(rig: &Rig, database: &str) -> tokio_postgres::Client {
    let url = rig.database_url.replace(&format!("/{database}"), "/postgres");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_continues_after_its_jobs_rows_were_locked() {
    let rig = without_rescue().env("LONGSHORE_DATABASE_PATIENCE_SECONDS", "1").start().await;
    let images = rig.images("locked", 2_500).await;
    let second_page = rig.s3.hold(When::op(Op::List).nth(2));
    let sync = rig.sync(&images.storage).await;
    second_page.reached().await;
    rig.until_counted(sync, "pages", 1).await;
    let jobs = rig.freeze("SELECT 1 FROM jobs FOR UPDATE").await;
    second_page.release();
    // Longer than the worker waits: it releases the job when the rows are free.
    rig.until_event(0, "commit_timed_out").await;
    jobs.release().await;
    rig.check_first_sync(&images, sync).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_its_database_leaves_messages_to_the_others() {
    let mut rig = without_rescue().start().await;
    let cut_off = rig.split_worker_links().await;
    cut_off.database.set(Mode::Refuse).await;
    cut_off.database.cut();
    rig.until_event(0, "database_unavailable").await;
    rig.add_worker().await;
    for n in 0..12 {
        let images = rig.images(&format!("small-{n}"), 20).await;
        let sync = rig.sync(&images.storage).await;
        rig.check_first_sync(&images, sync).await;
    }
    cut_off.database.set(Mode::Pass).await;
    rig.until_event(0, "consuming_resumed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_lost_beside_a_busy_queue_is_sent_again() {
    let mut rig = Rig::with().workers(0).start().await;
    let amqp = AmqpHost::connect(&rig.amqp_url).await;
    let images = rig.images("lost", 20).await;
    let sync = rig.sync(&images.storage).await;
    until_relayed(&rig, sync, 0).await;
    // Lost, while other messages keep the queue busy. They name jobs that do not exist.
    amqp.purge("longshore.import").await;
    for job in 1_000_000..1_000_050 {
        let message = json!({"version": 1, "job": job, "kind": "import"});
        amqp.send("longshore.import", message.to_string().as_bytes()).await;
    }
    until_relayed(&rig, sync, 1).await;
    rig.add_worker().await;
    rig.check_first_sync(&images, sync).await;
}

/// Waits until this many further messages of a sync's job are with the broker.
async fn until_relayed(rig: &Rig, sync: i64, resends: i32) {
    let relayed = "SELECT count(*) FROM jobs j WHERE sync_id = $1 AND resends >= $2
                      AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.job_id = j.id)";
    let db = rig.database().await;
    until("the broker has the message", || async {
        let row = db.query_one(relayed, &[&sync, &resends]).await.expect("jobs");
        (row.get::<_, i64>(0) == 1).then_some(())
    })
    .await;
}
