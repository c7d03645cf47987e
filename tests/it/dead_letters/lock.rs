//! The lock of the one reader of dead letters.

use std::time::Duration;

use longshore_db::exclusive::{self, Exclusive};
use longshore_db::{Check, Db};
use longshore_model::Secret;
use longshore_rig::rig::{Rig, until};

/// Goal: a reader that waits for the broker keeps its lock. Method: work that lasts three times as long as the database
/// lets an idle transaction live.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_keeps_its_lock_while_it_waits_for_the_broker() {
    let rig = Rig::with().workers(0).start().await;
    let patience = Duration::from_millis(500);
    let db = Db::new(&Secret::new(rig.database_url.as_str()), "reader", 1, patience, Check::Always).expect("a pool");
    let mut client = db.client().await.expect("a connection");
    let tx = client.transaction().await.expect("a transaction");
    exclusive::begin(&tx, Exclusive::DeadLetters).await.expect("the lock");
    let watcher = rig.database().await;
    let work = until("three times its life have passed, or it ended", async || {
        let age = "SELECT (now() - xact_start > interval '3 s') FROM pg_stat_activity
                    WHERE application_name = 'reader' AND datname = current_database() AND xact_start IS NOT NULL";
        match watcher.query_opt(age, &[]).await.expect("activity") {
            Some(row) => row.get::<_, bool>(0).then_some(true),
            None => Some(false),
        }
    });
    let is_held = exclusive::hold(&db, &tx, work).await.expect("the database answers");
    assert!(is_held, "the database ended the transaction");
    tx.commit().await.expect("it still has the lock");
}
