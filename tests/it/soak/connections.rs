//! Connections, streams and requests in numbers.

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use longshore_local::s3::{Op, When};
use longshore_rig::rig::FRESH_ACCESS_KEY_ID;
use serde_json::{Value, json};

use super::attack::Attack;

/// Event streams of one token.
const STREAMS: usize = 900;

/// Heads that are not sent to their end, to each process.
const HALF_HEADS: usize = 1_100;

/// Clients that send [`REQUESTS`] requests each, one after another.
const CLIENTS: usize = 64;
const REQUESTS: usize = 20;

/// Deletions of one storage.
const DELETIONS: usize = 20;

impl Attack {
    /// Event streams, heads that never end, scrapes and guesses, all of them open at once.
    pub(super) async fn floods(&self) {
        let storage =
            self.import("keys", json!({"use_blob_urls": true, "aws_access_key_id": FRESH_ACCESS_KEY_ID})).await;
        // This sync alone uses the key, so it is the only one that waits; its streams stay open.
        let listing = self.rig.s3.hold(When::op(Op::List).access_key(FRESH_ACCESS_KEY_ID));
        let mut streams = Vec::new();
        if let Some(id) = storage {
            self.sync("s3", id).await;
            let latest = "SELECT max(id) FROM syncs WHERE storage_id = $1";
            let sync: Option<i64> = self.rig.database().await.query_one(latest, &[&id]).await.expect("syncs").get(0);
            let path = format!("/api/syncs/{}/events", sync.unwrap_or_default());
            streams = join_all((0..STREAMS).map(|_| self.stream(&path))).await;
        }
        let mut heads = Vec::new();
        for app in self.rig.schedulers.iter().chain(&self.rig.workers) {
            for _ in 0..HALF_HEADS {
                heads.push(self.caller.connection(&app.url(), "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await);
            }
        }
        tokio::join!(self.scrapes(), self.guesses());
        drop((streams, heads));
        listing.release();
    }

    /// An event stream, or why there is none.
    async fn stream(&self, path: &str) -> Option<reqwest::Response> {
        let request = self.caller.request("GET", path, None).bearer_auth(&self.caller.token);
        let answer = request.send().await.ok()?;
        if answer.status() == 200 {
            self.caller.counted("stream", 200, Value::Null);
            return Some(answer);
        }
        let status = answer.status().as_u16();
        self.caller.counted("stream", status, answer.json().await.unwrap_or_default());
        None
    }

    async fn scrapes(&self) {
        let urls: Vec<String> =
            self.rig.schedulers.iter().chain(&self.rig.workers).map(|app| format!("{}/metrics", app.url())).collect();
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        join_all((0..CLIENTS).map(async |client| {
            for _ in 0..REQUESTS {
                self.caller.ask("scrape", http.get(&urls[client % urls.len()])).await;
            }
        }))
        .await;
    }

    async fn guesses(&self) {
        join_all((0..CLIENTS).map(async |client| {
            for n in 0..REQUESTS {
                let request = self.caller.request("GET", "/api/projects", None);
                self.caller.ask("guess", request.bearer_auth(format!("guess-{client}-{n}"))).await;
            }
        }))
        .await;
    }

    /// Deletions of a storage whose row is locked until all but one have been answered.
    pub(super) async fn deletions(&self) {
        let Some(id) = self.import("keys", json!({"use_blob_urls": true})).await else { return };
        let locked = self.rig.freeze(&format!("SELECT 1 FROM storages WHERE id = {id} FOR UPDATE")).await;
        let path = format!("/api/storages/s3/{id}");
        let deletion = || self.caller.send("deletion", "DELETE", &path, None);
        let mut deletions: FuturesUnordered<_> = (0..DELETIONS).map(|_| deletion()).collect();
        // One on each scheduler waits for the lock.
        for _ in 0..DELETIONS - self.rig.schedulers.len() {
            deletions.next().await;
        }
        locked.release().await;
        deletions.for_each(async |_| ()).await;
    }
}
