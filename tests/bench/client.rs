//! Longshore's S3 client alone, the reference of the ratios.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use longshore_model::{S3Secrets, Secret, Secrets, StorageSettings};
use longshore_storage::{AllowedEndpoints, ListRequest, PutOptions, Storage, StorageMetrics, Stores, WireOptions};
use prometheus::Registry;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::server::bucket::Bucket;

/// Keys per page, as in the worker.
pub const PAGE: u16 = 1_000;

/// A bucket opened as in the worker, with its own connections.
#[derive(Clone)]
pub struct Client {
    store: Arc<dyn Storage>,
    bucket: Bucket,
}

/// A number of items and the seconds they took.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub count: u64,
    pub seconds: f64,
}

impl Pace {
    pub fn rate(self) -> f64 {
        self.count as f64 / self.seconds
    }
}

impl Client {
    pub fn open(endpoint: &str, bucket: Bucket) -> Result<Self> {
        let allowed = AllowedEndpoints::parse("127.0.0.0/8")?;
        let options = WireOptions { allowed, ..WireOptions::default() };
        let stores = Stores::new(options, Default::default(), StorageMetrics::register(&Registry::new())?)?;
        let settings: StorageSettings =
            serde_json::from_value(json!({"kind": "s3", "bucket": bucket.to_string(), "s3_endpoint": endpoint}))?;
        let secrets = Secrets::S3(S3Secrets {
            aws_access_key_id: Some(Secret::new("AKIABENCH")),
            aws_secret_access_key: Some(Secret::new("bench")),
            aws_session_token: None,
        });
        Ok(Self { store: stores.open(1, &settings, &secrets)?, bucket })
    }

    /// Lists all keys in this many concurrent ranges of equal size.
    pub async fn list(&self, ranges: u64) -> Result<Pace> {
        let started = Instant::now();
        let cut = |range: u64| match range * self.bucket.count / ranges {
            0 => None,
            index => Some(self.bucket.key(index - 1)),
        };
        let mut listing = JoinSet::new();
        for range in 0..ranges {
            let until = (range + 1 < ranges).then(|| cut(range + 1)).flatten();
            let (store, after) = (Arc::clone(&self.store), cut(range));
            listing.spawn(async move { list_range(store.as_ref(), after, until.as_deref()).await });
        }
        let mut count = 0;
        for listed in listing.join_all().await {
            count += listed?;
        }
        anyhow::ensure!(count == self.bucket.count, "listed {count} of {} keys", self.bucket.count);
        Ok(Pace { count, seconds: started.elapsed().as_secs_f64() })
    }

    /// Reads every object with this many concurrent requests.
    pub async fn get(&self, at_once: usize) -> Result<Pace> {
        let keys = self.bucket.count;
        self.each(
            at_once,
            keys,
            |store, key| async move { store.get(&key, None, 1 << 20).await.map(drop).context("get") },
        )
        .await
    }

    /// Writes this many objects of one size with this many concurrent requests.
    pub async fn put(&self, at_once: usize, count: u64, bytes: usize) -> Result<Pace> {
        let body = Bytes::from(vec![b'x'; bytes]);
        self.each(at_once, count, move |store, key| {
            let body = body.clone();
            async move {
                let options = PutOptions { content_type: Some("application/json"), kms_key_id: None };
                store.put(&key, body, &options).await.map(drop).context("put")
            }
        })
        .await
    }

    async fn each<F>(
        &self,
        at_once: usize,
        count: u64,
        call: impl Fn(Arc<dyn Storage>, String) -> F + Clone + Send + 'static,
    ) -> Result<Pace>
    where
        F: Future<Output = Result<()>> + Send,
    {
        let started = Instant::now();
        let next = Arc::new(AtomicU64::new(0));
        let mut callers = JoinSet::new();
        for _ in 0..at_once {
            let (next, call, client) = (Arc::clone(&next), call.clone(), self.clone());
            callers.spawn(async move {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return Ok::<_, anyhow::Error>(());
                    }
                    call(Arc::clone(&client.store), client.bucket.key(index)).await?;
                }
            });
        }
        for called in callers.join_all().await {
            called?;
        }
        Ok(Pace { count, seconds: started.elapsed().as_secs_f64() })
    }
}

async fn list_range(store: &dyn Storage, after: Option<String>, until: Option<&str>) -> Result<u64> {
    let (mut cursor, mut count) = (after, 0);
    loop {
        let request = ListRequest { cursor: cursor.as_deref(), limit: PAGE, ..ListRequest::default() };
        let page = store.list_page(request).await?;
        let inside =
            until.map_or(page.objects.len(), |until| page.objects.partition_point(|listed| listed.key() <= until));
        count += inside as u64;
        cursor = page.next.filter(|_| inside == page.objects.len());
        if cursor.is_none() {
            return Ok(count);
        }
    }
}
