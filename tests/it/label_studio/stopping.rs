//! A scheduler that stops while requests wait for the end of their syncs.

use longshore_local::s3::{Op, When};
use longshore_rig::label_studio::TOKEN;
use longshore_rig::rig::{send_json, until};
use nix::sys::signal::Signal;
use serde_json::json;

use super::Twins;

/// Goal: a user is not left without an answer. Method: a real SIGTERM while the first listing of the sync is held.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn requests_that_wait_for_a_sync_get_its_status_when_the_scheduler_stops() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("held");
    twins.rig.s3.put("held", "a.jpg", "x");
    let twin = twins.import("held", json!({"use_blob_urls": true})).await;
    let held = twins.rig.s3.hold(When::op(Op::List));
    let path = format!("/api/storages/s3/{}/sync", twin.storage);
    let ask = |token: String| {
        let request = twins.rig.request("POST", &path).header("authorization", format!("Token {token}"));
        tokio::spawn(send_json(request.json(&json!({}))))
    };
    let user = ask(TOKEN.to_owned());
    held.reached().await;
    let db = twins.rig.database().await;
    until("the status is shown", async || {
        let text = "SELECT FROM public.io_storages_s3importstorage WHERE status = 'in_progress'";
        db.query_opt(text, &[]).await.expect("a table").map(drop)
    })
    .await;
    assert!(!user.is_finished(), "the request waits");

    twins.rig.schedulers[0].process.signal(Signal::SIGTERM).expect("a signal");
    let (status, body) = user.await.expect("no panic");
    assert_eq!((status, &body["status"], &body["id"]), (200, &json!("in_progress"), &json!(twin.storage)), "{body}");
    assert!(twins.rig.schedulers[0].process.wait().await.success(), "the scheduler ends by itself");
    held.release();
}
