//! People who work in Label Studio while a sync of ours runs.

use longshore_local::s3::{Op, When};
use serde_json::{Value, json};

use crate::label_studio::{Twin, Twins};

impl Twins {
    /// IDs of tasks of the project, in order.
    async fn task_ids(&self, twin: &Twin, count: usize) -> Vec<i64> {
        let path = format!("/api/tasks/?project={}&page_size={count}", twin.project);
        let tasks = self.studio.send("GET", &path, None).await;
        tasks["tasks"].as_array().expect("tasks").iter().map(|task| task["id"].as_i64().expect("an ID")).collect()
    }

    /// Annotates a task with a label, and returns the annotation's ID.
    async fn annotate(&self, task: i64, label: &str) -> Value {
        let region = json!({"id": "r1", "from_name": "label", "to_name": "image", "type": "choices",
            "value": {"choices": [label]}});
        let body = json!({"result": [region], "lead_time": 1.5});
        self.studio.send("POST", &format!("/api/tasks/{task}/annotations/"), Some(&body)).await["id"].clone()
    }
}

/// Goal: what annotators do is kept, and all counts are right. Method: they submit and delete annotations and delete tasks
/// while a file of the sync is read, and again after the sync wrote its tasks.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn annotators_submit_and_delete_while_an_import_runs() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("annotators");
    twins.put_tasks("annotators", 0..10);
    let twin = twins.import("annotators", json!({})).await;
    twins.sync_ours(&twin).await;
    let region = json!({"id": "r1", "from_name": "label", "to_name": "image", "type": "choices",
        "value": {"choices": ["dog"]}});
    let annotated = json!({"data": {"image": "i"}, "annotations": [{"result": [region], "completed_by": 1}]});
    twins.rig.s3.put_many("annotators", (10..20).map(|n| (format!("{n:03}.json"), annotated.to_string())));
    let reading = twins.rig.s3.hold(When::op(Op::Get).key("019.json"));
    let sync = twins.start_ours(&twin).await;
    reading.reached().await;

    let tasks = twins.task_ids(&twin, 10).await;
    let mut made = Vec::new();
    for task in &tasks[..4] {
        made.push(twins.annotate(*task, "cat").await);
    }
    twins.studio.send("DELETE", &format!("/api/annotations/{}/", made[0]), None).await;
    twins.studio.send("DELETE", &format!("/api/tasks/{}/", tasks[9]), None).await;
    reading.release();
    twins.annotate(tasks[5], "dog").await;
    twins.rig.ended(sync).await;
    let new = twins.task_ids(&twin, 100).await;
    twins.annotate(*new.last().expect("a task"), "cat").await;

    twins.check_rows(&twin, 19).await;
    let rows = twins.rows(&twin).await;
    for task in rows["tasks"].as_array().expect("tasks") {
        let annotations = task["annotations"].as_array().map_or(0, Vec::len);
        assert_eq!(task["total_annotations"], annotations, "{task}");
        assert_eq!(task["is_labeled"], annotations > 0, "{task}");
    }
    // Label Studio itself counts the columns of a task again with each of its annotations, and labels only once when it
    // counts again.
    let summary = twins.check_summary(&twin, &["common", "annotations"]).await;
    assert_eq!(summary["labels"], json!({"label": {"cat": 4, "dog": 11}}), "{summary}");
}
