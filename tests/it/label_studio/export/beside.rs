//! Exports while users and Label Studio's own sync change the same annotations.

use longshore_local::s3::{Op, When};
use longshore_rig::label_studio::TOKEN;
use longshore_rig::rig::{send_json, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::super::Twins;
use super::Target;

impl Twins {
    /// Starts an export of ours without a wait for its end, and returns the ID of the sync.
    async fn begin_export(&self, target: Target) -> i64 {
        let request = self.rig.request("POST", &format!("/api/storages/export/s3/{}/sync", target.id));
        let request = request.header("prefer", "respond-async").header("authorization", format!("Token {TOKEN}"));
        let (status, body) = send_json(request).await;
        assert_eq!(status, 200, "{body}");
        let text = "SELECT max(id) FROM syncs";
        self.rig.database().await.query_one(text, &[]).await.expect("a sync").get(0)
    }

    /// Makes all annotations newer than their objects.
    async fn make_newer(&self, project: i64) {
        let text = format!(
            "UPDATE public.task_completion SET updated_at = now(), lead_time = coalesce(lead_time, 0) + 1
              WHERE project_id = {project}"
        );
        self.rig.database().await.batch_execute(&text).await.expect("annotations");
    }

    async fn choose(&self, annotation: &str, choice: &str) {
        let body = json!({"result": [{"id": "r1", "from_name": "label", "to_name": "image", "type": "choices",
                                      "value": {"choices": [choice]}}]});
        self.studio.send("PATCH", &format!("/api/annotations/{annotation}/"), Some(&body)).await;
    }
}

/// Goal: a user's deletion never ends as a deadlock with an export. Method: a deletion as Django makes it, link before
/// annotation, stays open until the export waits for it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_export_waits_for_the_deletion_of_an_annotation() {
    let twins = Twins::start().await;
    let (project, ids) = twins.annotated_project(3).await;
    let target = twins.target(project, "locks", json!({})).await;
    twins.export_ours(target).await;
    twins.make_newer(project).await;
    let first = ids.first().expect("an ID");
    let mut client = twins.rig.database().await;
    let tx = client.transaction().await.expect("a transaction");
    let delete = |table: &str, column: &str| format!("DELETE FROM public.{table} WHERE {column} = {first}");
    tx.batch_execute(&delete("io_storages_s3exportstoragelink", "annotation_id")).await.expect("a link");
    let sync = twins.begin_export(target).await;
    let db = twins.rig.database().await;
    until("the export waits for the link", async || {
        let text =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                       AND query LIKE '%exportstoragelink%'";
        (db.query_one(text, &[]).await.expect("activity").get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    tx.batch_execute(&delete("task_completion", "id")).await.expect("the user's deletion is no victim");
    tx.commit().await.expect("a commit");
    let ended = twins.rig.ended(sync).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let text = "SELECT max(attempt) FROM jobs WHERE sync_id = $1 AND kind = 'export'";
    let attempts: i32 = db.query_one(text, &[&sync]).await.expect("jobs").get(0);
    assert_eq!(attempts, 1, "nor is the export");
    assert_eq!(twins.links(target).await.len(), 2);
}

/// Goal: what users change while their objects are written is not undone. Method: two objects are held on their way; Label
/// Studio exports the change of one annotation, and deletes the other with its object.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_export_undoes_no_change_and_no_deletion_of_a_user() {
    let twins = Twins::start().await;
    let (project, ids) = twins.annotated_project(3).await;
    let target = twins.target(project, "newer", json!({"can_delete_objects": true})).await;
    twins.export_ours(target).await;
    twins.make_newer(project).await;
    let [changed, deleted, _] = &Vec::from_iter(&ids)[..] else { panic!("three annotations") };
    let held = [changed, deleted].map(|key| twins.rig.s3.hold(When::op(Op::Put).key(key).nth(1)));
    let sync = twins.begin_export(target).await;
    for held in &held {
        held.reached().await;
    }
    twins.choose(changed, "dog").await;
    twins.studio.send("DELETE", &format!("/api/annotations/{deleted}/"), None).await;
    assert!(twins.exported("newer")[*changed].contains("dog"), "Label Studio has exported the change");
    for held in held {
        held.release();
    }
    let ended = twins.rig.ended(sync).await;
    assert_eq!((&ended["status"], &ended["counts"]["exported"]), (&json!("completed"), &json!(2)), "{ended}");
    let objects = twins.exported("newer");
    assert!(objects[*changed].contains("dog"), "{}", objects[*changed]);
    assert!(!objects.contains_key(*deleted), "{:?}", objects.keys());
    assert_eq!(twins.links(target).await.len(), 2);
}

/// Goal: a frozen export that Label Studio took over writes no object more. Method: all of Longshore is stopped while the
/// first object is on its way, Label Studio exports all of them in a newer state, and Longshore continues.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_frozen_export_that_was_taken_over_writes_nothing_more() {
    let twins = Twins::with(|options| options.env("LONGSHORE_LEASE_SECONDS", "600").env("LONGSHORE_GETS", "1")).await;
    let (project, _) = twins.annotated_project(20).await;
    let target = twins.target(project, "frozen", json!({})).await;
    let writing = twins.rig.s3.hold(When::op(Op::Put).nth(1));
    let sync = twins.begin_export(target).await;
    writing.reached().await;
    let path = format!("/api/storages/export/s3/{}", target.id);
    until("the sync is in progress", async || {
        (twins.studio.send("GET", &path, None).await["status"] == "in_progress").then_some(())
    })
    .await;
    twins.rig.stop_worker(0).await;
    let scheduler = &twins.rig.schedulers[0].process;
    scheduler.signal(Signal::SIGSTOP).expect("a scheduler can be stopped");
    writing.release();
    until("the first object is written", async || (twins.exported("frozen").len() == 1).then_some(())).await;
    let db = twins.rig.database().await;
    db.batch_execute(&format!(
        r#"UPDATE public.io_storages_s3exportstorage SET meta = jsonb_set(meta, '{{time_last_ping}}',
           to_jsonb(to_char(now() AT TIME ZONE 'UTC' - interval '26 seconds', 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00'))
           WHERE id = {}"#,
        target.id
    ))
    .await
    .expect("a storage");
    let listed = twins.studio.send("GET", &format!("/api/storages/export?project={project}"), None).await;
    assert_eq!(listed[0]["status"], "failed", "{listed}");
    twins.make_newer(project).await;
    let theirs = twins.export_theirs(target).await;
    assert_eq!((&theirs["status"], &theirs["last_sync_count"]), (&json!("completed"), &json!(20)), "{theirs}");
    let newest = twins.exported("frozen");

    // A worker trusts the last answer for 5 s, a fifth of the silence that this test does not wait for.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    scheduler.signal(Signal::SIGCONT).expect("a scheduler can be woken");
    twins.rig.wake_worker(0);
    let ended = twins.rig.ended(sync).await;
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("failed"), &json!("taken_over")), "{ended}");
    assert!(twins.exported("frozen") == newest, "every object is Label Studio's");
    let recorded: i64 = db.query_one("SELECT count(*) FROM exports", &[]).await.expect("exports").get(0);
    assert_eq!(recorded, 0);
    // The row shows Label Studio's sync.
    let row: Value = twins.studio.send("GET", &path, None).await;
    assert_eq!(row["status"], "completed", "{row}");
}
