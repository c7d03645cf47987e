//! Export: every annotation becomes one object, written again only when the annotation changed.

mod deletion;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_rig::rig::{Rig, StorageHandle, rows};
use serde_json::{Value, json};

/// A project with tasks that have one annotation each, and their IDs.
struct AnnotatedProject {
    project: i64,
    tasks: Vec<i64>,
    annotations: Vec<i64>,
}

async fn labeled(rig: &Rig, tasks: usize) -> AnnotatedProject {
    let project = rig.project().await;
    let bucket = format!("source-{project}");
    rig.s3.put_many(&bucket, (0..tasks).map(|n| (format!("{n:04}.json"), json!({"n": n}).to_string())));
    let storage = rig.import_storage(project, &bucket, json!({})).await;
    rig.sync_to_end(&storage).await;
    let list = rig.get(&format!("/api/tasks/?project={project}&page_size=1000")).await;
    let tasks: Vec<i64> = rows(&list).iter().filter_map(|task| task["id"].as_i64()).collect();
    let mut annotations = Vec::new();
    for task in &tasks {
        annotations.push(annotate(rig, *task, json!({"result": [{"value": {"text": ["a"]}}]})).await);
    }
    AnnotatedProject { project, tasks, annotations }
}

async fn annotate(rig: &Rig, task: i64, fields: Value) -> i64 {
    rig.post(&format!("/api/tasks/{task}/annotations/"), fields).await["id"].as_i64().expect("an id")
}

async fn change(rig: &Rig, annotation: i64, fields: Value) {
    let (status, body) = rig.call("PATCH", &format!("/api/annotations/{annotation}/"), Some(fields)).await;
    assert_eq!(status, 200, "{body}");
}

async fn delete(rig: &Rig, annotation: i64) {
    assert_eq!(rig.call("DELETE", &format!("/api/annotations/{annotation}/"), None).await.0, 204);
}

/// Starts a sync with options and waits for its end.
async fn sync_with(rig: &Rig, storage: &StorageHandle, options: Value) -> Value {
    rig.s3.clear_calls();
    rig.post(&format!("{}/{}/sync", storage.path, storage.id), json!({"options": options})).await;
    last_ended(rig, storage).await
}

async fn sync(rig: &Rig, storage: &StorageHandle) -> Value {
    sync_with(rig, storage, json!({})).await
}

/// Waits for the end of the storage's last sync.
async fn last_ended(rig: &Rig, storage: &StorageHandle) -> Value {
    let syncs = rig.get(&format!("/api/syncs?storage={}&limit=1", storage.id)).await;
    rig.ended(rows(&syncs)[0]["id"].as_i64().expect("an id")).await
}

/// Starts a sync without waiting for its end.
async fn start(rig: &Rig, storage: &StorageHandle) -> i64 {
    rig.s3.clear_calls();
    rig.sync(storage).await
}

/// The keys in a bucket.
fn keys(rig: &Rig, bucket: &str) -> BTreeSet<String> {
    rig.s3.objects(bucket).into_iter().map(|(key, ..)| key).collect()
}

fn names(ids: &[i64]) -> BTreeSet<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// An object as JSON.
fn body(rig: &Rig, bucket: &str, key: impl ToString) -> Value {
    let object = rig.s3.get(bucket, &key.to_string()).expect("an object");
    serde_json::from_slice(&object.bytes).expect("JSON")
}

/// The keys that were written since the sync began, in alphabetical order.
fn written(rig: &Rig) -> Vec<String> {
    let mut keys: Vec<String> =
        rig.s3.calls().into_iter().filter(|call| call.op == Op::Put).map(|call| call.key).collect();
    keys.sort();
    keys
}

