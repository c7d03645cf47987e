//! Storages and projects that change in Label Studio while a sync of ours runs.

use longshore_local::s3::{Op, When};
use longshore_rig::rig::{FRESH_ACCESS_KEY_ID, until};
use serde_json::{Value, json};

use super::{Twin, Twins};

/// More than one page.
const OBJECTS: usize = 1_500;

impl Twins {
    /// Starts a sync, makes a change after its first page was committed, and lets another worker go on, which reads the
    /// storage again. Returns the ended sync.
    async fn changed_in_mid_sync(&mut self, bucket: &str, change: impl AsyncFnOnce(&Self, &Twin)) -> (Twin, Value) {
        self.rig.s3.put_many(bucket, (0..OBJECTS).map(|n| (format!("{n:05}.jpg"), "x")));
        let twin = self.import(bucket, json!({"use_blob_urls": true})).await;
        let second_page = self.rig.s3.hold(When::listing_after("00999.jpg").times(1));
        let sync = self.start_ours(&twin).await;
        second_page.reached().await;
        self.rig.until_counted(sync, "pages", 1).await;
        change(self, &twin).await;
        self.rig.workers[0].process.kill().await.expect("killed");
        second_page.release();
        self.rig.restart_worker(0).await;
        let ended = self.rig.ended(sync).await;
        (twin, ended)
    }

    /// The number of tasks of a project.
    async fn task_count(&self, twin: &Twin) -> i64 {
        let text = "SELECT count(*) FROM public.task WHERE project_id = $1::bigint";
        self.rig.database().await.query_one(text, &[&twin.project]).await.expect("a count").get(0)
    }
}

/// Goal: settings are those of the start, and secrets go to no other server. Method: as Label Studio's page changes them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn settings_changed_in_mid_sync_apply_to_the_next_sync_and_another_account_ends_it() {
    let mut twins = Twins::start().await;
    for (bucket, change, status, reason) in [
        ("filtered", json!({"regex_filter": "nothing"}), "completed", Value::Null),
        ("moved", json!({"aws_access_key_id": FRESH_ACCESS_KEY_ID}), "completed", Value::Null),
    ] {
        let (twin, sync) = twins
            .changed_in_mid_sync(bucket, async |twins, twin| {
                let path = format!("/api/storages/s3/{}", twin.storage);
                twins.studio.send("PATCH", &path, Some(&change)).await;
            })
            .await;
        assert_eq!((&sync["status"], &sync["reason"]), (&json!(status), &reason), "{bucket}: {sync}");
        assert_eq!(twins.task_count(&twin).await, OBJECTS as i64, "{bucket}");
    }
    let (twin, sync) = twins
        .changed_in_mid_sync("elsewhere", async |twins, twin| {
            let text = "UPDATE public.io_storages_s3importstorage SET s3_endpoint = 'http://127.0.0.1:9' WHERE id = $1::bigint";
            twins.rig.database().await.execute(text, &[&twin.storage]).await.expect("a storage");
        })
        .await;
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("storage_moved")), "{sync}");
    assert_eq!(twins.task_count(&twin).await, 1_000);
}

/// Goal: a project in Label Studio's trash gets no more tasks. Method: it is deleted as Label Studio does, softly.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_project_that_is_moved_to_the_trash_in_mid_sync_gets_no_more_tasks() {
    let mut twins = Twins::start().await;
    let (twin, sync) = twins
        .changed_in_mid_sync("trash", async |twins, twin| {
            let text = "UPDATE public.project SET deleted_at = now() WHERE id = $1::bigint";
            twins.rig.database().await.execute(text, &[&twin.project]).await.expect("a project");
        })
        .await;
    assert_eq!((&sync["status"], &sync["reason"]), (&json!("failed"), &json!("storage_deleted")), "{sync}");
    assert_eq!(twins.task_count(&twin).await, 1_000);
}

/// Goal: users see that a sync was cancelled: Label Studio has no such status.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_cancelled_sync_is_shown_as_failed_with_the_reason_and_label_studio_may_sync() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("cancelled");
    twins.rig.s3.put("cancelled", "a.jpg", "x");
    let twin = twins.import("cancelled", json!({"use_blob_urls": true})).await;
    let listing = twins.rig.s3.hold(When::op(Op::List));
    let sync = twins.start_ours(&twin).await;
    listing.reached().await;
    twins.rig.post(&format!("/api/syncs/{sync}/cancel"), json!({})).await;
    let row = twins.until_shown(&twin, "it is failed", |row| row["status"] == "failed").await;
    assert!(row["traceback"].as_str().is_some_and(|text| text.contains("cancelled")), "{row}");
    listing.release();
    assert_eq!(twins.sync_theirs(&twin).await["last_sync_count"], json!(1));
}

/// Goal: no storage looks busy or failed after its sync has completed. Method: the row as an edit leaves it that read the storage
/// before the sync ended and wrote it after, and as Label Studio shows it 25 s later.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_end_that_an_edit_has_overwritten_is_shown_again() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("edited");
    twins.rig.s3.put("edited", "a.jpg", "x");
    let twin = twins.import("edited", json!({"use_blob_urls": true})).await;
    let ended = twins.sync_ours(&twin).await;
    let db = twins.rig.database().await;
    for status in ["in_progress", "failed"] {
        let text = "UPDATE public.io_storages_s3importstorage
                       SET status = $2, last_sync = NULL, last_sync_count = 0, meta = meta - 'time_completed', title = $2
                     WHERE id = $1::bigint";
        db.execute(text, &[&twin.storage, &status]).await.expect("a storage");
        let shown = until("the end is shown again", async || {
            let shown = twins.studio.send("GET", &format!("/api/storages/s3/{}", twin.storage), None).await;
            (shown["status"] == "completed").then_some(shown)
        })
        .await;
        for name in ["last_sync", "last_sync_count", "meta"] {
            assert_eq!(shown[name], ended[name], "{name}");
        }
        assert_eq!(shown["title"], status, "the edit stays");
    }
}
