//! Exports that are interrupted, and objects of deleted annotations.

use std::collections::BTreeSet;

use longshore_local::s3::{Op, When};
use longshore_rig::label_studio::TOKEN;
use longshore_rig::rig::{rows, send_json, until};
use serde_json::json;

use super::super::{CONFIG, Twins};

impl Twins {
    /// A project with this many tasks with one annotation each, and the IDs of the annotations.
    pub(super) async fn annotated_project(&self, count: i64) -> (i64, BTreeSet<String>) {
        let project = self.studio.project(CONFIG).await;
        let text = "WITH task AS (
                 INSERT INTO public.task (data, meta, created_at, updated_at, is_labeled, project_id, overlap, inner_id,
                        total_annotations, cancelled_annotations, total_predictions, comment_count,
                        unresolved_comment_count, allow_skip)
                 SELECT jsonb_build_object('image', n), '{}', now(), now(), true, $1::bigint, 1, n, 1, 0, 0, 0, 0, true
                   FROM generate_series(1, $2::bigint) n RETURNING id)
             INSERT INTO public.task_completion (result, was_cancelled, ground_truth, created_at, updated_at, task_id,
                    result_count, project_id, completed_by_id, bulk_created)
             SELECT '[]', false, false, now(), now(), id, 0, $1::bigint, 1, false FROM task RETURNING id::text";
        let rows = self.rig.database().await.query(text, &[&project, &count]).await.expect("annotations");
        (project, rows.iter().map(|row| row.get(0)).collect())
    }
}

/// Goal: no annotation is left out and no link is doubled. Method: kill the worker between the objects of its second page and
/// their commit, and let another one go on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_export_goes_on_after_its_worker_was_killed() {
    let mut twins = Twins::start().await;
    let (project, ids) = twins.annotated_project(2_500).await;
    let target = twins.target(project, "killed", json!({})).await;
    let held = twins.rig.s3.hold(When::op(Op::Put).nth(1_700));
    let request = twins.rig.request("POST", &format!("/api/storages/export/s3/{}/sync", target.id));
    let request = request.header("prefer", "respond-async").header("authorization", format!("Token {TOKEN}"));
    let (status, body) = send_json(request).await;
    assert_eq!(status, 200, "{body}");
    held.reached().await;
    twins.rig.workers[0].process.kill().await.expect("the worker ends");
    held.abandoned().await;
    let linked = twins.links(target).await.len();
    assert!((1..2_500).contains(&linked), "it was killed after the first page, and before the last: {linked}");
    held.release();
    twins.rig.add_worker().await;
    let syncs = twins.rig.get("/api/syncs?limit=1").await;
    let ended = twins.rig.ended(rows(&syncs)[0]["id"].as_i64().expect("an ID")).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert!(twins.exported("killed").keys().eq(ids.iter()), "every annotation is exported");
    let links: Vec<String> = twins.links(target).await.iter().map(|(id, _)| id.to_string()).collect();
    assert!(links.len() == ids.len() && links.iter().cloned().collect::<BTreeSet<_>>() == ids, "{}", links.len());
}

/// Goal: an annotation that no worker has memory for costs itself alone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_annotation_that_is_too_large_is_quarantined_alone() {
    let twins = Twins::start().await;
    let (project, ids) = twins.annotated_project(3).await;
    let target = twins.target(project, "large", json!({})).await;
    let second = ids.iter().nth(1).expect("an ID");
    let enlarge = format!(
        "UPDATE public.task_completion SET result = jsonb_build_array(repeat('x', 60000000)) WHERE id = {second}"
    );
    twins.rig.database().await.batch_execute(&enlarge).await.expect("a large result");
    let shown = twins.export_ours(target).await;
    assert_eq!(
        (&shown["status"], &shown["last_sync_count"], &shown["meta"]["total_annotations"]),
        (&json!("completed_with_errors"), &json!(2), &json!(3)),
        "{shown}"
    );
    let quarantine = twins.rig.get("/api/quarantine").await;
    let [row] = rows(&quarantine) else { panic!("one row: {quarantine}") };
    assert_eq!((&row["key"], &row["reason"]), (&json!(second), &json!("too_large")), "{row}");
    assert_eq!(twins.links(target).await.len(), 2);
}

