//! Objects of deleted annotations.

use longshore_local::s3::{Op, When};
use longshore_rig::rig::{Rig, rows, until};
use serde_json::json;

use super::{annotate, body, change, counts, delete, keys, labeled, last_ended, names, start, states, sync, written};

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_deleted_annotations_are_deleted_only_if_the_storage_allows_it() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 4).await;
    rig.s3.create_bucket("may");
    rig.s3.create_bucket("may-not");
    let may = rig.export_storage(labeled.project, "may", json!({"can_delete_objects": true})).await;
    let may_not = rig.export_storage(labeled.project, "may-not", json!({})).await;
    for storage in [&may, &may_not] {
        sync(&rig, storage).await;
    }
    let gone = labeled.annotations[1];
    let rest: Vec<i64> = labeled.annotations.iter().copied().filter(|id| *id != gone).collect();
    delete(&rig, gone).await;
    // No new sync is needed for it.
    let ended = last_ended(&rig, &may).await;
    assert_eq!((&ended["requested_by"], counts(&ended, ["deleted"])), (&json!("annotation"), [1]), "{ended}");
    assert_eq!((keys(&rig, "may"), states(&rig, &may).await[&gone].as_str()), (names(&rest), "deleted"));
    rig.check_no_unfinished_work(&may).await;
    assert_eq!(counts(&sync(&rig, &may).await, ["deleted", "kept", "exported"]), [0, 0, 0]);

    let ended = sync(&rig, &may_not).await;
    assert_eq!((&ended["status"], counts(&ended, ["deleted", "kept"])), (&json!("completed"), [0, 1]), "{ended}");
    assert_eq!((keys(&rig, "may-not"), rig.s3.count(Op::Delete)), (names(&labeled.annotations), 0));
    assert_eq!(states(&rig, &may_not).await[&gone], "kept");
    assert_eq!(counts(&sync(&rig, &may_not).await, ["kept"]), [0], "it is output once");

    rig.patch(&may_not, json!({"can_delete_objects": true})).await;
    let ended = sync(&rig, &may_not).await;
    assert_eq!((counts(&ended, ["deleted"]), keys(&rig, "may-not")), ([1], names(&rest)), "{ended}");
    assert_eq!(states(&rig, &may_not).await[&gone], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_deleted_while_it_is_written_leaves_no_object() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 4).await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({"can_delete_objects": true})).await;
    let gone = labeled.annotations[1];
    let hold = rig.s3.hold_answer(When::op(Op::Put).key(&gone.to_string()));
    let running = start(&rig, &storage).await;
    hold.reached().await;
    delete(&rig, gone).await;
    until("the deletion found nothing to delete yet", || async {
        let jobs = rig.get(&format!("/api/syncs/{running}")).await["jobs"].clone();
        let deletions: Vec<_> = rows(&jobs).iter().filter(|job| job["kind"] == "delete").collect();
        (deletions.len() == 2 && deletions.iter().all(|job| job["state"] == "completed")).then_some(())
    })
    .await;
    hold.release();
    let ended = rig.ended(running).await;
    assert_eq!((&ended["status"], counts(&ended, ["exported", "deleted"])), (&json!("completed"), [4, 1]), "{ended}");
    let rest: Vec<i64> = labeled.annotations.iter().copied().filter(|id| *id != gone).collect();
    assert_eq!((keys(&rig, "target"), states(&rig, &storage).await[&gone].as_str()), (names(&rest), "deleted"));
    rig.check_no_unfinished_work(&storage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_deleted_while_its_page_commits_leaves_no_object() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 4).await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({"can_delete_objects": true})).await;
    let gone = labeled.annotations[1];
    // The page's transaction begins, and waits in the middle.
    let db = rig.database().await;
    db.batch_execute("BEGIN; LOCK TABLE exports IN SHARE MODE").await.expect("a lock");
    let running = start(&rig, &storage).await;
    let waiting = "SELECT 1 FROM pg_locks WHERE relation = 'exports'::regclass AND NOT granted";
    until("the page waits", || async { db.query_opt(waiting, &[]).await.expect("locks").map(drop) }).await;
    delete(&rig, gone).await;
    until("the deletion found nothing to delete yet", || async {
        let jobs = rig.get(&format!("/api/syncs/{running}")).await["jobs"].clone();
        let deletions: Vec<_> = rows(&jobs).iter().filter(|job| job["kind"] == "delete").collect();
        (deletions.len() == 2 && deletions.iter().all(|job| job["state"] == "completed")).then_some(())
    })
    .await;
    db.batch_execute("COMMIT").await.expect("no lock");
    let ended = rig.ended(running).await;
    assert_eq!((&ended["status"], counts(&ended, ["exported", "deleted"])), (&json!("completed"), [4, 1]), "{ended}");
    assert_eq!(states(&rig, &storage).await[&gone], "deleted");
    rig.check_no_unfinished_work(&storage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_object_of_a_task_is_deleted_with_its_last_annotation() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 2).await;
    let second = annotate(&rig, labeled.tasks[0], json!({"result": []})).await;
    rig.s3.create_bucket("target");
    let settings = json!({"can_delete_objects": true, "export_tasks": true});
    let storage = rig.export_storage(labeled.project, "target", settings).await;
    assert_eq!(counts(&sync(&rig, &storage).await, ["exported"]), [2]);
    let key = |task: i64| format!("{task}.json");

    delete(&rig, second).await;
    let ended = last_ended(&rig, &storage).await;
    assert_eq!(counts(&ended, ["exported", "deleted"]), [1, 0], "written with what is left: {ended}");
    let whole = body(&rig, "target", key(labeled.tasks[0]));
    assert_eq!(rows(&whole["annotations"]).len(), 1, "{whole}");

    delete(&rig, labeled.annotations[0]).await;
    let ended = last_ended(&rig, &storage).await;
    assert_eq!(counts(&ended, ["exported", "deleted"]), [0, 1], "{ended}");
    assert_eq!(keys(&rig, "target"), [key(labeled.tasks[1])].into());
    assert_eq!(states(&rig, &storage).await[&labeled.tasks[0]], "deleted");
    rig.check_no_unfinished_work(&storage).await;
}

