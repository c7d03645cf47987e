//! Summaries and numbers of tasks: exact, whatever dies, and whatever Label Studio writes meanwhile.

mod changed;

use std::collections::BTreeMap;

use longshore_rig::rig::{send_json, until};
use serde_json::{Value, json};

use super::{TOKEN, Twin, Twins};

/// Objects of which each has a task with an annotation: 25 label `cat`, the others `dog`.
const OBJECTS: usize = 100;

impl Twins {
    async fn annotated(&self, bucket: &str) -> Twin {
        self.rig.s3.create_bucket(bucket);
        let region = |label: &str| json!({"id": "r", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}});
        let objects = (0..OBJECTS).map(|n| {
            let annotation = json!({"result": [region(if n % 4 == 0 { "cat" } else { "dog" })], "completed_by": 1});
            let item = json!({"data": {"image": "i", "text": "t"}, "annotations": [annotation]});
            (format!("{n:03}.json"), item.to_string())
        });
        self.rig.s3.put_many(bucket, objects);
        self.import(bucket, json!({})).await
    }

    /// Requests a sync without waiting for its end.
    async fn request_sync(&self, twin: &Twin) {
        let request = self.rig.request("POST", &format!("/api/storages/s3/{}/sync", twin.storage));
        let request = request.header("authorization", format!("Token {TOKEN}")).header("prefer", "respond-async");
        let (status, body) = send_json(request).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn until_ended(&self, twin: &Twin) -> Value {
        until("the sync has ended", async || {
            let rows = self.rows(twin).await;
            let status = rows["storage"]["status"].as_str().expect("a status");
            ["completed", "completed_with_errors", "failed"].contains(&status).then_some(rows)
        })
        .await
    }

    async fn until_folded(&self) {
        let db = self.rig.database().await;
        until("everything is added to the summary", async || {
            let left = db.query_one("SELECT count(*) FROM host_deltas", &[]).await.expect("a table");
            (left.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
    }
}

/// The summary of [`Twins::annotated`].
fn exact() -> Value {
    json!({"all": {"image": OBJECTS, "text": OBJECTS}, "common": ["image", "text"],
        "annotations": {"label|image|choices": OBJECTS}, "labels": {"label": {"cat": 25, "dog": 75}}})
}

/// Goal: no count is lost or added twice. Method: kill workers and schedulers at the steps of a page and of a fold.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_summary_is_exact_although_workers_and_schedulers_were_killed_at_each_step() {
    let mut twins = Twins::start().await;
    let twin = twins.annotated("killed-counters").await;

    // A page: after its tasks and its delta are written, before it commits.
    let page = twins.rig.freeze("LOCK TABLE host_created_tasks IN SHARE MODE").await;
    twins.request_sync(&twin).await;
    page.reached("INSERT INTO host_created_tasks").await;
    twins.rig.workers[0].process.kill().await.expect("killed");
    // A fold: before it reads the summary.
    let summary = twins.rig.freeze("SELECT 1 FROM public.projects_projectsummary FOR UPDATE").await;
    page.release().await;
    twins.rig.restart_worker(0).await;
    summary.reached("SELECT all_data_columns").await;
    twins.rig.schedulers[0].process.kill().await.expect("killed");
    // A fold: after it wrote the summary, before it commits.
    let commit = twins.rig.freeze("LOCK TABLE host_projects IN SHARE MODE").await;
    summary.release().await;
    let scheduler = twins.rig.add_scheduler().await;
    commit.reached("UPDATE host_projects SET summary_due_at").await;
    twins.rig.schedulers[scheduler].process.kill().await.expect("killed");
    commit.release().await;

    twins.rig.add_scheduler().await;
    let rows = twins.until_ended(&twin).await;
    assert_eq!(rows["storage"]["status"], "completed", "{}", rows["storage"]);
    twins.until_folded().await;
    assert_eq!(twins.summary(&twin).await, exact());
    let tasks = rows["tasks"].as_array().expect("tasks");
    let mut numbers: Vec<i64> = tasks.iter().filter_map(|task| task["inner_id"].as_i64()).collect();
    numbers.dedup();
    assert_eq!((tasks.len(), numbers.len()), (OBJECTS, OBJECTS), "each object once, each number once");
}

/// Goal: our counts come back. Method: write back a summary that was read before the import, as a slow request of Label
/// Studio does, with the counts of the tasks it created.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn counts_that_label_studio_overwrote_come_back_and_its_own_stay() {
    let twins = Twins::start().await;
    let twin = twins.annotated("stale").await;
    twins.sync_ours(&twin).await;
    twins.until_folded().await;
    assert_eq!(twins.summary(&twin).await, exact());
    // A request may be slower than the first comparison.
    twins.compare_summary(&twin).await;

    let db = twins.rig.database().await;
    let stale = r#"UPDATE public.projects_projectsummary SET all_data_columns = '{"image": 7, "old": 500}',
                          common_data_columns = '["image"]', created_annotations = '{}', created_labels = '{"label": {"cat": 900}}'
                    WHERE project_id = $1::bigint"#;
    db.execute(stale, &[&twin.project]).await.expect("a summary");
    let expected = json!({"all": {"image": OBJECTS, "text": OBJECTS, "old": 500}, "common": ["image", "text"],
        "annotations": {"label|image|choices": OBJECTS}, "labels": {"label": {"cat": 900, "dog": 75}}});
    until("the counts are back", async || {
        // Not to wait for the time of the comparisons.
        twins.compare_summary(&twin).await;
        (twins.summary(&twin).await == expected).then_some(())
    })
    .await;
}

/// Goal: both write the same project at the same time. Method: Label Studio imports tasks and annotations through its API
/// while ours imports objects.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn label_studios_own_imports_at_the_same_time_cost_no_count_and_double_no_number_of_ours() {
    let twins = Twins::start().await;
    let twin = twins.annotated("both").await;
    let import = format!("/api/projects/{}/import", twin.project);
    let theirs = async {
        for _ in 0..6 {
            let tasks: Vec<Value> = (0..5).map(|n| json!({"data": {"image": n.to_string(), "text": "t"}})).collect();
            twins.studio.send("POST", &import, Some(&tasks.into())).await;
        }
    };
    let ours = async {
        twins.rig.s3.put_many(
            "both",
            (OBJECTS..OBJECTS + 4).map(|n| (format!("{n:03}.json"), r#"{"image": "i", "text": "t"}"#)),
        );
        twins.sync_ours(&twin).await;
    };
    tokio::join!(theirs, ours);
    twins.until_folded().await;

    let rows = twins.rows(&twin).await;
    let tasks = rows["tasks"].as_array().expect("tasks");
    assert_eq!(tasks.len(), OBJECTS + 4 + 30);
    let mut numbers: BTreeMap<i64, usize> = BTreeMap::new();
    for task in tasks.iter().filter(|task| !task["key"].is_null()) {
        *numbers.entry(task["inner_id"].as_i64().expect("a number")).or_default() += 1;
    }
    assert_eq!(numbers.len(), OBJECTS + 4, "each number of ours once: {numbers:?}");
    until("the summary has every task and label", async || {
        twins.compare_summary(&twin).await;
        let summary = twins.summary(&twin).await;
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        let has_all = count(&summary["all"]["image"]) >= tasks.len() as u64
            && count(&summary["all"]["text"]) >= tasks.len() as u64;
        let labels = &summary["labels"]["label"];
        let has_labels = count(&labels["cat"]) == 25 && count(&labels["dog"]) == 75;
        (has_all && has_labels && summary["common"] == json!(["image", "text"])).then_some(())
    })
    .await;
}

/// Goal: annotations that came with tasks reach the project's targets, as in Label Studio. Method: an import with
/// annotations and one without, and a target.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_export_of_each_target_follows_an_import_with_annotations_once() {
    let twins = Twins::start().await;
    let twin = twins.annotated("followed").await;
    let target = json!({"project": twin.project, "bucket": "followed", "prefix": "out", "region_name": "us-east-1",
        "s3_endpoint": twins.rig.s3.endpoint(), "aws_access_key_id": super::ACCESS_KEY_ID,
        "aws_secret_access_key": super::SECRET_ACCESS_KEY});
    twins.studio.send("POST", "/api/storages/export/s3", Some(&target)).await;
    let db = twins.rig.database().await;
    let following = async || {
        until("the exports are enqueued", async || {
            let left = "SELECT count(*) FROM syncs WHERE exports_due OR effects_due";
            (db.query_one(left, &[]).await.expect("syncs").get::<_, i64>(0) == 0).then_some(())
        })
        .await;
        let enqueued = "SELECT id FROM syncs WHERE idempotency_key LIKE 'import-%'";
        let enqueued = db.query(enqueued, &[]).await.expect("syncs");
        enqueued.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>()
    };
    twins.sync_ours(&twin).await;
    let first = following().await;
    assert_eq!(first.len(), 1, "one export for the one target");
    let ended = twins.rig.ended(first[0]).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let exported = twins.rig.s3.objects("followed").into_iter().filter(|(key, ..)| key.starts_with("out/")).count();
    assert_eq!(exported, OBJECTS, "each imported annotation is exported");
    twins.rig.s3.put("followed", "plain.json", r#"{"image": "i", "text": "t"}"#);
    twins.sync_ours(&twin).await;
    assert_eq!(following().await, first, "an import without annotations exports nothing");
    assert!(!twins.rig.logs().contains("following_export_refused"), "an export was refused");
}

/// Goal: numbers of tasks are unique in their project. Method: two storages of one project, whose pages are held after they
/// took their numbers and before they commit; tasks of Label Studio between two syncs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn pages_that_are_written_at_the_same_time_have_different_numbers() {
    let twins = Twins::start().await;
    let first = twins.annotated("numbers").await;
    let settings = json!({"project": first.project, "prefix": "more"});
    twins
        .rig
        .s3
        .put_many("numbers", (0..OBJECTS).map(|n| (format!("more/{n:03}.json"), r#"{"image": "i", "text": "t"}"#)));
    let second = twins.import("numbers", settings).await;
    let second = Twin { project: first.project, ..second };
    let pages = twins.rig.freeze("LOCK TABLE host_created_tasks IN SHARE MODE").await;
    twins.request_sync(&first).await;
    twins.request_sync(&second).await;
    pages.reached_by("INSERT INTO host_created_tasks", 2).await;
    pages.release().await;
    twins.until_ended(&first).await;
    twins.until_ended(&second).await;
    let task = json!([{"data": {"image": "theirs", "text": "t"}}]);
    twins.studio.send("POST", &format!("/api/projects/{}/import", first.project), Some(&task)).await;
    twins.rig.s3.put("numbers", "more/last.json", r#"{"image": "i", "text": "t"}"#);
    twins.sync_ours(&second).await;
    let text = "SELECT count(*), count(DISTINCT inner_id) FROM public.task WHERE project_id = $1::bigint";
    let row = twins.rig.database().await.query_one(text, &[&first.project]).await.expect("tasks");
    let all = 2 * OBJECTS as i64 + 2;
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (all, all));
}
