//! Processes of ours that die in mid-sync.

use longshore_local::s3::{Op, When};
use serde_json::{Value, json};

use super::step::EXACT;
use crate::label_studio::{Twin, Twins};

/// Rows of a project without what may have gaps, and its summary.
async fn rows(twins: &Twins, twin: &Twin) -> [Value; 2] {
    let mut rows = twins.rows(twin).await;
    let tasks = rows["tasks"].as_array_mut().expect("tasks");
    tasks.iter_mut().for_each(|task| task["inner_id"] = Value::Null);
    tasks.sort_by_key(|task| (task["key"].to_string(), task["row_index"].to_string()));
    let mut summary = twins.summary(twin).await;
    // Label Studio's count of labels is too small.
    summary["labels"] = Value::Null;
    [rows, summary]
}

/// Goal: rows, counters and summary are those of Label Studio's own sync. Method: the worker and the scheduler are killed
/// while a file is read, in the transaction of a page, and while the summary is written.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_worker_and_a_scheduler_that_are_killed_leave_no_trace_in_the_rows() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("killed");
    let region = json!({"id": "r1", "from_name": "label", "to_name": "image", "type": "choices",
        "value": {"choices": ["dog"]}});
    let task = json!({"data": {"image": "i"}, "annotations": [{"result": [region], "completed_by": 1}],
        "predictions": [{"result": [region], "score": 0.5}]});
    twins.rig.s3.put_many("killed", (0..20).map(|n| (format!("{n:03}.json"), task.to_string())));
    twins.rig.s3.put("killed", "list.json", json!([{"image": "a"}, {"image": "b"}]).to_string());
    let [theirs, ours] = [twins.import("killed", json!({})).await, twins.import("killed", json!({})).await];

    let reading = twins.rig.s3.hold(When::op(Op::Get).key("019.json"));
    let sync = twins.start_ours(&ours).await;
    reading.reached().await;
    twins.rig.workers[0].process.kill().await.expect("the worker ends");
    twins.rig.schedulers[0].process.kill().await.expect("the scheduler ends");
    reading.release();

    // In the transaction: tasks are written, their annotations not yet.
    let annotations = twins.rig.freeze("LOCK TABLE public.task_completion IN EXCLUSIVE MODE").await;
    twins.rig.schedulers[0].process.start().expect("a scheduler starts");
    twins.rig.schedulers[0].until_ready().await.expect("a scheduler becomes ready");
    twins.rig.restart_worker(0).await;
    annotations.reached("COPY public.task_completion").await;
    twins.rig.workers[0].process.kill().await.expect("the worker ends");
    twins.rig.schedulers[0].process.kill().await.expect("the scheduler ends");
    annotations.release().await;

    // The page is committed, its summary not yet.
    let summary = twins.rig.freeze("LOCK TABLE public.projects_projectsummary IN EXCLUSIVE MODE").await;
    twins.rig.schedulers[0].process.start().expect("a scheduler starts");
    twins.rig.schedulers[0].until_ready().await.expect("a scheduler becomes ready");
    twins.rig.restart_worker(0).await;
    summary.reached("INSERT INTO public.projects_projectsummary").await;
    twins.rig.schedulers[0].process.kill().await.expect("the scheduler ends");
    summary.release().await;
    twins.rig.schedulers[0].process.start().expect("a scheduler starts");
    twins.rig.schedulers[0].until_ready().await.expect("a scheduler becomes ready");
    twins.rig.ended(sync).await;
    twins.until_shown(&ours, "the end is shown", |row| row["status"] == "completed").await;

    twins.sync_theirs(&theirs).await;
    twins.check_rows(&ours, 22).await;
    twins.check_summary(&ours, EXACT).await;
    let reset = format!("/api/projects/{}/summary/reset/", theirs.project);
    twins.studio.send("POST", &reset, Some(&json!({}))).await;
    assert_eq!(rows(&twins, &theirs).await, rows(&twins, &ours).await);
}
