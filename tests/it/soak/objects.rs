//! Objects and tasks that cost workers most.

use longshore_rig::heavy;
use longshore_rig::rig::until_within;
use serde_json::json;

use super::PATIENCE;
use super::attack::Attack;

/// Storages that are synced at once: as many as a worker has slots.
const BUCKETS: usize = 8;

impl Attack {
    /// Buckets `heavy-0` … with a share of every kind of object each.
    pub(super) fn put_heavy_objects(&self) {
        let mut objects = heavy::objects();
        objects.extend((0..BUCKETS).map(|n| (format!("largest-{n}.json.zst"), heavy::largest_window())));
        let numbers = [
            format!(r#"{{"a":{}}}"#, heavy::numbers(9_000)),
            format!("[{}{{}}]", r#"{"a":1e131071},"#.repeat(3_000)),
            format!(r#"{{"a":{}}}"#, heavy::numbers(200)),
        ];
        for (n, text) in numbers.iter().cycle().take(3 * BUCKETS).enumerate() {
            objects.push((format!("numbers-{n:02}.json"), text.clone().into_bytes()));
        }
        for bucket in 0..BUCKETS {
            let share = objects.iter().enumerate().filter(|(n, _)| n % BUCKETS == bucket);
            self.rig.s3.put_many(&format!("heavy-{bucket}"), share.map(|(_, object)| object.clone()));
        }
        self.rig.s3.create_bucket("target");
    }

    /// Imports of all of them at once, and exports of tasks with large annotations; they all end.
    pub(super) async fn heavy_objects(&self) {
        let mut storages = Vec::new();
        for bucket in 0..BUCKETS {
            storages.extend(self.import(&format!("heavy-{bucket}"), json!({})).await);
        }
        for id in &storages {
            self.sync("s3", *id).await;
        }
        for own in [json!({"export_tasks": true, "prefix": "tasks"}), json!({"prefix": "annotations"})] {
            let settings = Some(self.settings("target", own));
            let saved = self.caller.call("save", "POST", "/api/storages/export/s3", settings).await;
            if let Some(id) = saved.1["id"].as_i64() {
                self.sync("export/s3", id).await;
                storages.push(id);
            }
        }
        let db = self.rig.database().await;
        for id in storages {
            until_within(PATIENCE, "a sync of heavy objects ends", || async {
                let live = "SELECT count(*) FROM syncs WHERE storage_id = $1 AND finished_at IS NULL";
                (db.query_one(live, &[&id]).await.expect("syncs").get::<_, i64>(0) == 0).then_some(())
            })
            .await;
        }
    }
}