/// Goal: a deletion has no other effect. Method: change one annotation, delete another, and see what is written; with an
/// object per annotation, and with an object per task.
#[tokio::test(flavor = "multi_thread")]
async fn the_deletion_of_one_annotation_exports_nothing_else() {
    let rig = Rig::start().await;
    for export_tasks in [false, true] {
        let labeled = labeled(&rig, 3).await;
        let second = annotate(&rig, labeled.tasks[1], json!({"result": []})).await;
        let bucket = format!("target-{export_tasks}");
        rig.s3.create_bucket(&bucket);
        let settings = json!({"can_delete_objects": true, "export_tasks": export_tasks});
        let storage = rig.export_storage(labeled.project, &bucket, settings).await;
        sync(&rig, &storage).await;
        change(&rig, labeled.annotations[0], json!({"result": [{"value": {"text": ["b"]}}]})).await;
        rig.s3.clear_calls();

        delete(&rig, second).await;
        let ended = last_ended(&rig, &storage).await;
        let only = if export_tasks { vec![format!("{}.json", labeled.tasks[1])] } else { Vec::new() };
        assert_eq!((&ended["requested_by"], written(&rig)), (&json!("annotation"), only), "{ended}");
        assert_eq!(counts(&sync(&rig, &storage).await, ["exported"]), [1], "the change waits for a sync");
        rig.check_no_unfinished_work(&storage).await;
    }
}

/// Goal: a request for an export is never answered with a sync that exports nothing. Method: request one while the deletion
/// of an object is held.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_requested_during_a_deletion_joins_it() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 3).await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({"can_delete_objects": true})).await;
    sync(&rig, &storage).await;
    let held = rig.s3.hold(When::op(Op::Delete));
    delete(&rig, labeled.annotations[1]).await;
    held.reached().await;
    change(&rig, labeled.annotations[0], json!({"result": []})).await;
    let joined = start(&rig, &storage).await;
    held.release();
    let ended = rig.ended(joined).await;
    assert_eq!((&ended["requested_by"], counts(&ended, ["exported", "deleted"])), (&json!("api"), [1, 1]), "{ended}");
    rig.check_no_unfinished_work(&storage).await;
}
