//! Bounded memory: what a worker holds does not grow with what it moves.

use std::fs;

use longshore_tests::oracle::one_each;
use longshore_tests::rig::Rig;
use serde_json::{Value, json};

const MIB: usize = 1024 * 1024;

/// A worker's peak. What passes through it in these tests is more, by far where pages are not bounded.
const PEAK_MIB: u64 = 160;

/// The most memory that the first worker ever had, as the kernel counts it.
fn peak_mib(rig: &Rig) -> u64 {
    let pid = rig.workers[0].process.pid().expect("a running worker");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the worker's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

async fn end(rig: &Rig, sync: &Value) -> u64 {
    assert_eq!(sync["status"], "completed", "{sync}");
    let metrics = format!("{}/metrics", rig.workers[0].url());
    let metrics = reqwest::get(metrics).await.expect("metrics").text().await.expect("text");
    let reserved = metrics.lines().find_map(|line| line.strip_prefix("longshore_object_memory_bytes "));
    assert_eq!(reserved, Some("0"), "everything is given back");
    peak_mib(rig)
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
