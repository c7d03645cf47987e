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

/// Goal: a script need not wait. Method: of two requests for a sync whose listing is held, the first one waits, and the second
/// one prefers an answer at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_request_that_prefers_it_is_answered_while_others_wait_for_the_end() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("asked");
    twins.rig.s3.put("asked", "a.jpg", "x");
    let twin = twins.import("asked", json!({"use_blob_urls": true})).await;
    let held = twins.rig.s3.hold(When::op(Op::List));
    let path = format!("/api/storages/s3/{}/sync", twin.storage);
    let request = || twins.rig.request("POST", &path).header("authorization", format!("Token {TOKEN}"));
    let waiting = tokio::spawn(send_json(request()));
    held.reached().await;
    let (status, body) = send_json(request().header("prefer", "return=minimal, respond-async")).await;
    let is_live = ["queued", "in_progress"].iter().any(|live| body["status"] == *live);
    assert!(status == 200 && is_live && !waiting.is_finished(), "{status} {body}");
    held.release();
    let (status, body) = waiting.await.expect("no panic");
    assert_eq!((status, &body["status"]), (200, &json!("completed")), "{body}");
}

/// Goal: no client gives up before it has an answer. Method: the listing of the sync is held until the request is answered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_request_for_a_long_sync_is_answered_while_the_sync_still_runs() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("long");
    twins.rig.s3.put("long", "a.jpg", "x");
    let twin = twins.import("long", json!({"use_blob_urls": true, "title": "T"})).await;
    let held = twins.rig.s3.hold(When::op(Op::List));
    let answer = twins.sync_ours(&twin).await;
    assert_eq!((&answer["status"], &answer["title"]), (&json!("in_progress"), &json!("T")), "{answer}");
    held.release();
    until("the sync ends", async || {
        let shown = twins.studio.send("GET", &format!("/api/storages/s3/{}", twin.storage), None).await;
        (shown["status"] == "completed").then_some(())
    })
    .await;
}

/// Goal: a client that gets a failure would start the sync again. Method: the storage changes during its sync, and Label Studio
/// does not answer anymore when the sync ends.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_sync_that_ran_is_answered_even_if_label_studio_has_stopped_meanwhile() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("stopped");
    twins.rig.s3.put("stopped", "a.jpg", "x");
    let twin = twins.import("stopped", json!({"use_blob_urls": true, "title": "before"})).await;
    let held = twins.rig.s3.hold(When::op(Op::List));
    let request = twins.rig.request("POST", &format!("/api/storages/s3/{}/sync", twin.storage));
    let asked = tokio::spawn(send_json(request.header("authorization", format!("Token {TOKEN}")).json(&json!({}))));
    held.reached().await;
    let change = "UPDATE public.io_storages_s3importstorage SET title = 'after' WHERE id = $1::bigint";
    twins.rig.database().await.execute(change, &[&twin.storage]).await.expect("a storage");
    twins.studio.stop().await;
    held.release();
    let (status, body) = asked.await.expect("no panic");
    assert_eq!((status, &body["status"], &body["title"]), (200, &json!("completed"), &json!("before")), "{body}");
}
