//! More workers, more speed: a job splits its range, and the new ranges cover it exactly once.

use std::collections::BTreeMap;

use longshore_local::s3::{Object, Op, When};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::Rig;
use serde_json::json;

async fn splitting_rig() -> Rig {
    Rig::with()
        .workers(2)
        .env("LONGSHORE_SPLIT_AFTER_PAGES", "1")
        .env("LONGSHORE_JOBS", "4")
        // An attempt a page: each one must find in the tables where its own part ends.
        .env("LONGSHORE_QUANTUM_SECONDS", "0")
        .start()
        .await
}

/// Imports a bucket of these keys and gives the number of jobs it took.
async fn jobs_for(rig: &Rig, bucket: &str, keys: Vec<String>) -> i64 {
    rig.s3.create_bucket(bucket);
    rig.s3.put_many(bucket, keys.iter().map(|key| (key.clone(), "x")));
    let project = rig.project().await;
    let storage = rig.import_storage(project, bucket, json!({"use_blob_urls": true})).await;
    let sync = rig.sync_to_end(&storage).await;
    let expected = one_each(keys);
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);
    assert_eq!(sync["counts"]["listed"], expected.len(), "each key is listed by one job alone: {sync}");
    let row = rig.database().await;
    row.query_one("SELECT count(*) FROM jobs WHERE sync_id = $1", &[&sync["id"].as_i64()]).await.expect("jobs").get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flat_prefix_is_shared_by_many_jobs_and_every_key_comes_once() {
    let rig = splitting_rig().await;
    let jobs = jobs_for(&rig, "digits", (0..12_000).map(|n| format!("img/{n:07}.jpg")).collect()).await;
    assert!(jobs > 2, "{jobs} jobs");
    let hashes = (0..6_000_u64).map(|n| format!("{:016x}.png", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    assert!(jobs_for(&rig, "hashes", hashes).await > 2);
    let folders = (1..=28).flat_map(|day| (0..300).map(move |n| format!("2026/02/{day:02}/фото {n}.jpg"))).collect();
    assert!(jobs_for(&rig, "folders", folders).await > 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_added_while_ranges_are_split_come_once() {
    let rig = splitting_rig().await;
    rig.s3.create_bucket("busy");
    let keys = |from: usize, step: usize| (from..8_000).step_by(step).map(|n| format!("{n:06}"));
    rig.s3.put_many("busy", keys(0, 2).map(|key| (key, "x")));
    // Odd numbers appear during the listing, everywhere in the key space.
    for nth in 2..8 {
        let new: Vec<String> = keys(1, 2).skip(nth).step_by(6).collect();
        rig.s3.before(When::op(Op::List).nth(nth), move |buckets| {
            buckets.put_many("busy", new.iter().map(|key| (key.clone(), Object::new("x"))));
        });
    }
    let project = rig.project().await;
    let storage = rig.import_storage(project, "busy", json!({"use_blob_urls": true})).await;
    rig.sync_to_end(&storage).await;
    // The second sync finds the keys that the first one missed.
    let second = rig.sync_to_end(&storage).await;
    let expected: BTreeMap<String, usize> = one_each(rig.s3.objects("busy").into_iter().map(|(key, _, _)| key));
    assert!(expected.len() > 4_000, "keys were added");
    rig.check_import(&storage, &second, &expected, &[]).await;
}
