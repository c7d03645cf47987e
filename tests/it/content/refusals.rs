//! Refusals of single objects are tried again at the end of the sync, and by the next sync.

use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_rig::rig::Rig;
use serde_json::{Value, json};

use super::{check_content, key, put_tasks, reads, storage};

const DENIED: Fault = Fault::Error(S3ErrorCode::AccessDenied);

fn counts<const N: usize>(sync: &Value, names: [&str; N]) -> [i64; N] {
    names.map(|name| sync["counts"][name].as_i64().unwrap_or_else(|| panic!("no counter {name}: {sync}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_pass_are_tried_again_at_the_end_of_the_sync() {
    for code in [S3ErrorCode::AccessDenied, S3ErrorCode::InvalidRequest] {
        let rig = Rig::start().await;
        let expected = put_tasks(&rig, 1_000);
        let storage = storage(&rig, json!({})).await;
        for n in 105..1_000 {
            rig.s3.fail(When::op(Op::Get).key(&key(n)).nth(1), Fault::Error(code.clone()));
        }
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed", "{sync}");
        rig.check_import(&storage, &sync, &expected, &[]).await;
        rig.check_first_counts(&sync, &expected, 0);
        check_content(&rig, &storage).await;
        assert_eq!(rig.s3.count(Op::Get), 1_895, "{}", code.as_str());
    }
}

/// Goal: even if the first answers of a storage are all refusals, it is asked once more before the sync fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_each_first_request_does_not_fail_the_sync() {
    let rig = Rig::start().await;
    let expected = put_tasks(&rig, 1_000);
    let storage = storage(&rig, json!({})).await;
    rig.s3.fail(When::op(Op::Get).nth(1).per_key(), DENIED);
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);
    assert_eq!(rig.s3.count(Op::Get), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_that_last_cost_one_more_request_per_object_and_sync() {
    let rig = Rig::start().await;
    let mut expected = put_tasks(&rig, 1_200);
    let storage = storage(&rig, json!({})).await;
    let denied: Vec<String> = (0..1_200).filter(|n| n % 2 == 1).map(key).collect();
    for key in &denied {
        rig.s3.fail(When::op(Op::Get).key(key), DENIED);
        expected.remove(key);
    }
    let names: Vec<&str> = denied.iter().map(String::as_str).collect();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    rig.check_import(&storage, &sync, &expected, &names).await;
    rig.check_first_counts(&sync, &expected, denied.len());
    assert!(denied.iter().all(|key| reads(&rig, key) == 2), "once during the sync, once at its end");

    rig.s3.clear_calls();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    rig.check_import(&storage, &sync, &expected, &names).await;
    assert_eq!(counts(&sync, ["imported", "existed", "quarantined", "matched"]), [0, 600, 600, 1_200]);
    assert!(rig.s3.count(Op::Get) <= 2 * denied.len(), "{} requests", rig.s3.count(Op::Get));

    rig.s3.clear_faults();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    expected.extend(denied.into_iter().map(|key| (key, 1)));
    rig.check_import(&storage, &sync, &expected, &[]).await;
    assert_eq!(counts(&sync, ["imported", "existed", "matched"]), [600, 600, 1_200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_object_that_leaves_the_bucket_before_the_end_of_the_sync_counts_as_vanished() {
    let rig = Rig::start().await;
    let mut expected = put_tasks(&rig, 20);
    let storage = storage(&rig, json!({})).await;
    for n in [4, 5] {
        rig.s3.fail(When::op(Op::Get).key(&key(n)).nth(1), DENIED);
    }
    rig.s3.before(When::op(Op::Get).key(&key(4)).nth(2), |buckets| {
        buckets.remove("tasks", &key(4));
    });
    let sync = rig.sync_to_end(&storage).await;
    expected.remove(&key(4));
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    assert_eq!(counts(&sync, ["imported", "vanished", "quarantined", "matched"]), [19, 1, 0, 20]);
}

/// Goal: the end of a sync survives a crash. Method: kill the worker while it reads a refused object again.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_tries_refused_objects_again_loses_and_doubles_nothing() {
    let mut rig = Rig::start().await;
    let expected = put_tasks(&rig, 60);
    let storage = storage(&rig, json!({})).await;
    for n in 20..60 {
        rig.s3.fail(When::op(Op::Get).key(&key(n)).nth(1), DENIED);
    }
    let hold = rig.s3.hold(When::op(Op::Get).key(&key(30)).nth(2));
    let sync = rig.sync(&storage).await;
    hold.reached().await;
    rig.workers[0].process.kill().await.expect("killed");
    hold.abandoned().await;
    hold.release();
    rig.add_worker().await;
    let sync = rig.ended(sync).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);
}

/// Goal: each refused object is tried once, however few of them fit into a quantum. Method: objects of which each is a
/// part of its own, or needs more memory than expected, and a quantum that ends with each part.
#[tokio::test(flavor = "multi_thread")]
async fn refused_objects_of_which_each_takes_a_quantum_are_tried_once_each() {
    let rig = Rig::with().env("LONGSHORE_QUANTUM_SECONDS", "0.001").start().await;
    let mut expected = put_tasks(&rig, 3);
    let large = json!({"text": "x".repeat(7 * 1024 * 1024)}).to_string();
    let many = format!("[{}]", vec!["{}"; 2_000].join(","));
    for n in 3..9 {
        rig.s3.put("tasks", &key(n), large.clone().into_bytes());
    }
    for n in 9..12 {
        rig.s3.put("tasks", &key(n), many.clone().into_bytes());
        expected.insert(key(n), 2_000);
    }
    let storage = storage(&rig, json!({})).await;
    for n in 3..9 {
        rig.s3.fail(When::op(Op::Get).key(&key(n)), DENIED);
    }
    for n in 9..12 {
        rig.s3.fail(When::op(Op::Get).key(&key(n)).nth(1), DENIED);
    }
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let denied: Vec<String> = (3..9).map(key).collect();
    let names: Vec<&str> = denied.iter().map(String::as_str).collect();
    rig.check_import(&storage, &sync, &expected, &names).await;
    rig.check_first_counts(&sync, &expected, 6);
    assert!(denied.iter().all(|key| reads(&rig, key) == 2), "once during the sync, once at its end");
}
