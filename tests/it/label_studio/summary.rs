//! Comparisons of a summary with its project: what Label Studio adds itself, and what is still to be folded.

use longshore_rig::rig::until;
use serde_json::json;

use super::{Twin, Twins};

/// A task of Label Studio's own API, as it is before its summary has it.
const INSERT: &str = "INSERT INTO public.task (data, meta, created_at, updated_at, is_labeled, project_id, overlap, inner_id,
        total_annotations, cancelled_annotations, total_predictions, comment_count, unresolved_comment_count, allow_skip)
 VALUES (jsonb_build_object('image', 'i'), '{}', now(), now(), false, $1::bigint, 1, 100, 0, 0, 0, 0, 0, true)";

/// A project whose summary has three tasks.
async fn three_tasks(twins: &Twins, bucket: &str) -> Twin {
    twins.rig.s3.put_many(bucket, (0..3).map(|n| (format!("{n}.json"), r#"{"image": "i"}"#)));
    let twin = twins.import(bucket, json!({})).await;
    twins.sync_ours(&twin).await;
    until("the summary has three tasks", async || (tasks(twins, &twin).await == 3).then_some(())).await;
    twin
}

/// The number of tasks in the summary.
async fn tasks(twins: &Twins, twin: &Twin) -> i64 {
    twins.summary(twin).await["all"]["image"].as_i64().unwrap_or_default()
}

impl Twins {
    /// Makes the next comparison of a project's summary due, and waits for its end. Does nothing after the last one. A comparison that is claimed must not be made due
    /// again: the two changes of its row would conflict.
    pub(super) async fn compare_summary(&self, twin: &Twin) {
        let db = self.rig.database().await;
        let due =
            "UPDATE host_projects SET summary_due_at = now() WHERE project_id = $1 AND summary_due_at IS NOT NULL";
        db.execute(due, &[&twin.project]).await.expect("a table");
        until("the summary is compared", async || {
            // While it is claimed, it is due again in two minutes, and later at another time or never.
            let ended = "SELECT summary_due_at IS NULL OR (summary_due_at > now() AND
                                summary_due_at NOT BETWEEN now() + interval '61 seconds' AND now() + interval '120 seconds')
                           FROM host_projects WHERE project_id = $1";
            let row = db.query_opt(ended, &[&twin.project]).await.expect("a table");
            row.is_none_or(|row| row.get(0)).then_some(())
        })
        .await;
    }
}

/// Goal: what Label Studio adds itself is not added twice. Method: its new task is there, and its addition is held until a
/// comparison has missed it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn what_label_studio_adds_after_its_commit_is_not_added_for_it() {
    let twins = Twins::start().await;
    let twin = three_tasks(&twins, "late").await;
    let (db, mut other) = (twins.rig.database().await, twins.rig.database().await);
    let tx = other.transaction().await.expect("a transaction");
    let lock = "SELECT FROM public.projects_projectsummary WHERE project_id = $1::bigint FOR UPDATE";
    tx.query_one(lock, &[&twin.project]).await.expect("a summary");
    db.execute(INSERT, &[&twin.project]).await.expect("a task");
    let missed = "SELECT is_suspect FROM host_projects WHERE project_id = $1";
    db.execute("UPDATE host_projects SET summary_due_at = now() WHERE project_id = $1", &[&twin.project])
        .await
        .expect("a table");
    until("a comparison has missed the task", async || {
        db.query_one(missed, &[&twin.project]).await.expect("a project").get::<_, bool>(0).then_some(())
    })
    .await;
    let add =
        "UPDATE public.projects_projectsummary SET all_data_columns = '{\"image\": 4}' WHERE project_id = $1::bigint";
    tx.execute(add, &[&twin.project]).await.expect("a summary");
    tx.commit().await.expect("a commit");
    // The next one would have raised the count.
    for _ in 0..2 {
        twins.compare_summary(&twin).await;
    }
    assert_eq!(tasks(&twins, &twin).await, 4);
}

/// Goal: what is not folded yet is not added twice. Method: comparisons while a delta cannot be folded.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn what_is_still_to_be_folded_is_not_missed() {
    let twins = Twins::start().await;
    let twin = three_tasks(&twins, "pending").await;
    let (mut db, mut other) = (twins.rig.database().await, twins.rig.database().await);
    // A fold skips locked rows. Until the row is locked, it may have taken it: then another one.
    let mut expected = 3;
    let lock = loop {
        let tx = db.transaction().await.expect("a transaction");
        tx.execute(INSERT, &[&twin.project]).await.expect("a task");
        let delta = "INSERT INTO host_deltas (project_id, delta)
                     SELECT project_id, '{\"tasks\": 1, \"columns\": {\"image\": 1}, \"annotations\": {}, \"labels\": {}}' FROM host_projects
                      WHERE project_id = $1";
        tx.execute(delta, &[&twin.project]).await.expect("a delta");
        tx.commit().await.expect("a commit");
        expected += 1;
        let tx = other.transaction().await.expect("a transaction");
        if !tx.query("SELECT FROM host_deltas FOR UPDATE", &[]).await.expect("deltas").is_empty() {
            break tx;
        }
        tx.rollback().await.expect("no locks");
    };
    for _ in 0..3 {
        twins.compare_summary(&twin).await;
    }
    lock.rollback().await.expect("no locks");
    until("everything is folded", async || {
        let left = db.query_one("SELECT count(*) FROM host_deltas", &[]).await.expect("a table");
        (left.get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    assert_eq!(tasks(&twins, &twin).await, expected);
}
