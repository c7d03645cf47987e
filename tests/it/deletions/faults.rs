//! Deletions that are interrupted, or that meet a sync.

use longshore_local::s3::Op;
use longshore_rig::rig::Rig;
use serde_json::json;

use super::{COUNTERS, IMAGES, counts, delete, image, images, stored, task_ids, tasks_of};

/// Locks a task of the second page.
const A_TASK_OF_PAGE_TWO: &str =
    "SELECT 1 FROM tasks WHERE id = (SELECT id FROM tasks ORDER BY id OFFSET 1500 LIMIT 1) FOR UPDATE";

/// The statement that waits for it.
const LOCKS_TASKS: &str = "SELECT 1 FROM unnest($1::bigint[]) w (id)";

/// Goal: a deletion survives the death of its worker. Method: hold a row of the second page, and kill the worker that waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_goes_on_after_its_worker_was_killed_in_the_middle() {
    let rig = Rig::start().await;
    let (storage, expected) = images(&rig, rig.project().await, "images").await;
    let held = rig.freeze(A_TASK_OF_PAGE_TWO).await;
    let sync = delete(&rig, &tasks_of(&storage)).await;
    held.reached(LOCKS_TASKS).await;
    rig.until_counted(sync, "deleted_tasks", 1_000).await;
    assert_eq!(stored(&rig, &storage).await, (1_500, 1_500), "one page is committed as a whole");
    rig.workers[0].process.kill().await.expect("killed");
    held.release().await;
    rig.restart_worker(0).await;
    let ended = rig.ended(sync).await;
    assert_eq!((&ended["status"], counts(&ended, COUNTERS)), (&json!("completed"), [2_500, 0, 2_500]), "{ended}");
    assert_eq!(stored(&rig, &storage).await, (0, 0));
    let again = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &again, &expected, &[]).await;
}

/// Goal: a cancelled deletion leaves whole objects. Method: cancel while the second page waits for a row, then sync.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_deletion_leaves_the_rest_and_the_next_sync_brings_back_what_is_gone() {
    let rig = Rig::start().await;
    let (storage, expected) = images(&rig, rig.project().await, "images").await;
    let held = rig.freeze(A_TASK_OF_PAGE_TWO).await;
    let sync = delete(&rig, &tasks_of(&storage)).await;
    held.reached(LOCKS_TASKS).await;
    // The page that waits holds the row of its job, so the cancel waits for it.
    let path = format!("/api/syncs/{sync}/cancel");
    let (cancelled, ()) = tokio::join!(rig.call("POST", &path, None), async {
        held.reached("UPDATE jobs SET state = 'cancelled'").await;
        held.release().await;
    });
    assert_eq!((cancelled.0, &cancelled.1["status"]), (200, &json!("cancelled")), "{}", cancelled.1);
    let (tasks, entries) = stored(&rig, &storage).await;
    // Of two statements that wait for a row, the one for the third page may get it first.
    assert_eq!(tasks, entries, "a page was not committed as a whole");
    assert!([0, 500].contains(&tasks), "the page in progress was not committed: {tasks} tasks");
    let again = rig.sync_to_end(&storage).await;
    assert_eq!(counts(&again, ["created", "existed"]), [2_500 - tasks, tasks], "{again}");
    rig.check_import(&storage, &again, &expected, &[]).await;
}

/// Goal: a deletion and an import of the same storage never run at the same time. Method: hold each of them and request the
/// other.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_and_an_import_of_the_same_storage_refuse_each_other() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    let (storage, _) = images(&rig, project, "images").await;
    let of_project = format!("/api/projects/{project}/tasks?confirm={IMAGES}");
    let of_storage = format!("{}?confirm={IMAGES}", tasks_of(&storage));

    let listing = rig.s3.hold(Op::List);
    let sync = rig.sync(&storage).await;
    listing.reached().await;
    for path in [&of_storage, &of_project] {
        let (status, refused) = rig.call("DELETE", path, None).await;
        assert_eq!((status, &refused["code"]), (400, &json!("sync_live")), "{refused}");
        assert!(refused["detail"].as_str().expect("text").contains(&format!("Sync {sync} is importing")), "{refused}");
    }
    listing.release();
    rig.ended(sync).await;

    for path in [&of_storage, &of_project] {
        let held = rig.freeze("SELECT 1 FROM tasks WHERE id = (SELECT min(id) FROM tasks) FOR UPDATE").await;
        let (status, deletion) = rig.call("DELETE", path, None).await;
        assert_eq!(status, 202, "{deletion}");
        held.reached(LOCKS_TASKS).await;
        let start = format!("{}/{}/sync", storage.path, storage.id);
        let (status, refused) = rig.call("POST", &start, None).await;
        assert_eq!((status, &refused["code"]), (400, &json!("sync_live")), "{refused}");
        let named = format!("Sync {} is deleting", deletion["id"]);
        assert!(refused["detail"].as_str().expect("text").contains(&named), "{refused}");
        let (_, same) = rig.call("DELETE", path, None).await;
        assert_eq!(same["id"], deletion["id"], "a second request finds the first");
        held.release().await;
        rig.ended(deletion["id"].as_i64().expect("an ID")).await;
        assert_eq!(rig.sync_to_end(&storage).await["counts"]["created"], IMAGES);
    }
}

