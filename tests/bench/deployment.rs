//! One measured Longshore: its processes, API and tables.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_local::{App, Settings, ports};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::bed::TestBed;
use crate::server::bucket::Bucket;
use crate::usage::{Seconds, seconds};

/// How often the end of a sync is checked: one lookup by primary key.
const POLL: Duration = Duration::from_millis(10);

/// Longest duration of a sync; a longer one is an error.
const PATIENCE: Duration = Duration::from_secs(1800);

pub struct Deployment<'a> {
    bed: &'a TestBed,
    name: String,
    pub scheduler: App,
    pub worker: App,
    pub settings: Settings,
    pub database: Client,
    pub project: i64,
}

/// A storage that was created through the API.
#[derive(Debug, Clone)]
pub struct Storage {
    pub path: String,
}

/// A sync that ended.
#[derive(Debug, Clone)]
pub struct CompletedSync {
    /// From the request for it until its row conditions so.
    pub seconds: f64,
    pub cpu: Seconds,
    pub counts: Value,
}

impl CompletedSync {
    pub fn count(&self, name: &str) -> u64 {
        self.counts[name].as_u64().unwrap_or_default()
    }
}

impl<'a> Deployment<'a> {
    pub async fn start(
        bed: &'a TestBed,
        name: &str,
        settings: Settings,
        database: Client,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let run_dir = bed.stack.run_dir();
        let port = ports::free()?;
        let scheduler = App::spawn(run_dir, &format!("{name}-scheduler"), settings.scheduler(port)?, port)?;
        scheduler.until_ready().await?;
        let port = ports::free()?;
        let mut command = settings.worker(port)?;
        command.envs(environment.iter().copied());
        let worker = App::spawn(run_dir, &format!("{name}-worker"), command, port)?;
        worker.until_ready().await?;
        let mut deployment = Self { bed, name: name.to_owned(), scheduler, worker, settings, database, project: 0 };
        let config = r#"<View><Image name="image" value="$image"/></View>"#;
        let project = deployment.post("/api/projects", &json!({"title": "bench", "label_config": config})).await?;
        deployment.project = project["id"].as_i64().context("a project's id")?;
        Ok(deployment)
    }

    /// Ends the processes and removes the database.
    pub async fn end(self) -> Result<()> {
        self.worker.stop().await?;
        self.scheduler.stop().await?;
        drop(self.database);
        self.bed.drop_database(&self.name).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(reqwest::Method::POST, path, body).await?.json().await.context("an answer in JSON")
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: &Value) -> Result<reqwest::Response> {
        let url = format!("{}{path}", self.scheduler.url());
        let token = format!("Token {}", self.settings.token);
        let request = self.bed.http.request(method, url).header("Authorization", token).json(body);
        let answer = request.send().await?;
        let status = answer.status();
        if !status.is_success() {
            anyhow::bail!("{path}: {status}: {}", answer.text().await?);
        }
        Ok(answer)
    }

    /// Creates an import storage: blob mode for images, JSON mode for task files.
    pub async fn import(&self, bucket: &Bucket) -> Result<Storage> {
        let blobs = bucket.form != crate::server::bucket::Form::Tasks;
        self.storage("/api/storages/s3", bucket, json!({"use_blob_urls": blobs, "recursive_scan": true})).await
    }

    pub async fn export(&self, bucket: &Bucket) -> Result<Storage> {
        self.storage("/api/storages/export/s3", bucket, json!({"prefix": "out"})).await
    }

    async fn storage(&self, path: &str, bucket: &Bucket, settings: Value) -> Result<Storage> {
        let mut body = json!({
            "project": self.project,
            "bucket": bucket.to_string(),
            "s3_endpoint": self.bed.endpoint(),
            "aws_access_key_id": "AKIABENCH",
            "aws_secret_access_key": "bench",
        });
        if let (Some(body), Some(settings)) = (body.as_object_mut(), settings.as_object()) {
            body.extend(settings.clone());
        }
        let storage = self.post(path, &body).await?;
        let id = storage["id"].as_i64().context("a storage's id")?;
        Ok(Storage { path: format!("{path}/{id}") })
    }

    /// Changes the bucket of a storage to one with the same keys and another latency. The ledger entries stay valid.
    pub async fn move_to(&self, storage: &Storage, bucket: &Bucket) -> Result<()> {
        self.send(reqwest::Method::PATCH, &storage.path, &json!({"bucket": bucket.to_string()})).await.map(drop)
    }

    /// Requests a sync and returns its ID.
    pub async fn enqueue(&self, storage: &Storage) -> Result<i64> {
        let answer = self.send(reqwest::Method::POST, &format!("{}/sync", storage.path), &json!({})).await?;
        let id = answer.headers().get("x-longshore-sync").context("the sync's id")?;
        Ok(id.to_str()?.parse()?)
    }

    pub async fn cancel(&self, sync: i64) -> Result<()> {
        self.post(&format!("/api/syncs/{sync}/cancel"), &json!({})).await.map(drop)
    }

    /// Syncs a storage and waits until it has completed.
    pub async fn sync(&self, storage: &Storage) -> Result<CompletedSync> {
        let before = self.cpu();
        let started = Instant::now();
        let id = self.enqueue(storage).await?;
        let status = self.ended(id).await?;
        let seconds = started.elapsed().as_secs_f64();
        ensure!(status == "completed", "sync {id} is {status}: see {}", self.bed.stack.run_dir().root().display());
        Ok(CompletedSync { seconds, cpu: self.cpu().since(before), counts: self.counts(id).await? })
    }

    /// Waits until a sync has ended, and returns its status.
    pub async fn ended(&self, sync: i64) -> Result<String> {
        let look = self.database.prepare("SELECT status FROM syncs WHERE id = $1 AND finished_at IS NOT NULL").await?;
        let waiting = async {
            loop {
                if let Some(row) = self.database.query_opt(&look, &[&sync]).await? {
                    return Ok(row.get(0));
                }
                if self.worker.process.exited().is_some() {
                    anyhow::bail!("the worker ended");
                }
                sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.context("a sync does not end")?
    }

    pub async fn counts(&self, sync: i64) -> Result<Value> {
        let url = format!("{}/api/syncs/{sync}", self.scheduler.url());
        let token = format!("Token {}", self.settings.token);
        let answer: Value = self.bed.http.get(url).header("Authorization", token).send().await?.json().await?;
        Ok(answer["counts"].clone())
    }

    /// Runs a query that returns one number.
    pub async fn number(&self, query: &str) -> Result<i64> {
        Ok(self.database.query_one(query, &[]).await?.get(0))
    }

    /// Writes a checkpoint, so that a row does not pay for the writes of the one before.
    pub async fn settle(&self) -> Result<()> {
        Ok(self.database.batch_execute("CHECKPOINT").await?)
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> Seconds {
        Seconds {
            worker: seconds(self.worker.process.pid()),
            scheduler: seconds(self.scheduler.process.pid()),
            postgres: seconds(self.bed.stack.postgres.pid()),
            broker: seconds(self.bed.stack.rabbitmq.pid()),
            store: seconds(self.bed.store_pid()),
        }
    }
}
