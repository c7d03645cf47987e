//! A Redis server that sends more than it was asked for.

use longshore_db::scanned_keys;
use longshore_rig::oracle::one_each;
use longshore_rig::redis::{Attack, RedisServer, ScriptedRedis};
use longshore_rig::rig::Rig;
use serde_json::json;

use super::{IMPORT, counts, create, run, set, settings};

/// Answers to `SCAN` have at most 16 MiB, and a call is tried four times. The rest is in the buffers of the sockets.
const MOST_TAKEN: u64 = 4 * (16 + 8) * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_end_of_a_hostile_server_end_the_sync_and_fill_no_memory() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    for command in ["SCAN", "GETRANGE", "STRLEN"] {
        for attack in Attack::ALL {
            let server = ScriptedRedis::start(vec![vec!["a".to_owned(), "b".to_owned()]]).await;
            let own = json!({"project": project, "host": "127.0.0.1", "port": server.port.to_string()});
            let storage = create(&rig, IMPORT, own).await;
            server.attack(command, *attack);
            let sync = rig.sync_to_end(&storage).await;
            assert_eq!(
                (&sync["status"], &sync["reason"]),
                (&json!("failed"), &json!("bad_answer")),
                "{command}: {sync}"
            );
            assert!(server.sent() <= MOST_TAKEN, "{command} {attack:?}: {} bytes", server.sent());
        }
    }
    // The worker serves others.
    let server = RedisServer::start().await;
    set(&mut server.db(1).await, "t", "{}").await;
    let storage = create(&rig, IMPORT, settings(&server, project, json!({}))).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_scan_repeats_are_counted_once() {
    let key = |n: usize| format!("k{n:04}");
    // Within a page, on the next page, and much later.
    let pages: Vec<Vec<String>> = [0..1_000, 500..1_500, 0..1_000, 1_400..2_400]
        .into_iter()
        .map(|range| range.clone().chain(range.take(10)).map(key).collect())
        .collect();
    let server = ScriptedRedis::start(pages).await;
    let rig = Rig::start().await;
    let own = json!({"project": rig.project().await, "host": "127.0.0.1", "port": server.port.to_string()});
    let storage = create(&rig, IMPORT, own).await;
    let expected = one_each((0..2_400).map(key));
    for (created, existed) in [(2_400, 0), (0, 2_400)] {
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed", "{sync}");
        rig.check_import(&storage, &sync, &expected, &[]).await;
        assert_eq!(
            counts(&sync, ["listed", "matched", "created", "existed"]),
            [2_400, 2_400, created, existed],
            "{sync}"
        );
    }
    // What the pruner does every ten minutes. Keys of a job that has not ended stay.
    let db = rig.database().await;
    let open = "WITH job AS (INSERT INTO jobs (sync_id, kind) SELECT max(sync_id), 'import' FROM jobs RETURNING id)
                INSERT INTO scanned_keys SELECT id, gen_random_uuid() FROM job";
    db.execute(open, &[]).await.expect("a job with a key");
    let (pool, mut batches) = (rig.pool(), Vec::new());
    let client = pool.client().await.expect("a connection");
    loop {
        batches.push(scanned_keys::prune(&client, 1_000).await.expect("pruned"));
        if batches.last() == Some(&0) {
            break;
        }
    }
    assert_eq!(batches, [1_000, 1_000, 400, 1_000, 1_000, 400, 0]);
    let left = db.query_one("SELECT count(*) FROM scanned_keys", &[]).await.expect("a table");
    assert_eq!(left.get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_value_that_left_the_database_leaves_the_quarantine() {
    let (rig, server) = (Rig::start().await, RedisServer::start().await);
    let mut db = server.db(1).await;
    for n in 0..1_500 {
        set(&mut db, format!("tasks:{n}"), "{}").await;
    }
    for key in ["tasks:bad-1", "tasks:bad-2"] {
        set(&mut db, key, "{").await;
    }
    run(&mut db, "RPUSH tasks:list x").await;
    let storage = create(&rig, IMPORT, settings(&server, rig.project().await, json!({"path": "tasks:"}))).await;
    rig.sync_to_end(&storage).await;
    assert_eq!(rig.quarantine(&storage).await.len(), 3);
    run(&mut db, "DEL tasks:bad-1 tasks:list").await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(counts(&sync, ["existed", "still_quarantined"]), [1_500, 1], "{sync}");
    let left = rig.quarantine(&storage).await;
    assert_eq!((left.len(), &left[0]["key"]), (1, &json!("tasks:bad-2")));
}
