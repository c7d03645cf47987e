//! An export whose bucket was emptied, and objects that are too large for it.

use std::collections::BTreeSet;

use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_rig::rig::Rig;
use serde_json::json;

use super::{annotate, change, counts, keys, labeled, names, sync, sync_with, written};

fn heads(rig: &Rig) -> usize {
    rig.s3.count(Op::Head)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_to_a_bucket_that_was_created_again_says_so_and_exports_all_again_on_request() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 100).await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({})).await;
    let ended = sync(&rig, &storage).await;
    assert_eq!((&ended["status"], heads(&rig)), (&json!("completed"), 0), "nothing was exported before");
    let ended = sync(&rig, &storage).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("completed"), &json!(null)), "{ended}");
    assert!((1..=32).contains(&heads(&rig)), "{} requests", heads(&rig));

    for key in keys(&rig, "target") {
        rig.s3.remove("target", &key);
    }
    let fresh = annotate(&rig, labeled.tasks[0], json!({"result": []})).await;
    let ended = sync(&rig, &storage).await;
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&json!("completed_with_errors"), &json!("target_changed")),
        "{ended}"
    );
    assert!(ended["detail"].as_str().is_some_and(|detail| detail.contains("--all")), "{ended}");
    // What is new is exported nevertheless, after the objects were looked for.
    assert_eq!((counts(&ended, ["exported"]), written(&rig)), ([1], vec![fresh.to_string()]), "{ended}");
    let first_put = rig.s3.calls().iter().position(|call| call.op == Op::Put);
    let last_head = rig.s3.calls().iter().rposition(|call| call.op == Op::Head);
    assert!(last_head < first_put, "{last_head:?} {first_put:?}");
    rig.check_no_unfinished_work(&storage).await;
    let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    assert_eq!(shown["status"], "completed_with_errors", "{shown}");
    assert!(shown["traceback"].as_str().is_some_and(|traceback| traceback.contains("--all")), "{shown}");

    let ended = sync_with(&rig, &storage, json!({"mode": "all"})).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("completed"), &json!(null)), "{ended}");
    let mut all: BTreeSet<String> = names(&labeled.annotations);
    all.insert(fresh.to_string());
    assert_eq!((keys(&rig, "target"), heads(&rig)), (all, 0));
    let ended = sync(&rig, &storage).await;
    assert_eq!(ended["status"], "completed", "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_may_not_be_looked_for_do_not_count_as_missing() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 3).await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({})).await;
    sync(&rig, &storage).await;
    for code in [S3ErrorCode::AccessDenied, S3ErrorCode::InternalError] {
        rig.s3.fail(Op::Head, Fault::Error(code));
        let ended = sync(&rig, &storage).await;
        assert_eq!((&ended["status"], heads(&rig) > 0), (&json!("completed"), true), "{ended}");
        rig.s3.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_refused_as_too_large_costs_its_object_and_not_the_sync() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 5).await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({})).await;
    let large = labeled.annotations[2];
    rig.s3.fail(When::op(Op::Put).key(&large.to_string()), Fault::Error(S3ErrorCode::EntityTooLarge));
    let ended = sync(&rig, &storage).await;
    assert_eq!(ended["status"], "completed_with_errors", "{ended}");
    assert_eq!(counts(&ended, ["exported", "quarantined", "matched"]), [4, 1, 5], "{ended}");
    let rows = rig.quarantine(&storage).await;
    assert_eq!((&rows[0]["reason"], &rows[0]["unit"], rows.len()), (&json!("too_large"), &json!(large), 1), "{rows:?}");

    rig.s3.clear_faults();
    change(&rig, large, json!({"result": []})).await;
    let ended = sync(&rig, &storage).await;
    assert_eq!((&ended["status"], keys(&rig, "target")), (&json!("completed"), names(&labeled.annotations)), "{ended}");
    assert!(rig.quarantine(&storage).await.is_empty());
}
