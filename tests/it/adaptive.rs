//! A throttling storage server slows only its own syncs.

use longshore_local::s3::{self, AccessKey, Fault, Op, S3Server};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, until};
use serde_json::json;

/// Concurrent reads on the healthy server: several times as many as on a throttled one.
const AT_ONCE: usize = 24;

const OBJECTS: usize = 100;

fn keys() -> impl Iterator<Item = String> {
    (0..OBJECTS).map(|n| format!("{n:03}.json"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttling_server_slows_no_sync_of_another_server_and_is_read_completely_after_it_recovers() {
    let rig = Rig::start().await;
    let options =
        s3::Options { access_keys: vec![AccessKey::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY)], ..s3::Options::default() };
    let healthy = S3Server::start(options).await.expect("a second S3 server");
    for server in [&rig.s3, &healthy] {
        server.put_many("tasks", keys().map(|key| (key, r#"{"image": "a"}"#)));
    }
    let project = rig.project().await;
    let throttled = rig.import_storage(project, "tasks", json!({})).await;
    let fast = rig.import_storage(project, "tasks", json!({"s3_endpoint": healthy.endpoint()})).await;

    // Refused with every retry: the number of concurrent requests has gone down to a few.
    rig.s3.fail(Op::Get, Fault::SlowDown { retry_after_seconds: 0 });
    let slow_sync = rig.sync(&throttled).await;
    until("the job waits for the throttled server", async || {
        let job = rig.get(&format!("/api/syncs/{slow_sync}")).await["jobs"][0].clone();
        (job["state"] == "retryable").then_some(())
    })
    .await;

    let reads = healthy.hold(Op::Get);
    let sync = rig.sync(&fast).await;
    reads.reached_by(AT_ONCE).await;
    reads.release();
    let sync = rig.ended(sync).await;
    rig.check_import(&fast, &sync, &one_each(keys()), &[]).await;
    assert_eq!(healthy.count(Op::Get), OBJECTS, "each object was read once");
    assert!(rig.get(&format!("/api/syncs/{slow_sync}")).await["finished_at"].is_null(), "still throttled");

    rig.s3.clear_faults();
    rig.make_due(slow_sync).await;
    let slow_sync = rig.ended(slow_sync).await;
    rig.check_import(&throttled, &slow_sync, &one_each(keys()), &[]).await;
}
