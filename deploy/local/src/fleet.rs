//! Longshore on a stack: an S3 server, a scheduler and workers.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::app::{App, program};
use crate::run_dir::RunDir;
use crate::stack::Stack;

/// The access key ID of the S3 server of a stack.
pub(crate) const S3_ACCESS_KEY: &str = "AKIALOCAL";

/// Settings that all programs of one deployment share.
///
/// No `Debug`: most fields are secret.
#[derive(Clone)]
pub struct Settings {
    pub database_url: String,
    pub amqp_url: String,
    pub token: String,
    /// Value of `LONGSHORE_SECRET_KEYS`: `id:base64-of-32-bytes`.
    pub secret_keys: String,
    pub s3_access_key: String,
    pub s3_secret_key: String,
}

impl Settings {
    /// Uses the stack's database and virtual host, and secrets that stay the same while its run directory exists.
    pub fn of(stack: &Stack) -> Result<Self> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let run_dir = stack.run_dir();
        // Any 32 bytes are a key; these are the first half of the hexadecimal text.
        let key = &run_dir.secret("sealing")?.into_bytes()[..32];
        Ok(Self {
            database_url: stack.postgres.url().to_owned(),
            amqp_url: stack.rabbitmq.url().to_owned(),
            token: run_dir.secret("token")?,
            secret_keys: format!("local:{}", STANDARD.encode(key)),
            s3_access_key: S3_ACCESS_KEY.to_owned(),
            s3_secret_key: run_dir.secret("s3")?,
        })
    }

    /// A scheduler listening on `port`.
    pub fn scheduler(&self, port: u16) -> Result<Command> {
        let mut command = self.server("longshore-scheduler")?;
        command.env("LONGSHORE_TOKEN", &self.token).env("LONGSHORE_LISTEN", format!("127.0.0.1:{port}"));
        Ok(command)
    }

    /// A worker with its metrics on `port`.
    pub fn worker(&self, port: u16) -> Result<Command> {
        let mut command = self.server("longshore-worker")?;
        command.env("LONGSHORE_METRICS_LISTEN", format!("127.0.0.1:{port}"));
        Ok(command)
    }

    /// An in-memory S3 server on `port`, which keeps its objects in this file.
    pub fn s3(&self, port: u16, objects: &Path) -> Result<Command> {
        let mut command = Command::new(program("longshore-s3")?);
        command.arg("--objects").arg(objects);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.env("S3_ACCESS_KEY_ID", &self.s3_access_key).env("S3_SECRET_ACCESS_KEY", &self.s3_secret_key);
        Ok(command)
    }

    /// Allows the loopback address, where the storages of a local stack are: it is forbidden by default.
    fn server(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(program(name)?);
        command
            .env("DATABASE_URL", &self.database_url)
            .env("AMQP_URL", &self.amqp_url)
            .env("LONGSHORE_SECRET_KEYS", &self.secret_keys)
            .env("LONGSHORE_ALLOWED_ENDPOINTS", "127.0.0.0/8");
        Ok(command)
    }
}

/// Our own programs on a stack. Dropping it kills them.
pub struct Fleet {
    pub settings: Settings,
    pub s3: App,
    pub scheduler: App,
    pub workers: Vec<App>,
}

impl Fleet {
    /// Starts an S3 server, a scheduler and this many workers; returns when all are ready.
    pub async fn start(stack: &Stack, workers: usize) -> Result<Self> {
        let (run_dir, settings) = (stack.run_dir(), Settings::of(stack)?);
        let objects = run_dir.folder("s3")?.join("objects.jsonl");
        let s3 = spawn(run_dir, "s3", |port| settings.s3(port, &objects))?;
        let scheduler = spawn(run_dir, "scheduler", |port| settings.scheduler(port))?;
        s3.until_listening().await?;
        // Before the workers: the scheduler creates the tables that they read.
        scheduler.until_ready().await?;
        let spawn_worker = |number| spawn(run_dir, &format!("worker-{number}"), |port| settings.worker(port));
        let workers: Vec<App> = (1..=workers).map(spawn_worker).collect::<Result<_>>()?;
        for worker in &workers {
            worker.until_ready().await?;
        }
        Ok(Self { settings, s3, scheduler, workers })
    }

    /// The environment variables that a user of the fleet needs.
    pub fn environment(&self, stack: &Stack) -> Vec<(&'static str, String)> {
        let metrics: Vec<String> =
            [&self.scheduler].into_iter().chain(&self.workers).map(|app| format!("{}/metrics", app.url())).collect();
        vec![
            ("LONGSHORE_URL", self.scheduler.url()),
            ("LONGSHORE_TOKEN", self.settings.token.clone()),
            ("DATABASE_URL", self.settings.database_url.clone()),
            ("AMQP_URL", self.settings.amqp_url.clone()),
            ("AMQP_MANAGEMENT_URL", stack.rabbitmq.management_url()),
            ("REDIS_URL", stack.redis.url().to_owned()),
            ("S3_ENDPOINT", self.s3.url()),
            ("S3_ACCESS_KEY_ID", self.settings.s3_access_key.clone()),
            ("S3_SECRET_ACCESS_KEY", self.settings.s3_secret_key.clone()),
            ("METRICS_URLS", metrics.join(",")),
        ]
    }

    /// Lets all programs outlive this process.
    pub fn keep(self) {
        for app in [&self.s3, &self.scheduler].into_iter().chain(&self.workers) {
            app.process.keep();
        }
    }
}

fn spawn(run_dir: &RunDir, name: &str, command: impl Fn(u16) -> Result<Command>) -> Result<App> {
    let port = run_dir.port(name)?;
    App::spawn(run_dir, name, command(port)?, port)
}
