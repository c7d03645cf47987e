//! Dead letters over a slow connection, and deletions while the broker or the database fails.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use longshore_rig::amqp::AmqpHost;
use longshore_rig::proxy::{Direction, Mode};
use longshore_rig::rig::{Rig, until};
use serde_json::json;
use tokio_postgres::Client;

use super::ids;

/// The two halves of the key of the lock that one reader of dead letters has.
const READER: &str = "locktype = 'advisory' AND classid = 1819242087 AND objid = 1684365668";

/// A rig with this many dead letters.
async fn with_letters(count: usize) -> (Rig, AmqpHost) {
    let rig = Rig::with().workers(0).start().await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    let bodies: Vec<String> = (0..count).map(|number| format!("letter {number}")).collect();
    for some in bodies.chunks(200) {
        join_all(some.iter().map(|body| host.send("longshore.dead", body.as_bytes()))).await;
    }
    (rig, host)
}

/// Goal: the number of letters does not decide whether they can be read. Method: an answer of the broker takes so long
/// that one request after the other would need more than the 30 seconds that a reader has.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_dead_letters_are_read_and_deleted_over_a_slow_connection() {
    const COUNT: usize = 2_000;
    let (rig, host) = with_letters(COUNT).await;
    rig.scheduler_links.broker.set(Mode::Lag(Duration::from_millis(20))).await;
    let last = rig.get(&format!("/api/dead-letters?skip={}", COUNT - 3)).await;
    let bodies: Vec<&str> = last["dead_letters"]
        .as_array()
        .expect("letters")
        .iter()
        .map(|letter| letter["body"].as_str().expect("a body"))
        .collect();
    assert_eq!(bodies, ["letter 1997", "letter 1998", "letter 1999"], "in the order of the queue");
    assert_eq!((&last["count"], &last["next_skip"]), (&json!(COUNT), &json!(null)));

    let path = format!("/api/dead-letters?ids={}", ids(&last).join(","));
    let (status, deleted) = rig.call("DELETE", &path, None).await;
    assert_eq!((status, &deleted), (200, &json!({"deleted": 3, "missing": []})), "{deleted}");
    rig.scheduler_links.broker.set(Mode::Pass).await;
    let left = BTreeSet::from_iter(host.waiting_in("longshore.dead").await);
    assert_eq!(left, (0..COUNT - 3).map(|number| format!("letter {number}")).collect());
}

/// Lets the entry in the audit wait, which is written between the reading and the deletion. Returns the connection that
/// holds it up.
async fn hold_audit(rig: &Rig) -> Client {
    let db = rig.database().await;
    let hold = "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END';
                CREATE TRIGGER hold BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION public.hold();
                SELECT pg_advisory_lock(7)";
    db.batch_execute(hold).await.expect("a trigger");
    db
}

async fn until_audit_waits(db: &Client) {
    until("the entry waits", async || {
        let waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted
                          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        db.query_opt(waiting, &[]).await.expect("locks")
    })
    .await;
}

async fn release_audit(db: &Client) {
    db.batch_execute("SELECT pg_advisory_unlock(7)").await.expect("released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_the_broker_did_not_get_is_not_reported() {
    let (rig, host) = with_letters(3).await;
    let path = format!("/api/dead-letters?ids={}", ids(&rig.get("/api/dead-letters").await).join(","));
    let db = hold_audit(&rig).await;
    let deletion = rig.call("DELETE", &path, None);
    let loss = async {
        until_audit_waits(&db).await;
        // The connection ends by its heartbeats, and nothing that is sent from now on arrives.
        rig.scheduler_links.broker.set(Mode::Stall(Direction::Both)).await;
        release_audit(&db).await;
    };
    let ((status, body), ()) = tokio::join!(deletion, loss);
    assert_eq!(status, 503, "{body}");
    rig.scheduler_links.broker.cut();
    rig.scheduler_links.broker.set(Mode::Pass).await;
    until("the broker has them back", async || (host.waiting_in("longshore.dead").await.len() == 3).then_some(()))
        .await;
}

/// Goal: what was deleted is reported. Method: the database ends the connection with the lock before the deletion.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_reported_although_the_database_lost_the_lock_meanwhile() {
    for all in [false, true] {
        let (rig, host) = with_letters(3).await;
        let path = match all {
            true => "/api/dead-letters?all=true".to_owned(),
            false => format!("/api/dead-letters?ids={}", ids(&rig.get("/api/dead-letters").await).join(",")),
        };
        let db = hold_audit(&rig).await;
        let deletion = rig.call("DELETE", &path, None);
        let loss = async {
            until_audit_waits(&db).await;
            let end = format!(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE {READER} AND granted
                                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            );
            assert!(db.query_one(&end, &[]).await.expect("one reader").get::<_, bool>(0));
            release_audit(&db).await;
        };
        let ((status, body), ()) = tokio::join!(deletion, loss);
        assert_eq!((status, &body["deleted"]), (200, &json!(3)), "{body}");
        assert_eq!(host.waiting_in("longshore.dead").await, [] as [&str; 0]);
    }
}