/// Goal: while workers of the previous release run, none of them ends a deletion without deleting. Method: their statement
/// for a claim, on a deletion without another worker.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_the_previous_release_finds_no_deletion_to_claim() {
    let rig = Rig::start().await;
    let (storage, _) = images(&rig, rig.project().await, "images").await;
    rig.workers[0].process.kill().await.expect("killed");
    let sync = delete(&rig, &tasks_of(&storage)).await;
    let db = rig.database().await;
    let claim =
        "UPDATE jobs j SET state = 'running', attempt = attempt + 1, token = gen_random_uuid(), leased_by = 'old',
                        lease_until = now() + interval '1 minute', started_at = coalesce(started_at, now())
                  WHERE sync_id = $1 AND state <> 'running'";
    assert_eq!(db.execute(claim, &[&sync]).await.expect("a claim"), 0);
    rig.restart_worker(0).await;
    assert_eq!(counts(&rig.ended(sync).await, COUNTERS), [2_500, 0, 2_500]);
}

/// Goal: one deletion at a time in a project, and each project has its own. Method: hold the deletion of one storage, and request
/// those of another storage, of the project, and of another project.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_has_one_deletion_at_a_time_and_others_are_not_concerned() {
    let rig = Rig::start().await;
    let (project, other) = (rig.project().await, rig.project().await);
    let (storage, _) = images(&rig, project, "images").await;
    let mut second = Vec::new();
    for (project, bucket) in [(project, "second"), (other, "third")] {
        rig.s3.put_many(bucket, (0..3).map(|n| (image(n), "")));
        let storage = rig.import_storage(project, bucket, json!({"use_blob_urls": true})).await;
        rig.sync_to_end(&storage).await;
        second.push(storage);
    }
    let held = rig.freeze(A_TASK_OF_PAGE_TWO).await;
    let sync = delete(&rig, &tasks_of(&storage)).await;
    held.reached(LOCKS_TASKS).await;
    for path in [
        format!("{}?confirm=3", tasks_of(&second[0])),
        format!("/api/projects/{project}/tasks?confirm={}", stored(&rig, &storage).await.0),
        format!("/api/projects/{project}?confirm={}", stored(&rig, &storage).await.0),
    ] {
        let (status, refused) = rig.call("DELETE", &path, None).await;
        assert_eq!((status, &refused["code"]), (400, &json!("sync_live")), "{path}: {refused}");
        assert!(refused["detail"].as_str().expect("text").contains(&format!("Sync {sync} is deleting")), "{refused}");
    }
    let elsewhere = rig.ended(delete(&rig, &tasks_of(&second[1])).await).await;
    assert_eq!(counts(&elsewhere, COUNTERS), [3, 0, 3], "{elsewhere}");
    held.release().await;
    assert_eq!(counts(&rig.ended(sync).await, COUNTERS), [2_500, 0, 2_500]);
    assert_eq!(stored(&rig, &second[0]).await, (3, 3));
}

/// Goal: what an export writes while its tasks are deleted does not stay. Method: hold the export at its first object, delete the
/// tasks, and let both end.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_an_export_writes_while_its_tasks_are_deleted_are_deleted_too() {
    let rig = Rig::with().workers(2).start().await;
    let project = rig.project().await;
    rig.s3.put_many("source", (0..3).map(|n| (image(n), "")));
    let source = rig.import_storage(project, "source", json!({"use_blob_urls": true})).await;
    rig.sync_to_end(&source).await;
    for id in task_ids(&rig, project).await {
        rig.post(&format!("/api/tasks/{id}/annotations"), json!({"result": []})).await;
    }
    rig.s3.create_bucket("target");
    let target = rig.export_storage(project, "target", json!({"can_delete_objects": true})).await;
    let put = rig.s3.hold(Op::Put);
    let export = rig.sync(&target).await;
    put.reached().await;
    let deletion = rig.ended(delete(&rig, &tasks_of(&source)).await).await;
    assert_eq!(counts(&deletion, COUNTERS), [3, 3, 3], "{deletion}");
    put.release();
    rig.ended(export).await;
    let last = rig.get(&format!("/api/syncs?storage={}&limit=1", target.id)).await["syncs"][0]["id"].as_i64();
    rig.ended(last.expect("an ID")).await;
    rig.sync_to_end(&target).await;
    assert_eq!(rig.s3.objects("target").len(), 0);
}

/// Goal: a deletion needs no scheduler once it runs, and one that was requested is not lost. Method: kill the scheduler after the
/// request, while a row is held.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_outlives_its_scheduler() {
    let rig = Rig::start().await;
    let (storage, _) = images(&rig, rig.project().await, "images").await;
    let held = rig.freeze(A_TASK_OF_PAGE_TWO).await;
    let sync = delete(&rig, &tasks_of(&storage)).await;
    held.reached(LOCKS_TASKS).await;
    rig.schedulers[0].process.kill().await.expect("killed");
    held.release().await;
    rig.schedulers[0].process.start().expect("started");
    rig.schedulers[0].until_ready().await.expect("ready");
    assert_eq!(counts(&rig.ended(sync).await, COUNTERS), [2_500, 0, 2_500]);
    assert_eq!(stored(&rig, &storage).await, (0, 0));
}
