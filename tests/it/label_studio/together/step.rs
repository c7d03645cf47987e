//! Steps that tests of syncs beside each other share.

use std::collections::BTreeSet;

use longshore_rig::label_studio::TOKEN;
use longshore_rig::rig::{send_json, until};
use serde_json::{Value, json};

use crate::label_studio::{Twin, Twins};

/// The parts of a summary that Label Studio's own syncs and ours count alike.
pub(super) const EXACT: &[&str] = &["all", "common", "annotations"];

impl Twins {
    /// Starts a sync of ours without a wait for its end, and returns its ID.
    pub(in crate::label_studio) async fn start_ours(&self, twin: &Twin) -> i64 {
        let request = self.rig.request("POST", &format!("/api/storages/s3/{}/sync", twin.storage));
        let request = request.header("authorization", format!("Token {TOKEN}")).header("prefer", "respond-async");
        let (status, body) = send_json(request).await;
        assert_eq!(status, 200, "{body}");
        let text = "SELECT y.id FROM syncs y JOIN storages s ON s.id = y.storage_id
                     WHERE s.host_id = $1 AND s.direction = 'import' ORDER BY y.id DESC LIMIT 1";
        self.rig.database().await.query_one(text, &[&twin.storage]).await.expect("a sync").get(0)
    }

    /// The row of the storage as Label Studio shows it alone. Unlike the list, it does not look for dead syncs.
    pub(in crate::label_studio) async fn shown(&self, twin: &Twin) -> Value {
        self.studio.send("GET", &format!("/api/storages/s3/{}", twin.storage), None).await
    }

    /// The storages of the project, as the page lists them. Label Studio marks dead syncs as failed on the way.
    pub(in crate::label_studio) async fn listed(&self, twin: &Twin) -> Vec<Value> {
        let list = self.studio.send("GET", &format!("/api/storages/?project={}", twin.project), None).await;
        list.as_array().expect("a list").clone()
    }

    /// Waits until the storage's row shows this, and returns the row.
    pub(in crate::label_studio) async fn until_shown(
        &self,
        twin: &Twin,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        until(what, async || {
            let row = self.shown(twin).await;
            is_so(&row).then_some(row)
        })
        .await
    }

    /// Makes the last heartbeat of a sync older than Label Studio waits for one.
    pub(in crate::label_studio) async fn silence(&self, twin: &Twin) {
        let text = r#"UPDATE public.io_storages_s3importstorage SET meta = jsonb_set(meta, '{time_last_ping}',
            to_jsonb(to_char(now() AT TIME ZONE 'UTC' - interval '26 seconds', 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00'))
            WHERE id = $1::bigint"#;
        self.rig.database().await.execute(text, &[&twin.storage]).await.expect("a storage");
    }

    /// Stores objects with a task each.
    pub(super) fn put_tasks(&self, bucket: &str, numbers: std::ops::Range<usize>) {
        let text = json!({"data": {"image": "s3://x/1.jpg"}}).to_string();
        self.rig.s3.put_many(bucket, numbers.map(|n| (format!("{n:03}.json"), text.clone())));
    }

    /// Checks that there are this many tasks, with each key and each number of the project once.
    pub(super) async fn check_rows(&self, twin: &Twin, count: usize) {
        let rows = self.rows(twin).await;
        let tasks = rows["tasks"].as_array().expect("tasks");
        let keys: BTreeSet<String> =
            tasks.iter().map(|task| format!("{} {}", task["key"], task["row_index"])).collect();
        let numbers: BTreeSet<i64> = tasks.iter().filter_map(|task| task["inner_id"].as_i64()).collect();
        assert_eq!((tasks.len(), keys.len(), numbers.len()), (count, count, count), "{rows}");
    }

    /// Checks these parts of the summary against what Label Studio itself counts. Returns the summary before that.
    pub(super) async fn check_summary(&self, twin: &Twin, parts: &[&str]) -> Value {
        let db = self.rig.database().await;
        until("everything is added to the summary", async || {
            let row = db.query_one("SELECT count(*) FROM host_deltas", &[]).await.expect("a table");
            (row.get::<_, i64>(0) == 0).then_some(())
        })
        .await;
        // Label Studio's own syncs write the summary without a lock, and may undo an addition. The scheduler compares it
        // some times; here at once.
        until("a comparison finds nothing that is missing", async || {
            self.compare_summary(twin).await;
            let text = "SELECT summary_checks > 0 AND NOT is_suspect FROM host_projects WHERE project_id = $1";
            let row = db.query_opt(text, &[&twin.project]).await.expect("a table");
            row.is_none_or(|row| row.get(0)).then_some(())
        })
        .await;
        let before = self.summary(twin).await;
        let path = format!("/api/projects/{}/summary/reset/", twin.project);
        self.studio.send("POST", &path, Some(&json!({}))).await;
        let after = self.summary(twin).await;
        for part in parts {
            assert_eq!(before[*part], after[*part], "{part} of the summary");
        }
        before
    }
}