/// Goal: an object goes with its annotation only if the storage's settings permit it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_object_of_a_deleted_annotation_is_deleted_only_with_permission() {
    let twins = Twins::start().await;
    for (bucket, may_delete, left) in [("kept", false, 3), ("deleted", true, 2)] {
        let (project, ids) = twins.annotated_project(3).await;
        let target = twins.target(project, bucket, json!({"can_delete_objects": may_delete})).await;
        twins.export_ours(target).await;
        // Not through Label Studio's API, which would delete the object itself.
        let db = twins.rig.database().await;
        let first = ids.first().expect("an ID");
        db.batch_execute(&format!(
            "DELETE FROM public.io_storages_s3exportstoragelink WHERE annotation_id = {first};
             DELETE FROM public.task_completion WHERE id = {first};"
        ))
        .await
        .expect("a deletion");
        let shown = twins.export_ours(target).await;
        assert_eq!(
            (&shown["status"], &shown["last_sync_count"], &shown["meta"]["total_annotations"]),
            (&json!("completed"), &json!(2), &json!(2)),
            "{shown}"
        );
        assert_eq!((bucket, twins.exported(bucket).len()), (bucket, left));
    }
}

/// Goal: Label Studio deletes what Longshore exported, by our links.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn label_studio_finds_the_objects_that_longshore_exported() {
    let twins = Twins::start().await;
    let (project, ids) = twins.annotated_project(3).await;
    let target = twins.target(project, "found", json!({"can_delete_objects": true, "prefix": "out"})).await;
    twins.export_ours(target).await;
    let first = ids.first().expect("an ID");
    twins.studio.send("DELETE", &format!("/api/annotations/{first}/"), None).await;
    let left: Vec<String> = twins.exported("found").into_keys().collect();
    assert_eq!((left.len(), left.contains(&format!("out/{first}"))), (2, false), "{left:?}");
    assert_eq!(twins.links(target).await.len(), 2);
}

/// Goal: annotations that are imported while their target is exported are exported after it. Method: an export that may have
/// passed them, held in its last object.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_export_that_follows_an_import_waits_for_the_live_export_of_its_target() {
    let twins = Twins::start().await;
    let (project, ids) = twins.annotated_project(2).await;
    let target = twins.target(project, "after", json!({})).await;
    let last = twins.rig.s3.hold(When::op(Op::Put).key(ids.last().expect("an ID")));
    let request = twins.rig.request("POST", &format!("/api/storages/export/s3/{}/sync", target.id));
    let request = request.header("prefer", "respond-async").header("authorization", format!("Token {TOKEN}"));
    let (status, body) = send_json(request).await;
    assert_eq!(status, 200, "{body}");
    last.reached().await;
    twins.rig.s3.put("new", "a.json", r#"{"data": {"image": "i"}, "annotations": [{"result": []}]}"#);
    let twin = twins.import("new", json!({"project": project})).await;
    assert_eq!(twins.sync_ours(&twin).await["status"], "completed");
    last.release();
    until("all annotations are exported", async || (twins.exported("after").len() == 3).then_some(())).await;
}

/// Goal: an annotation or a target that is deleted during an export does not fail the others. Method: each is deleted in Label
/// Studio while an object is written.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn what_is_deleted_during_an_export_gets_no_link_and_fails_no_other_annotation() {
    let twins = Twins::start().await;
    for (bucket, expected) in
        [("annotation", json!(["completed", null])), ("target", json!(["failed", "storage_deleted"]))]
    {
        let (project, ids) = twins.annotated_project(3).await;
        let target = twins.target(project, bucket, json!({})).await;
        let (first, last) = (ids.first().expect("an ID"), ids.last().expect("an ID"));
        let held = twins.rig.s3.hold(When::op(Op::Put).key(last));
        let request = twins.rig.request("POST", &format!("/api/storages/export/s3/{}/sync", target.id));
        let request = request.header("prefer", "respond-async").header("authorization", format!("Token {TOKEN}"));
        let (status, body) = send_json(request).await;
        assert_eq!(status, 200, "{body}");
        held.reached().await;
        let path = match bucket {
            "annotation" => format!("/api/annotations/{first}/"),
            _ => format!("/api/storages/export/s3/{}", target.id),
        };
        twins.studio.send("DELETE", &path, None).await;
        held.release();
        let syncs = twins.rig.get("/api/syncs?limit=1").await;
        let ended = twins.rig.ended(rows(&syncs)[0]["id"].as_i64().expect("an ID")).await;
        assert_eq!(json!([ended["status"], ended["reason"]]), expected, "{ended}");
        let links = if bucket == "annotation" { 2 } else { 0 };
        assert_eq!(twins.links(target).await.len(), links, "{bucket}");
        // A failed commit would be repeated, and then not read what is deleted.
        let text = "SELECT max(attempt)::bigint FROM jobs WHERE sync_id = (SELECT max(id) FROM syncs)";
        let attempts: i64 = twins.rig.database().await.query_one(text, &[]).await.expect("jobs").get(0);
        assert_eq!(attempts, 1, "{bucket}");
    }
}
