//! A storage that fails: transient errors are retried, permanent ones are reported, and no task is lost or duplicated.

use std::collections::BTreeMap;

use longshore_local::s3::{Fault, Object, Op, S3ErrorCode, When};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{ACCESS_KEY_ID, FRESH_ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle, until};
use serde_json::{Value, json};

fn images(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("{n:05}.png"))
}

fn put_images(rig: &Rig, bucket: &str, count: usize) -> BTreeMap<String, usize> {
    rig.s3.put_many(bucket, images(count).map(|key| (key, "pixels")));
    one_each(images(count))
}

fn put_tasks(rig: &Rig, bucket: &str, count: usize) -> BTreeMap<String, usize> {
    let keys = || (0..count).map(|n| format!("{n:03}.json"));
    rig.s3.put_many(bucket, keys().map(|key| (key.clone(), json!({"text": key}).to_string())));
    one_each(keys())
}

/// A storage in a new project, in blob mode.
async fn blobs(rig: &Rig, bucket: &str) -> StorageHandle {
    let project = rig.project().await;
    rig.import_storage(project, bucket, json!({"use_blob_urls": true})).await
}

/// A storage in a new project, in JSON mode.
async fn tasks(rig: &Rig, bucket: &str) -> StorageHandle {
    let project = rig.project().await;
    rig.import_storage(project, bucket, json!({})).await
}

async fn check_first(rig: &Rig, storage: &StorageHandle, sync: &Value, expected: &BTreeMap<String, usize>) {
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(storage, sync, expected, &[]).await;
    rig.check_first_counts(sync, expected, 0);
}

/// Checks that a second sync finds everything as the first left it.
async fn check_second(rig: &Rig, storage: &StorageHandle, expected: &BTreeMap<String, usize>) {
    let again = rig.sync_to_end(storage).await;
    assert_eq!(again["status"], "completed", "{again}");
    assert_eq!((&again["counts"]["created"], &again["counts"]["existed"]), (&json!(0), &json!(expected.len())));
    rig.check_import(storage, &again, expected, &[]).await;
}

/// Checks that a sync failed, and that its storage shows the reason and advice.
async fn check_failed(rig: &Rig, storage: &StorageHandle, sync: &Value, reason: &str, advice: &str) {
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!(reason)), "{sync}");
    assert!(sync["jobs"][0]["state"] == "discarded" && sync["jobs"][0]["reason"] == reason, "{sync}");
    rig.check_no_unfinished_work(storage).await;
    let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    assert_eq!(shown["status"], "failed", "{shown}");
    let traceback = shown["traceback"].as_str().unwrap_or_default();
    assert!(traceback.starts_with(advice), "{traceback}");
    assert!(!traceback.contains(SECRET_ACCESS_KEY) && !traceback.contains("Some("), "{traceback}");
}

