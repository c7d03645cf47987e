//! Checks at the end of every fault test: the processes recovered without a restart, and the work was done once.

use std::collections::BTreeMap;

use longshore_local::App;
use serde_json::json;

use crate::oracle::one_each;
use crate::rig::{Rig, StorageHandle, until};

/// A bucket of images with its import storage.
pub struct Images {
    pub storage: StorageHandle,
    bucket: String,
    /// The number of tasks of each key.
    expected: BTreeMap<String, usize>,
}

impl Rig {
    /// Creates a bucket of this many images with an import storage in blob mode.
    pub async fn images(&self, bucket: &str, count: usize) -> Images {
        let keys = || (0..count).map(|n| format!("{n:05}.png"));
        self.s3.create_bucket(bucket);
        self.s3.put_many(bucket, keys().map(|key| (key, "")));
        let storage = self.import_storage(self.project().await, bucket, json!({"use_blob_urls": true})).await;
        Images { storage, bucket: bucket.to_owned(), expected: one_each(keys()) }
    }

    /// The pids of all schedulers and workers. A process that was restarted has another one.
    pub fn pids(&self) -> Vec<Option<u32>> {
        self.schedulers.iter().chain(&self.workers).map(|app| app.process.pid()).collect()
    }

    /// Waits until every process is ready again, and checks that none was restarted.
    pub async fn check_recovered(&self, pids: &[Option<u32>]) {
        for app in self.schedulers.iter().chain(&self.workers) {
            until_readiness_is(app, true).await;
        }
        assert!(pids.iter().all(Option::is_some), "a process was not running before the fault");
        assert_eq!(self.pids(), pids, "the fault ended a process");
    }

    /// Waits for the end of the first sync of a bucket, and checks that it created each task once.
    pub async fn check_first_sync(&self, images: &Images, sync: i64) {
        let sync = self.ended(sync).await;
        assert_eq!(sync["status"], "completed", "{sync}");
        self.check_import(&images.storage, &sync, &images.expected, &[]).await;
        self.check_first_counts(&sync, &images.expected, 0);
    }

    /// Adds an object and checks that the next sync creates only its task.
    pub async fn check_next_sync(&self, images: &mut Images) {
        let (key, existed) = (format!("{:05}.png", images.expected.len()), images.expected.len());
        self.s3.put(&images.bucket, &key, "");
        images.expected.insert(key, 1);
        let sync = self.sync_to_end(&images.storage).await;
        assert_eq!(sync["counts"]["created"], 1, "{sync}");
        assert_eq!(sync["counts"]["existed"], existed, "{sync}");
        self.check_import(&images.storage, &sync, &images.expected, &[]).await;
    }
}

/// Waits until `/readyz` of a process answers 200 (`ready`) or 503.
pub async fn until_readiness_is(app: &App, ready: bool) {
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let url = format!("{}/readyz", app.url());
    let wanted = if ready { 200 } else { 503 };
    until(&format!("/readyz of {} answers {wanted}", app.process.name()), || async {
        let status = client.get(&url).send().await.ok()?.status();
        (status == wanted).then_some(())
    })
    .await;
}
