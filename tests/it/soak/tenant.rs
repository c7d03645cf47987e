//! The tenant that must not notice the attacks: all its syncs and requests succeed.

use std::net::Ipv4Addr;
use std::sync::Arc;

use longshore_rig::oracle::one_each;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle, until_within};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::PATIENCE;
use super::caller::Caller;

/// Minimum number of syncs, half of them of each kind.
const SYNCS: usize = 20;

/// Objects that become tasks by their keys alone, and files with one task each.
const BLOBS: usize = 2_000;
const FILES: usize = 200;

pub(super) struct Tenant {
    rig: Arc<Rig>,
    pub(super) caller: Caller,
    project: i64,
    pub(super) syncs: usize,
}

impl Tenant {
    pub(super) async fn new(rig: Arc<Rig>) -> Self {
        let project = rig.project().await;
        let caller = Caller::new(&rig, "tenant", project, Ipv4Addr::LOCALHOST).await;
        Self { rig, caller, project, syncs: 0 }
    }

    /// Syncs bucket after bucket until `over`, and [`SYNCS`] at least.
    pub(super) async fn sync_until(mut self, over: CancellationToken) -> Self {
        while self.syncs < SYNCS || !over.is_cancelled() {
            self.sync(self.syncs.is_multiple_of(2)).await;
            self.syncs += 1;
        }
        self
    }

    /// A new bucket, imported and compared with what the database has then.
    async fn sync(&self, blobs: bool) {
        let bucket = format!("tenant-{}", self.syncs);
        let keys: Vec<String> = match blobs {
            true => (0..BLOBS).map(|n| format!("{n:05}.png")).collect(),
            false => (0..FILES).map(|n| format!("{n:05}.json")).collect(),
        };
        let content = |key: &String| if blobs { String::new() } else { json!({"text": key}).to_string() };
        self.rig.s3.put_many(&bucket, keys.iter().map(|key| (key.clone(), content(key))));
        let settings = json!({
            "project": self.project, "bucket": bucket, "s3_endpoint": self.rig.s3.endpoint(),
            "use_blob_urls": blobs, "recursive_scan": true,
            "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY
        });
        let created = self.call("save", "POST", "/api/storages/s3", Some(settings)).await;
        let id = created["id"].as_i64().expect("an id");
        let storage = StorageHandle { id, project: self.project, path: "/api/storages/s3" };
        self.call("sync", "POST", &format!("/api/storages/s3/{id}/sync"), Some(json!({}))).await;
        let syncs = self.call("syncs", "GET", &format!("/api/syncs?storage={id}&limit=1"), None).await;
        let path = format!("/api/syncs/{}", syncs["syncs"][0]["id"].as_i64().expect("a sync"));
        let sync = until_within(PATIENCE, "a sync of the other tenant ends", || async {
            let sync = self.call("progress", "GET", &path, None).await;
            (!sync["finished_at"].is_null()).then_some(sync)
        })
        .await;
        assert_eq!(sync["status"], "completed", "{sync}");
        let expected = one_each(keys);
        self.rig.check_first_counts(&sync, &expected, 0);
        self.rig.check_import(&storage, &sync, &expected, &[]).await;
        let list = format!("/api/tasks?project={}&page_size=100", self.project);
        let tasks = self.call("tasks", "GET", &list, None).await;
        assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(100));
        let task = tasks["tasks"][0]["id"].as_i64().expect("an id");
        self.call("task", "GET", &format!("/api/tasks/{task}"), None).await;
        self.call("resolve", "POST", "/api/resolve", Some(json!({"task": task}))).await;
    }

    /// Calls the API, again after a reset; the answer must be a success.
    async fn call(&self, what: &'static str, method: &str, path: &str, body: Option<Value>) -> Value {
        loop {
            let (status, answer) = self.caller.call(what, method, path, body.clone()).await;
            if status != 0 {
                assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
                return answer;
            }
            assert!(self.caller.resets() < 10, "{method} {path}: {answer}");
        }
    }
}
