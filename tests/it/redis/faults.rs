//! Redis servers that die, stall or repeat keys in the middle of a sync.

use longshore_rig::oracle::one_each;
use longshore_rig::proxy::{Direction, Mode, Proxy};
use longshore_rig::redis::{RedisServer, ScriptedRedis};
use longshore_rig::rig::{Rig, until};
use serde_json::{Value, json};

use super::{IMPORT, create, set, settings};

/// Waits until a job of a sync waits for a retry.
async fn until_put_aside(rig: &Rig, sync: i64) {
    until("the job is put aside", async || {
        let job = rig.get(&format!("/api/syncs/{sync}")).await["jobs"][0].clone();
        (job["state"] == "retryable" && job["reason"].is_string()).then_some(())
    })
    .await;
}

async fn filled(keys: usize) -> RedisServer {
    let server = RedisServer::start().await;
    let mut db = server.db(1).await;
    for n in 0..keys {
        set(&mut db, format!("tasks:{n}"), "{}").await;
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_mid_sync_only_delays_the_sync() {
    let server = filled(3_500).await;
    let rig = Rig::with().env("LONGSHORE_STORAGE_PATIENCE_SECONDS", "2").start().await;
    let storage = create(&rig, IMPORT, settings(&server, rig.project().await, json!({"path": "tasks:"}))).await;
    let expected = one_each((0..3_500).map(|n| format!("tasks:{n}")));

    let tasks = rig.freeze("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await;
    let sync = rig.sync(&storage).await;
    tasks.reached("COPY tasks").await;
    server.kill().await;
    tasks.release().await;
    until_put_aside(&rig, sync).await;
    // The server was restarted, so the cursor of the old one has no meaning.
    server.restart().await;
    rig.make_due(sync).await;
    let ended = rig.ended(sync).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    rig.check_import(&storage, &ended, &expected, &[]).await;
    rig.check_first_counts(&ended, &expected, 0);

    let again = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &again, &expected, &[]).await;
    assert_eq!((&again["counts"]["created"], &again["counts"]["existed"]), (&json!(0), &json!(3_500)), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_survives_every_fault_of_its_connection_to_redis() {
    let server = filled(2_500).await;
    let link = Proxy::start(([127, 0, 0, 1], server.port).into()).await.expect("a proxy");
    let rig = Rig::with().env("LONGSHORE_STORAGE_PATIENCE_SECONDS", "1").start().await;
    let project = rig.project().await;
    let expected = one_each((0..2_500).map(|n| format!("tasks:{n}")));
    let port = link.address().port().to_string();
    for fault in ["cut", "reset", "strand", "refuse", "stall", "black hole"] {
        let own = json!({"path": "tasks:", "port": port});
        let storage = create(&rig, IMPORT, settings(&server, project, own)).await;
        let tasks = rig.freeze("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await;
        let sync = rig.sync(&storage).await;
        tasks.reached("COPY tasks").await;
        let lasts = match fault {
            "cut" => {
                link.cut();
                false
            }
            "reset" => {
                link.reset();
                false
            }
            "strand" => {
                link.strand();
                false
            }
            "refuse" => {
                link.set(Mode::Refuse).await;
                link.cut();
                true
            }
            "stall" => {
                link.set(Mode::Stall(Direction::Both)).await;
                true
            }
            _ => {
                link.set(Mode::BlackHole).await;
                link.cut();
                true
            }
        };
        tasks.release().await;
        if lasts {
            until_put_aside(&rig, sync).await;
            link.set(Mode::Pass).await;
            rig.make_due(sync).await;
        }
        let ended = rig.ended(sync).await;
        assert_eq!(ended["status"], "completed", "{fault}: {ended}");
        rig.check_import(&storage, &ended, &expected, &[]).await;
        rig.check_first_counts(&ended, &expected, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_a_listing_repeats_are_imported_once() {
    let key = |n: usize| format!("k{n:04}");
    // Within a page, on the next page, and much later.
    let pages: Vec<Vec<String>> = [0..1_000, 500..1_500, 0..1_000, 1_400..2_400]
        .into_iter()
        .map(|range| range.clone().chain(range.take(10)).map(key).collect())
        .collect();
    let server = ScriptedRedis::start(pages).await;
    let rig = Rig::start().await;
    let project = rig.project().await;
    let own = json!({"project": project, "host": "127.0.0.1", "port": server.port.to_string()});
    for is_blob in [false, true] {
        let mut own: Value = own.clone();
        own["use_blob_urls"] = json!(is_blob);
        let storage = create(&rig, IMPORT, own).await;
        let sync = rig.sync_to_end(&storage).await;
        let expected = one_each((0..2_400).map(key));
        assert_eq!(sync["status"], "completed", "{sync}");
        rig.check_import(&storage, &sync, &expected, &[]).await;
        rig.check_first_counts(&sync, &expected, 0);
        assert_eq!(sync["jobs"][0]["failures"].as_i64().unwrap_or_default(), 0, "{sync}");
    }
}