/// Waits until the only job of a sync waits for a retry, and returns the seconds and the reason.
async fn retryable(rig: &Rig, sync: i64) -> (f64, String) {
    let db = rig.database().await;
    until("the job waits to be tried again", || async {
        let row = db
            .query_opt(
                "SELECT extract(epoch FROM j.due_at - now())::float8, j.reason FROM jobs j JOIN outbox o ON o.job_id = j.id
                  WHERE j.sync_id = $1 AND j.state = 'retryable' AND o.due_at = j.due_at",
                &[&sync],
            )
            .await
            .expect("jobs");
        row.map(|row| (row.get(0), row.get(1)))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_storage_error_costs_one_more_request_and_no_attempt() {
    let rig = Rig::start().await;
    let expected = put_images(&rig, "images", 1_100);
    for fault in [
        Fault::Error(S3ErrorCode::InternalError),
        Fault::Error(S3ErrorCode::ServiceUnavailable),
        Fault::SlowDown { retry_after_seconds: 1 },
        Fault::Reset,
        Fault::Truncated,
    ] {
        let storage = blobs(&rig, "images").await;
        rig.s3.clear_calls();
        rig.s3.fail(When::op(Op::List).nth(2), fault.clone());
        let sync = rig.sync_to_end(&storage).await;
        check_first(&rig, &storage, &sync, &expected).await;
        assert_eq!((rig.s3.count(Op::List), &sync["jobs"][0]["attempt"]), (3, &json!(1)), "{fault:?}");
    }

    let expected = put_tasks(&rig, "tasks", 20);
    for fault in [Fault::Error(S3ErrorCode::InternalError), Fault::SlowDown { retry_after_seconds: 1 }, Fault::Reset] {
        let storage = tasks(&rig, "tasks").await;
        rig.s3.clear_calls();
        rig.s3.fail(When::op(Op::Get).nth(5), fault.clone());
        let sync = rig.sync_to_end(&storage).await;
        check_first(&rig, &storage, &sync, &expected).await;
        assert_eq!((rig.s3.count(Op::Get), &sync["jobs"][0]["attempt"]), (21, &json!(1)), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_asks_for_a_long_pause_gets_it() {
    let rig = Rig::start().await;
    let expected = put_images(&rig, "images", 1_100);
    let storage = blobs(&rig, "images").await;
    rig.s3.clear_calls();
    rig.s3.fail(When::op(Op::List).nth(2), Fault::SlowDown { retry_after_seconds: 600 });

    let sync = rig.sync(&storage).await;
    let (wait, reason) = retryable(&rig, sync).await;
    assert!(wait > 500.0, "{wait} s");
    assert_eq!((reason.as_str(), rig.s3.count(Op::List)), ("throttled", 2), "it is not asked again meanwhile");
    let path = format!("{}/{}", storage.path, storage.id);
    until("the storage shows that its sync is in progress", async || {
        (rig.get(&path).await["status"] == "in_progress").then_some(())
    })
    .await;

    rig.make_due(sync).await;
    let sync = rig.ended(sync).await;
    check_first(&rig, &storage, &sync, &expected).await;
    // The first page was committed, so the second attempt continues after it.
    let asked: Vec<_> = rig.s3.calls().into_iter().map(|call| call.start_after.unwrap_or_default()).collect();
    assert_eq!(asked, ["", "00999.png", "00999.png"]);
    check_second(&rig, &storage, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_listing_without_a_token_is_read_to_its_end() {
    let rig = Rig::start().await;
    let expected = put_images(&rig, "images", 1_100);
    let storage = blobs(&rig, "images").await;
    rig.s3.clear_calls();
    // The second time it is also wrong: no page follows.
    rig.s3.fail(When::op(Op::List).times(2), Fault::NoContinuationToken);
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &expected).await;
    assert_eq!(rig.s3.count(Op::List), 3);
    check_second(&rig, &storage, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_object_is_not_imported() {
    let rig = Rig::start().await;
    // The first half is a complete line, so its content alone is valid.
    rig.s3.put("tasks", "a.jsonl", "{\"n\":1}\n{\"n\":2}\n");
    rig.s3.put("tasks", "b.json", "{\"n\":3}");
    let expected = BTreeMap::from([("a.jsonl".to_owned(), 2), ("b.json".to_owned(), 1)]);
    let storage = tasks(&rig, "tasks").await;
    rig.s3.clear_calls();
    rig.s3.fail(When::op(Op::Get).key("a.jsonl").nth(1), Fault::Truncated);
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((rig.s3.count(Op::Get), &sync["jobs"][0]["attempt"]), (3, &json!(1)), "{sync}");
    check_first(&rig, &storage, &sync, &expected).await;
    check_second(&rig, &storage, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_during_a_listing_are_reported_and_new_ones_continue_the_sync() {
    let rig = Rig::start().await;
    let expected = put_images(&rig, "images", 2_500);
    let storage = blobs(&rig, "images").await;
    let expired = When::op(Op::List).access_key(ACCESS_KEY_ID).after(2);
    rig.s3.fail(expired, Fault::Error(S3ErrorCode::ExpiredToken));

    let sync = rig.sync_to_end(&storage).await;
    check_failed(&rig, &storage, &sync, "expired_credentials", "The credentials have expired. Enter new ones.").await;
    assert_eq!(sync["counts"]["created"], 2_000, "{sync}");
    rig.check_import(&storage, &sync, &one_each(images(2_000)), &[]).await;

    let keys = json!({"aws_access_key_id": FRESH_ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY});
    rig.patch(&storage, keys).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(500)), "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    assert_eq!((&shown["status"], &shown["traceback"]), (&json!("completed"), &Value::Null), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_only_the_user_can_fix_fail_the_sync_immediately_with_advice() {
    let rig = Rig::start().await;
    let expected = put_images(&rig, "images", 3);
    let storage = blobs(&rig, "images").await;
    for (code, reason, advice) in [
        (S3ErrorCode::SignatureDoesNotMatch, "wrong_secret_key", "The secret key does not match"),
        (S3ErrorCode::InvalidAccessKeyId, "unknown_access_key", "The storage does not know this access key"),
        (S3ErrorCode::AccessDenied, "access_denied", "The storage denied access"),
        (
            S3ErrorCode::NoSuchBucket,
            "no_such_bucket",
            "The bucket does not exist. Check its name, the region and the endpoint. The server answered `404 NoSuchBucket`.",
        ),
        (S3ErrorCode::RequestTimeTooSkewed, "clock_skew", "The clock of"),
        (S3ErrorCode::PermanentRedirect, "wrong_region", "The bucket is in another region"),
    ] {
        rig.s3.clear_calls();
        rig.s3.fail(Op::List, Fault::Error(code));
        let sync = rig.sync_to_end(&storage).await;
        check_failed(&rig, &storage, &sync, reason, advice).await;
        assert_eq!((rig.s3.count(Op::List), &sync["jobs"][0]["attempt"]), (1, &json!(1)), "{reason}");
        rig.s3.clear_faults();
    }
    let sync = rig.sync_to_end(&storage).await;
    check_first(&rig, &storage, &sync, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_changes_while_it_is_listed_gives_each_object_once() {
    let rig = Rig::start().await;
    put_images(&rig, "images", 2_500);
    let storage = blobs(&rig, "images").await;
    rig.s3.before(When::op(Op::List).nth(2), |buckets| {
        for key in ["00000-late.png", "01500-late.png"] {
            buckets.put("images", key, Object::new("pixels"));
        }
        for key in ["00001.png", "02400.png"] {
            assert!(buckets.remove("images", key));
        }
        for key in ["00002.png", "02300.png"] {
            buckets.put("images", key, Object::new("other pixels"));
        }
    });
    let sync = rig.sync_to_end(&storage).await;
    // Tasks of objects removed before the cursor stay, and objects added there wait for the next sync.
    let mut expected = one_each(images(2_500).chain(["01500-late.png".to_owned()]));
    expected.remove("02400.png");
    check_first(&rig, &storage, &sync, &expected).await;

    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["counts"]["created"], &sync["counts"]["matched"]), (&json!(1), &json!(2_500)), "{sync}");
    expected.insert("00000-late.png".to_owned(), 1);
    rig.check_import(&storage, &sync, &expected, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changes_between_list_and_get_is_read_as_it_is_then() {
    let rig = Rig::start().await;
    let mut expected = put_tasks(&rig, "tasks", 5);
    let storage = tasks(&rig, "tasks").await;
    rig.s3.before(When::op(Op::Get).key("001.json"), |buckets| {
        buckets.remove("tasks", "001.json");
    });
    rig.s3.before(When::op(Op::Get).key("002.json").nth(1), |buckets| {
        buckets.put("tasks", "002.json", Object::new(r#"[{"text":"new"},{"text":"newer"}]"#));
    });
    // The page is read twice: a missing object must not be counted twice.
    rig.s3.fail(When::op(Op::Get).key("003.json").times(4), Fault::Error(S3ErrorCode::InternalError));

    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    expected.remove("001.json");
    expected.insert("002.json".to_owned(), 2);
    rig.check_import(&storage, &sync, &expected, &[]).await;
    let counts = &sync["counts"];
    assert_eq!((&counts["imported"], &counts["vanished"], &counts["created"]), (&json!(4), &json!(1), &json!(5)));
    assert_eq!((&counts["failed"], &sync["jobs"][0]["attempt"]), (&json!(1), &json!(2)), "{sync}");
    check_second(&rig, &storage, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_denied_object_is_quarantined_but_a_bucket_that_denies_all_fails_the_sync() {
    let rig = Rig::start().await;
    let mut expected = put_tasks(&rig, "tasks", 200);
    let storage = tasks(&rig, "tasks").await;
    rig.s3.clear_calls();
    rig.s3.fail(Op::Get, Fault::Error(S3ErrorCode::AccessDenied));
    let sync = rig.sync_to_end(&storage).await;
    check_failed(&rig, &storage, &sync, "access_denied", "The storage denied access").await;
    rig.check_import(&storage, &sync, &BTreeMap::new(), &[]).await;
    assert!(rig.s3.count(Op::Get) < 100, "it stops once that is clear: {} requests", rig.s3.count(Op::Get));

    rig.s3.clear_faults();
    rig.s3.fail(When::op(Op::Get).key("007.json"), Fault::Error(S3ErrorCode::AccessDenied));
    let sync = rig.sync_to_end(&storage).await;
    expected.remove("007.json");
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    rig.check_import(&storage, &sync, &expected, &["007.json"]).await;
    rig.check_first_counts(&sync, &expected, 1);
    let aside = rig.quarantine(&storage).await;
    assert_eq!(aside[0]["reason"], "denied", "{aside:?}");
    assert!(
        aside[0]["detail"].as_str().is_some_and(|detail| detail.starts_with("The storage denied access")),
        "{aside:?}"
    );

    rig.s3.clear_faults();
    rig.s3.fail(When::op(Op::Get).key("007.json"), Fault::Error(S3ErrorCode::InvalidRequest));
    rig.post(&format!("/api/quarantine/{}/replay", aside[0]["id"]), json!({})).await;
    until("the object is refused", || async {
        (rig.quarantine(&storage).await[0]["reason"] == "refused").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_progress_fails_with_a_clear_reason() {
    let rig = Rig::with().env("LONGSHORE_MAX_FAILURES", "3").start().await;
    let expected = put_images(&rig, "images", 1_100);
    let storage = blobs(&rig, "images").await;
    // The first page is progress; failures count from there.
    rig.s3.fail(When::op(Op::List).after(1), Fault::Error(S3ErrorCode::InternalError));
    let sync = rig.sync(&storage).await;
    for attempt in 1..=2 {
        until(&format!("attempt {attempt} has failed"), || async {
            let row = rig.get(&format!("/api/syncs/{sync}")).await;
            (row["jobs"][0]["failures"] == attempt).then_some(())
        })
        .await;
        assert_eq!(retryable(&rig, sync).await.1, "unavailable");
        rig.make_due(sync).await;
    }
    let sync = rig.ended(sync).await;
    check_failed(&rig, &storage, &sync, "unavailable", "The storage did not answer in time").await;
    assert_eq!((&sync["jobs"][0]["attempt"], &sync["counts"]["created"]), (&json!(3), &json!(1_000)), "{sync}");

    rig.s3.clear_faults();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(100)), "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_without_an_answer_does_not_delay_the_others() {
    let rig = Rig::with().env("LONGSHORE_MAX_FAILURES", "2").start().await;
    let mut expected = put_tasks(&rig, "tasks", 20);
    let storage = tasks(&rig, "tasks").await;
    rig.s3.fail(When::op(Op::Get).key("007.json"), Fault::Reset);
    let sync = rig.sync(&storage).await;
    retryable(&rig, sync).await;
    rig.make_due(sync).await;
    let sync = rig.ended(sync).await;
    expected.remove("007.json");
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    rig.check_import(&storage, &sync, &expected, &["007.json"]).await;
    rig.check_first_counts(&sync, &expected, 1);
    assert_eq!(rig.quarantine(&storage).await[0]["reason"], "unavailable");

    // Without a replay: such a reason may be temporary.
    rig.s3.clear_faults();
    let sync = rig.sync_to_end(&storage).await;
    expected.insert("007.json".to_owned(), 1);
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(1)), "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
}
