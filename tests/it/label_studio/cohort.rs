//! The overlap cohort: tasks that several users annotate, chosen again after each sync.

use longshore_rig::rig::until;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Twin, Twins};

/// The class of the advisory lock of a cohort.
const LOCK: i32 = 0x636f_686f;

/// Objects with annotations: two by user 1, one, one without a user, a cancelled one, ground truth, or none.
fn objects() -> Vec<(String, String)> {
    let annotations = [
        json!([{"result": [], "completed_by": 1}, {"result": [], "completed_by": 1}]),
        json!([{"result": [], "completed_by": 1}]),
        json!([{"result": []}]),
        json!([{"result": [], "completed_by": 1, "was_cancelled": true}]),
        json!([{"result": [], "completed_by": 1}, {"result": [], "completed_by": 1, "ground_truth": true}]),
    ];
    let annotated = annotations.iter().map(|annotations| json!({"data": {"image": "i"}, "annotations": annotations}));
    let plain = (0..6).map(|_| json!({"data": {"image": "i"}}));
    annotated.chain(plain).enumerate().map(|(n, item)| (format!("{n:02}.json"), item.to_string())).collect()
}

impl Twins {
    async fn execute(&self, statement: &str) {
        self.rig.database().await.batch_execute(statement).await.expect("a change");
    }

    /// Sets how many annotations a part of the tasks gets, without Label Studio's own work after such a change.
    async fn set_cohort(&self, twin: &Twin, annotations: i32, percentage: i32) {
        let project = twin.project;
        self.execute(&format!(
            "UPDATE public.project SET maximum_annotations = {annotations}, overlap_cohort_percentage = {percentage}
              WHERE id = {project}"
        ))
        .await;
    }

    /// The number of tasks by overlap, by whether they are labeled, and by whether they came with annotations.
    async fn overlaps(&self, twin: &Twin) -> Value {
        let text = "SELECT coalesce(json_agg(r ORDER BY r.overlap, r.is_labeled, r.annotated), '[]')::text FROM (
                        SELECT t.overlap, t.is_labeled, t.total_annotations + t.cancelled_annotations AS annotated, count(*)
                          FROM public.task t WHERE t.project_id = $1::bigint GROUP BY 1, 2, 3) r";
        let row = self.rig.database().await.query_one(text, &[&twin.project]).await.expect("tasks");
        serde_json::from_str(row.get(0)).expect("JSON")
    }
}

