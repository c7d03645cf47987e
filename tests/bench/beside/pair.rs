//! A Label Studio and a Longshore on one database and one S3 server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use longshore_local::label_studio::{self, LabelStudio, NEWEST, TOKEN};
use longshore_local::s3::{Options as S3Options, S3Server};
use longshore_local::{App, Settings, Stack, installed, ports};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::bed;

pub(super) const CONFIG: &str = r#"<View><Image name="image" value="$image"/>
    <Choices name="label" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>"#;

/// How often the end of a sync is checked: one lookup by primary key.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// Longest duration of a sync; a longer one is an error.
pub(super) const PATIENCE: Duration = Duration::from_secs(3600);

pub(super) struct Pair<'a> {
    pub(super) stack: &'a Stack,
    pub(super) s3: S3Server,
    pub(super) studio: LabelStudio,
    pub(super) scheduler: App,
    worker: App,
    /// The database of both.
    pub(super) database: Client,
    pub(super) http: reqwest::Client,
    settings: Settings,
}

/// A project of Label Studio with one storage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Twin {
    pub(super) project: i64,
    pub(super) storage: i64,
    direction: &'static str,
}

/// A sync that ended.
#[derive(Debug, Clone)]
pub(super) struct EndedSync {
    /// From the request until its answer.
    pub(super) seconds: f64,
    /// The storage, as the answer shows it.
    pub(super) storage: Value,
}

impl EndedSync {
    /// Tasks or objects that it made.
    pub(super) fn count(&self) -> u64 {
        self.storage["last_sync_count"].as_u64().unwrap_or_default()
    }
}

impl<'a> Pair<'a> {
    pub(super) async fn start(stack: &'a Stack) -> Result<Self> {
        let python = tokio::task::spawn_blocking(|| installed::python(NEWEST)).await??;
        let mut settings = Settings::of(stack)?;
        settings.database_url = empty_host(stack, &python, "beside").await?;
        settings.amqp_url = stack.rabbitmq.create_vhost("beside").await?;
        let s3 = S3Server::start(S3Options::with_key(&settings.s3_access_key, &settings.s3_secret_key)).await?;
        let run_dir = stack.run_dir();
        let studio = LabelStudio::start(&python, run_dir, &settings.database_url, ports::free()?, &[]).await?;
        let environment = [("LONGSHORE_HOST", "label-studio"), ("LONGSHORE_LABEL_STUDIO_URL", studio.url())];
        let port = ports::free()?;
        let mut command = settings.scheduler(port)?;
        command.envs(environment);
        let scheduler = App::spawn(run_dir, "scheduler", command, port)?;
        scheduler.until_ready().await?;
        let port = ports::free()?;
        let mut command = settings.worker(port)?;
        command.envs(environment);
        let worker = App::spawn(run_dir, "worker", command, port)?;
        worker.until_ready().await?;
        let database = bed::connect(&settings.database_url).await?;
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().redirect(redirect).timeout(PATIENCE).build()?;
        Ok(Self { stack, s3, studio, scheduler, worker, database, http, settings })
    }

    /// Label Studio's version.
    pub(super) async fn version(&self) -> Result<Value> {
        Ok(self.studio.send("GET", "/api/version/", None).await?["release"].clone())
    }

    /// Process IDs of Label Studio, scheduler and worker.
    pub(super) fn pids(&self) -> Result<[u32; 3]> {
        let [studio, scheduler, worker] =
            [self.studio.process(), &self.scheduler.process, &self.worker.process].map(|process| process.pid());
        Ok([studio.context("Label Studio")?, scheduler.context("a scheduler")?, worker.context("a worker")?])
    }

    /// A project with an import storage on a bucket.
    pub(super) async fn import(&self, bucket: &str, settings: Value) -> Result<Twin> {
        let project = self.studio.create_project(bucket, CONFIG).await?;
        self.storage(project, "", bucket, settings).await
    }

    /// An export storage of a project.
    pub(super) async fn export(&self, project: i64, bucket: &str, prefix: &str) -> Result<Twin> {
        self.storage(project, "export/", bucket, json!({"prefix": prefix})).await
    }

    async fn storage(&self, project: i64, direction: &'static str, bucket: &str, own: Value) -> Result<Twin> {
        let mut body = json!({
            "project": project, "bucket": bucket, "s3_endpoint": self.s3.endpoint(), "region_name": "us-east-1",
            "aws_access_key_id": self.settings.s3_access_key, "aws_secret_access_key": self.settings.s3_secret_key,
        });
        if let (Some(body), Some(own)) = (body.as_object_mut(), own.as_object()) {
            body.extend(own.clone());
        }
        let storage = self.studio.send("POST", &format!("/api/storages/{direction}s3"), Some(&body)).await?;
        Ok(Twin { project, storage: storage["id"].as_i64().context("the storage's ID")?, direction })
    }

    /// Label Studio's own sync.
    pub(super) async fn sync_theirs(&self, twin: Twin) -> Result<EndedSync> {
        self.sync(self.studio.url(), twin).await
    }

    /// Longshore's sync.
    pub(super) async fn sync_ours(&self, twin: Twin) -> Result<EndedSync> {
        self.sync(&self.scheduler.url(), twin).await
    }

    async fn sync(&self, base: &str, twin: Twin) -> Result<EndedSync> {
        // A sync does not pay for the writes of the one before.
        self.database.batch_execute("CHECKPOINT").await?;
        let (path, started) = (twin.path(), Instant::now());
        let storage = self.studio.send_to(base, "POST", &format!("{path}/sync"), Some(&json!({}))).await?;
        let seconds = started.elapsed().as_secs_f64();
        match storage["status"].as_str() {
            Some("completed") => Ok(EndedSync { seconds, storage }),
            // The request did not wait for the end of a long sync.
            Some("queued" | "in_progress") => {
                let storage = self.ended(&path).await?;
                Ok(EndedSync { seconds: started.elapsed().as_secs_f64(), storage })
            }
            _ => bail!("{path}: {storage}"),
        }
    }

    /// Waits until a sync of Longshore has ended, and returns its storage.
    async fn ended(&self, path: &str) -> Result<Value> {
        let waiting = async {
            let look = "SELECT count(*) FROM syncs WHERE finished_at IS NULL OR reported_at IS NULL";
            while self.database.query_one(look, &[]).await?.get::<_, i64>(0) > 0 {
                sleep(POLL).await;
            }
            self.studio.send("GET", path, None).await
        };
        let storage = tokio::time::timeout(PATIENCE, waiting).await.context("a sync does not end")??;
        anyhow::ensure!(storage["status"] == "completed", "{path}: {storage}");
        Ok(storage)
    }

    /// Seconds of Longshore's last sync, from the row of its request until the row of its end.
    pub(super) async fn last_seconds(&self) -> Result<f64> {
        let query = "SELECT extract(epoch FROM finished_at - created_at)::float8 FROM syncs ORDER BY id DESC LIMIT 1";
        Ok(self.database.query_one(query, &[]).await?.get(0))
    }

    /// A request with the token of the first user.
    pub(super) fn get(&self, url: &str) -> reqwest::RequestBuilder {
        self.http.get(url).header("authorization", format!("Token {TOKEN}"))
    }
}

impl Twin {
    fn path(&self) -> String {
        format!("/api/storages/{}s3/{}", self.direction, self.storage)
    }
}

/// A new database with the tables of a Label Studio that has one user. Returns its URL.
pub(super) async fn empty_host(stack: &Stack, python: &Path, name: &str) -> Result<String> {
    let url = stack.postgres.create_database(name).await?;
    label_studio::fill(python, stack, &url).await?;
    Ok(url)
}
