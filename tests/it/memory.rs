//! Bounded memory: a worker's memory does not depend on the number and size of objects.

use longshore_rig::heavy::{self, HEAVY_TASKS};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::Rig;
use longshore_rig::usage::peak_mib;
use serde_json::{Value, json};

const MIB: usize = 1024 * 1024;

/// Limit of a worker's peak memory in MiB. The objects in these tests are larger together.
const PEAK_MIB: u64 = 160;

/// Limit of a worker's peak memory in MiB with default settings.
const DEFAULT_PEAK_MIB: u64 = 256;

async fn end(rig: &Rig, sync: &Value) -> u64 {
    assert_eq!(sync["status"], "completed", "{sync}");
    let metrics = format!("{}/metrics", rig.workers[0].url());
    let metrics = reqwest::get(metrics).await.expect("metrics").text().await.expect("text");
    let reserved = metrics.lines().find_map(|line| line.strip_prefix("longshore_object_memory_bytes "));
    assert_eq!(reserved, Some("0"), "everything is given back");
    peak_mib(&rig.workers[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_holds_a_few_large_objects_at_a_time_however_many_there_are() {
    let rig = Rig::with().env("LONGSHORE_MEMORY_MB", "16").start().await;
    let content = json!({"text": "x".repeat(4 * MIB)}).to_string();
    let key = |n: usize| format!("{n:03}.json");
    rig.s3.put_many("large", (0..60).map(|n| (key(n), content.clone())));
    let storage = rig.import_storage(rig.project().await, "large", json!({})).await;
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &one_each((0..60).map(key)), &[]).await;
    let peak = end(&rig, &sync).await;
    assert!(peak <= PEAK_MIB, "{peak} MiB for 240 MiB of objects");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_holds_a_few_large_annotations_at_a_time_however_many_there_are() {
    let rig = Rig::with().env("LONGSHORE_MEMORY_MB", "16").start().await;
    let project = rig.project().await;
    let labels = "WITH task AS (INSERT INTO tasks (project_id, data, total_annotations)
                       SELECT $1, '{}', 1 FROM generate_series(1, 60) RETURNING id)
                  INSERT INTO annotations (task_id, project_id, result)
                       SELECT id, $1, jsonb_build_array(repeat('x', 4194304)) FROM task";
    rig.database().await.execute(labels, &[&project]).await.expect("annotations");
    for per_task in [false, true] {
        let bucket = format!("target-{per_task}");
        rig.s3.create_bucket(&bucket);
        let settings = json!({"export_tasks": per_task});
        let storage = rig.export_storage(project, &bucket, settings).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["counts"]["exported"], 60, "{sync}");
        assert_eq!(rig.s3.objects(&bucket).len(), 60);
        let peak = end(&rig, &sync).await;
        assert!(peak <= PEAK_MIB, "{peak} MiB for 240 MiB of bodies");
    }
}

/// After many rows without bytes a page asks for many at once, and all of those may be large.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_holds_a_few_large_annotations_also_behind_many_that_need_no_writing() {
    let rig = Rig::with().env("LONGSHORE_MEMORY_MB", "16").start().await;
    let project = rig.project().await;
    let db = rig.database().await;
    let labels = "WITH task AS (INSERT INTO tasks (project_id, data, total_annotations)
                       SELECT $1, '{}', 1 FROM generate_series(1, $2::int) RETURNING id)
                  INSERT INTO annotations (task_id, project_id, result)
                       SELECT id, $1, jsonb_build_array(repeat('x', $3::int)) FROM task";
    db.execute(labels, &[&project, &127, &1]).await.expect("annotations");
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(project, "target", json!({})).await;
    rig.sync_to_end(&storage).await;
    db.execute(labels, &[&project, &128, &1_900_000]).await.expect("annotations");
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["counts"]["exported"], 128, "{sync}");
    let peak = end(&rig, &sync).await;
    assert!(peak <= PEAK_MIB, "{peak} MiB for 243 MB of bodies");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_holds_a_few_pages_of_the_longest_keys_however_many_there_are() {
    let rig = Rig::start().await;
    let key = |n: usize| format!("{n:05}{}", "k".repeat(1_000));
    rig.s3.put_many("keys", (0..12_000).map(|n| (key(n), "")));
    let storage = rig.import_storage(rig.project().await, "keys", json!({"use_blob_urls": true})).await;
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &one_each((0..12_000).map(key)), &[]).await;
    let peak = end(&rig, &sync).await;
    assert!(peak <= PEAK_MIB, "{peak} MiB");
}

/// Goal: with default settings a worker stays below 256 MiB, whatever is in a bucket. Method: eight storages of heavy
/// objects at once on one worker, as many as it has slots.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_default_settings_stays_below_256_mib_whatever_it_reads() {
    let rig = Rig::start().await;
    let objects = heavy::objects();
    let project = rig.project().await;
    let mut syncs = Vec::new();
    for slot in 0..8 {
        let bucket = format!("heavy-{slot}");
        // Each storage has its share of every kind, in an order that mixes them.
        let share = objects.iter().enumerate().filter(|(n, _)| n % 8 == slot).map(|(_, object)| object.clone());
        rig.s3.put_many(&bucket, share);
        let storage = rig.import_storage(project, &bucket, json!({})).await;
        syncs.push(rig.sync(&storage).await);
    }
    let (mut created, mut quarantined) = (0, 0);
    for sync in syncs {
        let sync = rig.ended(sync).await;
        let count = |name: &str| sync["counts"][name].as_u64().expect("a count");
        created += count("created");
        quarantined += count("quarantined");
    }
    assert_eq!((created, quarantined), (HEAVY_TASKS, 24), "the rest is blank");
    let peak = peak_mib(&rig.workers[0]);
    assert!(peak < DEFAULT_PEAK_MIB, "{peak} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stays_below_256_mib_however_many_annotations_a_task_has() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    let db = rig.database().await;
    // Tasks with more annotations than a unit may have, and with bodies that are three times as long as their rows.
    for (count, megabytes, character) in [(8, 10, "x"), (10, 4, "\u{e9}")] {
        let labels =
            "WITH task AS (INSERT INTO tasks (project_id, data, total_annotations) VALUES ($1, '{}', 1) RETURNING id)
                      INSERT INTO annotations (task_id, project_id, result)
                           SELECT id, $1, jsonb_build_array(repeat($4, $3::int / octet_length($4)))
                             FROM task, generate_series(1, $2::int)";
        let bytes = megabytes * 1_000_000;
        db.execute(labels, &[&project, &count, &bytes, &character]).await.expect("annotations");
    }
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(project, "target", json!({"export_tasks": true})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    assert_eq!(rig.quarantine(&storage).await.len(), 2, "{sync}");
    let annotations = rig.export_storage(project, "target", json!({"prefix": "each"})).await;
    let sync = rig.sync_to_end(&annotations).await;
    assert_eq!((&sync["status"], &sync["counts"]["exported"]), (&json!("completed"), &json!(18)), "{sync}");
    let peak = peak_mib(&rig.workers[0]);
    assert!(peak < DEFAULT_PEAK_MIB, "{peak} MiB");
}