/// Goal: users cannot tell which sync chose the cohort. Method: twin projects, with new tasks and without, in which the
/// annotated tasks are in the cohort for certain, or it has no room for them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_cohort_has_as_many_tasks_as_after_label_studios_own_sync() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("cohort");
    for (key, text) in objects() {
        twins.rig.s3.put("cohort", &key, text.into_bytes());
    }
    let [theirs, ours] = [twins.import("cohort", json!({})).await, twins.import("cohort", json!({})).await];
    let mut different = Vec::new();
    for (annotations, percentage, skipped) in [
        (2, 60, "REQUEUE_FOR_OTHERS"),
        (2, 45, "IGNORE_SKIPPED"),
        (2, 0, "REQUEUE_FOR_OTHERS"),
        (1, 50, "IGNORE_SKIPPED"),
        (2, 99, "REQUEUE_FOR_OTHERS"),
        (3, 50, "IGNORE_SKIPPED"),
    ] {
        for twin in [&theirs, &ours] {
            twins.set_cohort(twin, annotations, percentage).await;
            twins
                .execute(&format!("UPDATE public.project SET skip_queue = '{skipped}' WHERE id = {}", twin.project))
                .await;
        }
        twins.sync_theirs(&theirs).await;
        let storage = twins.sync_ours(&ours).await;
        assert_eq!(storage["status"], "completed", "{storage}");
        // No wait: the cohort is right as soon as the sync has ended.
        let (expected, seen) = (twins.overlaps(&theirs).await, twins.overlaps(&ours).await);
        if expected != seen {
            different.push(format!("{annotations} {percentage} % {skipped}:\n  theirs {expected}\n  ours   {seen}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Goal: the user sees the end of a sync only with its cohort, and no dead scheduler leaves half of one. Method: hold a
/// task while the cohort is written, look at the storage, kill the scheduler.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_cohort_is_whole_before_the_end_is_shown_although_its_scheduler_was_killed() {
    let mut twins = Twins::start().await;
    twins.rig.s3.create_bucket("killed");
    twins.rig.s3.put_many("killed", (0..100).map(|n| (format!("{n:03}.jpg"), "x")));
    let twin = twins.import("killed", json!({"use_blob_urls": true})).await;
    twins.sync_ours(&twin).await;
    twins.set_cohort(&twin, 2, 30).await;
    twins.execute(&format!("UPDATE public.task SET overlap = 2 WHERE project_id = {}", twin.project)).await;

    // Some task must change: 30 of 100 stay as they are.
    let held = twins
        .rig
        .freeze(&format!(
            "SELECT 1 FROM public.task WHERE project_id = {} ORDER BY id DESC LIMIT 90 FOR UPDATE",
            twin.project
        ))
        .await;
    let request = twins.rig.request("POST", &format!("/api/storages/s3/{}/sync", twin.storage));
    let request = request.header("authorization", format!("Token {}", super::TOKEN)).header("prefer", "respond-async");
    let (status, body) = longshore_rig::rig::send_json(request).await;
    assert_eq!(status, 200, "{body}");
    held.reached("UPDATE public.task t SET overlap").await;
    let shown = || async {
        let row = twins.rows(&twin).await;
        row["storage"]["status"].as_str().expect("a status").to_owned()
    };
    assert_eq!(shown().await, "in_progress");
    // Label Studio would take the sync for dead, and a request for another one is answered with this one.
    twins.silence(&twin).await;
    let dead = twins.shown(&twin).await["meta"]["time_last_ping"].clone();
    twins.until_shown(&twin, "a later heartbeat", |row| row["meta"]["time_last_ping"] != dead).await;
    assert_eq!(twins.listed(&twin).await[0]["status"], "in_progress");
    let again =
        twins.rig.request("POST", &format!("/api/storages/s3/{}/sync", twin.storage)).bearer_auth(twins.rig.token());
    let (status, body) = longshore_rig::rig::send_json(again.header("prefer", "respond-async")).await;
    assert_eq!((status, &body["status"]), (200, &json!("in_progress")), "{body}");

    twins.rig.schedulers[0].process.kill().await.expect("killed");
    held.release().await;
    assert_eq!(shown().await, "in_progress", "a killed scheduler ended the sync");
    twins.rig.add_scheduler().await;
    until("the sync has ended", async || {
        let row = twins.rows(&twin).await;
        (row["storage"]["status"] == "completed").then_some(())
    })
    .await;
    let overlaps = twins.overlaps(&twin).await;
    let counts = json!([{"overlap": 1, "is_labeled": false, "annotated": 0, "count": 70},
                        {"overlap": 2, "is_labeled": false, "annotated": 0, "count": 30}]);
    assert_eq!(overlaps, counts);
}

/// Goal: one scheduler arranges a cohort, and the others arrange those of other projects. Method: tasks of one project are
/// held while two of its syncs end, and then one of another project.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_cohort_is_arranged_by_one_scheduler_while_another_one_arranges_other_projects() {
    let twins = Twins::with(|options| options.schedulers(2)).await;
    twins.rig.s3.put_many("first", (0..100).map(|n| (format!("{n:03}.jpg"), "x")));
    let settings = json!({"use_blob_urls": true});
    let first = twins.import("first", settings.clone()).await;
    twins.sync_ours(&first).await;
    twins.rig.s3.create_bucket("second");
    let second = twins.import("second", json!({"project": first.project, "use_blob_urls": true})).await;
    let other = twins.import("first", settings).await;
    for twin in [&first, &other] {
        twins.set_cohort(twin, 2, 30).await;
    }
    twins.execute(&format!("UPDATE public.task SET overlap = 2 WHERE project_id = {}", first.project)).await;
    let held = twins
        .rig
        .freeze(&format!(
            "SELECT 1 FROM public.task WHERE project_id = {} ORDER BY id DESC LIMIT 90 FOR UPDATE",
            first.project
        ))
        .await;
    twins.start_ours(&first).await;
    held.reached("UPDATE public.task t SET overlap").await;
    twins.start_ours(&second).await;
    assert_eq!(twins.sync_ours(&other).await["status"], "completed");
    held.release().await;
    for twin in [&first, &second] {
        twins.until_shown(twin, "the sync has ended", |row| row["status"] == "completed").await;
    }
    let counts = json!([{"overlap": 1, "is_labeled": false, "annotated": 0, "count": 70},
                        {"overlap": 2, "is_labeled": false, "annotated": 0, "count": 30}]);
    for twin in [&first, &other] {
        assert_eq!(twins.overlaps(twin).await, counts);
    }
}

/// Goal: a scheduler that lost its lock writes no batch after another one chose. Method: freeze the first one while its batch
/// waits for a task, end the database session that has its lock, and start another.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_cohort_is_chosen_only_after_the_last_batch_of_a_frozen_scheduler() {
    let mut twins = Twins::start().await;
    twins.rig.s3.put_many("frozen-cohort", (0..100).map(|n| (format!("{n:03}.jpg"), "x")));
    let twin = twins.import("frozen-cohort", json!({"use_blob_urls": true})).await;
    twins.sync_ours(&twin).await;
    twins.set_cohort(&twin, 2, 30).await;
    twins.execute(&format!("UPDATE public.task SET overlap = 2 WHERE project_id = {}", twin.project)).await;
    let held = twins
        .rig
        .freeze(&format!(
            "SELECT 1 FROM public.task WHERE project_id = {} ORDER BY id DESC LIMIT 90 FOR UPDATE",
            twin.project
        ))
        .await;
    twins.start_ours(&twin).await;
    held.reached("UPDATE public.task t SET overlap").await;
    twins.rig.schedulers[0].process.signal(Signal::SIGSTOP).expect("a scheduler can be stopped");
    // As after a long silence of the scheduler.
    let holder = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCK} AND database = (
                SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    twins.execute(&holder).await;
    twins.rig.add_scheduler().await;
    held.reached("SELECT pg_advisory_xact_lock").await;
    held.release().await;
    twins.rig.schedulers[0].process.signal(Signal::SIGCONT).expect("a scheduler can be woken");
    twins.until_shown(&twin, "the sync has ended", |row| row["status"] == "completed").await;
    let counts = json!([{"overlap": 1, "is_labeled": false, "annotated": 0, "count": 70},
                        {"overlap": 2, "is_labeled": false, "annotated": 0, "count": 30}]);
    assert_eq!(twins.overlaps(&twin).await, counts);
}