/// The states in table `exports` of a storage, by unit.
async fn states(rig: &Rig, storage: &StorageHandle) -> BTreeMap<i64, String> {
    let db = rig.database().await;
    let rows = db.query("SELECT unit_id, state FROM exports WHERE storage_id = $1", &[&storage.id]).await;
    rows.expect("exports").iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn counts<const N: usize>(sync: &Value, names: [&str; N]) -> [i64; N] {
    names.map(|name| sync["counts"][name].as_i64().unwrap_or_else(|| panic!("no counter {name}: {sync}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_is_written_as_label_studio_writes_it() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    rig.s3.put("source", "a.json", r#"{"data": {"text": "Grün 😀", "n": 1.50}, "meta": {"m": 1}}"#);
    let source = rig.import_storage(project, "source", json!({})).await;
    rig.sync_to_end(&source).await;
    let task = rows(&rig.get(&format!("/api/tasks/?project={project}")).await)[0]["id"].as_i64().expect("an id");
    let fields =
        json!({"result": [{"id": "r1", "value": {"choices": ["Größe"]}}], "completed_by": 7, "lead_time": 2.5});
    let id = annotate(&rig, task, fields).await;
    annotate(&rig, task, json!({"result": [], "was_cancelled": true})).await;

    rig.s3.create_bucket("target");
    let settings = json!({"prefix": "out/", "json_suffix": true, "aws_sse_kms_key_id": "key-1"});
    let target = rig.export_storage(project, "target", settings).await;
    let ended = sync(&rig, &target).await;
    assert_eq!((&ended["status"], counts(&ended, ["exported", "failed"])), (&json!("completed"), [2, 0]), "{ended}");

    let object = rig.s3.get("target", &format!("out/{id}.json")).expect("an object");
    assert_eq!(object.content_type.as_deref(), Some("application/json"));
    assert_eq!((object.encryption.as_deref(), object.kms_key_id.as_deref()), (Some("aws:kms"), Some("key-1")));
    let text = String::from_utf8(object.bytes.to_vec()).expect("text");
    let db = rig.database().await;
    let time = |table: &str, column: &str, id: i64| {
        let format = r#"YYYY-MM-DD"T"HH24:MI:SS.US"Z""#;
        let select = format!("SELECT to_char({column} AT TIME ZONE 'UTC', '{format}') FROM {table} WHERE id = {id}");
        let db = &db;
        async move { db.query_one(&select, &[]).await.expect("a time").get::<_, String>(0) }
    };
    // Fields in the host's order, in one line of ASCII; only the time span depends on a clock.
    let expected = [
        format!(r#"{{"id": {id}, "result": [{{"id": "r1", "value": {{"choices": ["Gr\u00f6\u00dfe"]}}}}], "#),
        r#""created_username": " , 7", "created_ago": "0\u00a0minutes", "completed_by": {"id": 7}, "#.to_owned(),
        format!(
            r#""task": {{"id": {task}, "data": {{"n": 1.50, "text": "Gr\u00fcn \ud83d\ude00"}}, "meta": {{"m": 1}}, "#
        ),
        format!(r#""created_at": "{}", "#, time("tasks", "created_at", task).await),
        format!(r#""updated_at": "{}", "#, time("tasks", "updated_at", task).await),
        r#""is_labeled": true, "allow_skip": true, "overlap": 1, "inner_id": null, "total_annotations": 1, "#
            .to_owned(),
        r#""cancelled_annotations": 1, "total_predictions": 0, "precomputed_agreement": null, "#.to_owned(),
        r#""comment_count": 0, "unresolved_comment_count": 0, "last_comment_updated_at": null, "#.to_owned(),
        format!(r#""project": {project}, "updated_by": null, "file_upload": null, "comment_authors": []}}, "#),
        r#""was_cancelled": false, "ground_truth": false, "#.to_owned(),
        format!(r#""created_at": "{}", "#, time("annotations", "created_at", id).await),
        format!(r#""updated_at": "{}", "#, time("annotations", "updated_at", id).await),
        r#""draft_created_at": null, "lead_time": 2.5, "import_id": null, "last_action": null, "#.to_owned(),
        format!(r#""bulk_created": false, "project": {project}, "updated_by": null, "parent_prediction": null, "#),
        r#""parent_annotation": null, "last_created_by": null}"#.to_owned(),
    ]
    .concat();
    let (ago, found) = ("\"created_ago\": \"", text.clone());
    let span = found.split_once(ago).and_then(|(_, rest)| rest.split_once('"')).expect("a time span").0;
    assert_eq!(text, expected.replace(r"0\u00a0minutes", span));
    assert!(span.ends_with("minutes") || span.ends_with("minute"), "{span}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_follow_prefix_and_suffix_and_their_objects_the_unit() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 3).await;
    annotate(&rig, labeled.tasks[0], json!({"result": []})).await;
    rig.s3.create_bucket("target");
    let second = labeled.annotations[1];
    let task = labeled.tasks[1];
    for (settings, expected, units) in [
        (json!({}), format!("{second}"), 4),
        (json!({"json_suffix": true}), format!("{second}.json"), 4),
        (json!({"prefix": "a"}), format!("a/{second}"), 4),
        (json!({"prefix": "b/"}), format!("b/{second}"), 4),
        (json!({"prefix": "c//d//"}), format!("c//d/{second}"), 4),
        (json!({"prefix": "tasks", "export_tasks": true}), format!("tasks/{task}.json"), 3),
    ] {
        let before = keys(&rig, "target");
        let storage = rig.export_storage(labeled.project, "target", settings.clone()).await;
        let ended = sync(&rig, &storage).await;
        assert_eq!(counts(&ended, ["exported", "matched", "failed"]), [units, units, 0], "{settings}: {ended}");
        let made = keys(&rig, "target");
        let made: Vec<&String> = made.difference(&before).collect();
        assert!(made.contains(&&expected) && made.len() == units as usize, "{settings}: {made:?}");
        rig.check_no_unfinished_work(&storage).await;
    }
    let whole = body(&rig, "target", format!("tasks/{}.json", labeled.tasks[0]));
    assert_eq!((&whole["data"], rows(&whole["annotations"]).len()), (&json!({"n": 0}), 2), "{whole}");
    assert_eq!(whole["annotations"][0]["id"], labeled.annotations[0], "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_new_or_changed_annotations_are_written_unless_the_request_names_more() {
    let rig = Rig::start().await;
    // More than a page.
    let mut labeled = labeled(&rig, 30).await;
    let db = rig.database().await;
    let more = db
        .query(
            "INSERT INTO annotations (task_id, project_id, result)
             SELECT $1, $2, '[]' FROM generate_series(1, 1200) RETURNING id",
            &[&labeled.tasks[0], &labeled.project],
        )
        .await
        .expect("annotations");
    labeled.annotations.extend(more.iter().map(|row| row.get::<_, i64>(0)));
    let total = 1_230;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({})).await;
    let ended = sync(&rig, &storage).await;
    assert_eq!((&ended["status"], counts(&ended, ["exported", "unchanged"])), (&json!("completed"), [total, 0]));
    assert_eq!((keys(&rig, "target"), written(&rig).len()), (names(&labeled.annotations), total as usize));

    let ended = sync(&rig, &storage).await;
    assert_eq!((written(&rig).len(), counts(&ended, ["exported"])), (0, [0]), "{ended}");

    let fresh = annotate(&rig, labeled.tasks[1], json!({"result": []})).await;
    let changed = labeled.annotations[2];
    change(&rig, changed, json!({"result": [{"value": {"text": ["b"]}}]})).await;
    let ended = sync(&rig, &storage).await;
    assert_eq!(counts(&ended, ["exported"]), [2], "{ended}");
    let mut wanted = vec![fresh.to_string(), changed.to_string()];
    wanted.sort();
    assert_eq!(written(&rig), wanted);
    assert_eq!(body(&rig, "target", changed)["result"], json!([{"value": {"text": ["b"]}}]));
    // Updated, but without a change in the exported fields.
    db.execute("UPDATE annotations SET updated_at = updated_at WHERE id = $1", &[&changed]).await.expect("a touch");
    assert_eq!((sync(&rig, &storage).await["counts"]["exported"].clone(), written(&rig).len()), (json!(0), 0));

    let ended = sync_with(&rig, &storage, json!({"mode": "all"})).await;
    assert_eq!((counts(&ended, ["exported"]), written(&rig).len()), ([total + 1], total as usize + 1), "{ended}");
    let ended = sync_with(&rig, &storage, json!({"mode": "all", "tasks": [labeled.tasks[3], labeled.tasks[4]]})).await;
    let mut wanted = vec![labeled.annotations[3].to_string(), labeled.annotations[4].to_string()];
    wanted.sort();
    assert_eq!((counts(&ended, ["exported"]), written(&rig)), ([2], wanted), "{ended}");
    let ended = sync_with(&rig, &storage, json!({"tasks": [labeled.tasks[3]]})).await;
    assert_eq!((counts(&ended, ["exported"]), written(&rig).len()), ([0], 0), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_that_changes_while_it_is_written_is_written_again_next_time() {
    let rig = Rig::start().await;
    let labeled = labeled(&rig, 3).await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({})).await;
    let id = labeled.annotations[1];
    let hold = rig.s3.hold_answer(When::op(Op::Put).key(&id.to_string()));
    let running = start(&rig, &storage).await;
    hold.reached().await;
    change(&rig, id, json!({"result": [{"value": {"text": ["late"]}}]})).await;
    hold.release();
    assert_eq!(counts(&rig.ended(running).await, ["exported"]), [3]);
    assert_eq!(body(&rig, "target", id)["result"], json!([{"value": {"text": ["a"]}}]));

    let ended = sync(&rig, &storage).await;
    assert_eq!((counts(&ended, ["exported"]), written(&rig)), ([1], vec![id.to_string()]), "{ended}");
    assert_eq!(body(&rig, "target", id)["result"], json!([{"value": {"text": ["late"]}}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_put_is_retried_and_finally_quarantined() {
    let rig = Rig::with().env("LONGSHORE_MAX_FAILURES", "2").start().await;
    let labeled = labeled(&rig, 5).await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({})).await;
    let key = labeled.annotations[2].to_string();
    // Four requests are one failure.
    rig.s3.fail(When::op(Op::Put).key(&key).times(4), Fault::Error(S3ErrorCode::InternalError));
    let running = start(&rig, &storage).await;
    let ended = rig.ended(running).await;
    assert_eq!((&ended["status"], counts(&ended, ["exported", "failed", "matched"])), (&json!("completed"), [5, 1, 5]));
    assert_eq!((keys(&rig, "target"), written(&rig).len()), (names(&labeled.annotations), 9), "{ended}");

    change(&rig, labeled.annotations[2], json!({"result": []})).await;
    change(&rig, labeled.annotations[3], json!({"result": []})).await;
    rig.s3.fail(When::op(Op::Put).key(&key), Fault::Error(S3ErrorCode::InternalError));
    let ended = sync(&rig, &storage).await;
    assert_eq!(ended["status"], "completed_with_errors", "{ended}");
    assert_eq!(counts(&ended, ["exported", "failed", "quarantined", "matched"]), [1, 2, 1, 2], "{ended}");
    let aside = rig.quarantine(&storage).await;
    assert_eq!((&aside[0]["key"], &aside[0]["unit"]), (&json!(key), &json!(labeled.annotations[2])), "{aside:?}");
    assert_eq!(aside[0]["reason"], "unavailable", "{aside:?}");
    rig.check_no_unfinished_work(&storage).await;

    rig.s3.clear_faults();
    let ended = sync(&rig, &storage).await;
    assert_eq!((&ended["status"], counts(&ended, ["exported"])), (&json!("completed"), [1]), "{ended}");
    assert_eq!(body(&rig, "target", &key)["result"], json!([]));
    assert!(rig.quarantine(&storage).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_storage_that_refuses_writes_fails_the_sync_with_a_reason() {
    let rig = Rig::with().env("LONGSHORE_MAX_FAILURES", "2").start().await;
    let labeled = labeled(&rig, 3).await;
    rig.s3.create_bucket("target");
    let storage = rig.export_storage(labeled.project, "target", json!({})).await;
    for (fault, reason, advice) in [
        (S3ErrorCode::InternalError, "unavailable", "The storage did not answer in time"),
        (S3ErrorCode::AccessDenied, "access_denied", "The storage denied access"),
        (S3ErrorCode::ExpiredToken, "expired_credentials", "The credentials have expired"),
    ] {
        rig.s3.fail(Op::Put, Fault::Error(fault));
        let ended = sync(&rig, &storage).await;
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("failed"), &json!(reason)), "{ended}");
        rig.check_no_unfinished_work(&storage).await;
        let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
        assert!(shown["traceback"].as_str().is_some_and(|traceback| traceback.starts_with(advice)), "{shown}");
        assert!(states(&rig, &storage).await.is_empty() && rig.quarantine(&storage).await.is_empty());
        rig.s3.clear_faults();
    }
    let ended = sync(&rig, &storage).await;
    assert_eq!((counts(&ended, ["exported"]), keys(&rig, "target")), ([3], names(&labeled.annotations)), "{ended}");
}
