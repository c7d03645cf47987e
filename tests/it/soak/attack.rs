//! The attacks and their order.

use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::future::join_all;
use longshore_rig::heavy;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answers::LargeRows;
use super::caller::Caller;

/// Source address of the attacker; all other clients use another address.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Filters that are accepted and slow on some keys: they try every way to split one.
const SLOW: [&str; 3] = [r"good|(\d{4})(a|aa)+\1c", r"good|[01]{4}(?:[01]|[01]?)+(?=b)", r"good|(?=([01]+0+)+$)b"];

/// Filters as a release without limits saved them.
const OLD: [&str; 4] =
    ["(?:[0-9a-z]{0,60}){0,60}!", r"(?:\w\w?){300}$", "((a{100}){100}){100}", "(?=((a{1000}){1000}){1000})"];

/// Concurrent previews of a filter.
const PREVIEWS: usize = 4;

/// A tenant with an admin token for one project.
pub(super) struct Attack {
    pub(super) rig: Arc<Rig>,
    pub(super) caller: Caller,
    pub(super) project: i64,
    pub(super) rows: LargeRows,
}

impl Attack {
    /// Fills buckets and the database.
    pub(super) async fn prepare(rig: Arc<Rig>) -> Self {
        let project = rig.project().await;
        let caller = Caller::new(&rig, "attacker", project, ADDRESS).await;
        let rows = LargeRows::insert(&rig, project).await;
        rig.s3.put_many("keys", heavy::keys(1_000).into_iter().map(|key| (key, "")));
        let attack = Self { rig, caller, project, rows };
        attack.put_heavy_objects();
        attack
    }

    /// Runs every attack: those on schedulers one by one together with the one on workers, then all at the same time.
    pub(super) async fn run(&self) {
        let started = Instant::now();
        let done = |what: &str| println!("{:>5.0?} {what}", started.elapsed());
        let one_by_one = async {
            self.filters().await;
            done("file filters");
            self.large_answers().await;
            done("large answers");
            self.large_documents().await;
            done("large documents");
            self.floods().await;
            done("streams, half-sent heads, scrapes, guesses");
            self.deletions().await;
            done("deletions");
        };
        let heavy_objects = async {
            self.heavy_objects().await;
            done("heavy objects");
        };
        tokio::join!(one_by_one, heavy_objects);
        tokio::join!(
            self.filters(),
            self.large_answers(),
            self.large_documents(),
            self.floods(),
            self.deletions(),
            self.heavy_objects(),
        );
        done("all of them at once");
    }

    /// File filters: previews, checks, syncs; also ones that could not be saved today.
    async fn filters(&self) {
        for regex in heavy::FILTERS.into_iter().chain(SLOW) {
            let sent = || Some(self.settings("keys", json!({"use_blob_urls": true, "regex_filter": regex})));
            let previews = (0..PREVIEWS).map(|_| self.caller.call("filter", "POST", "/api/storages/s3/files", sent()));
            let (saved, ..) = tokio::join!(
                self.caller.call("filter", "POST", "/api/storages/s3", sent()),
                join_all(previews),
                self.caller.call("filter", "POST", "/api/storages/s3/validate", sent()),
            );
            if let Some(id) = saved.1["id"].as_i64() {
                self.sync("s3", id).await;
                self.caller.call("filter", "POST", &format!("/api/storages/s3/{id}/doctor"), Some(json!({}))).await;
            }
        }
        for regex in OLD {
            let Some(id) = self.import("keys", json!({"use_blob_urls": true, "regex_filter": "x"})).await else {
                continue;
            };
            let stored = "UPDATE storages SET settings = jsonb_set(settings, '{regex_filter}', to_jsonb($2::text))
                           WHERE id = $1";
            self.rig.database().await.execute(stored, &[&id, &regex]).await.expect("a storage");
            self.sync("s3", id).await;
        }
    }

    /// Settings of a storage on a bucket of the rig.
    pub(super) fn settings(&self, bucket: &str, own: Value) -> Value {
        let mut settings = json!({
            "project": self.project, "bucket": bucket, "s3_endpoint": self.rig.s3.endpoint(), "recursive_scan": true,
            "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY
        });
        let (Some(all), Value::Object(own)) = (settings.as_object_mut(), own) else { panic!("settings are an object") };
        all.extend(own);
        settings
    }

    /// Saves an import storage and gives its ID, unless that is refused.
    pub(super) async fn import(&self, bucket: &str, own: Value) -> Option<i64> {
        let settings = Some(self.settings(bucket, own));
        self.caller.call("save", "POST", "/api/storages/s3", settings).await.1["id"].as_i64()
    }

    /// Starts a sync. `kind` is `s3` or `export/s3`.
    pub(super) async fn sync(&self, kind: &str, id: i64) {
        self.caller.call("sync", "POST", &format!("/api/storages/{kind}/{id}/sync"), Some(json!({}))).await;
    }
}
