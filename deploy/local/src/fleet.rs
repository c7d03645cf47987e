//! Longshore on a stack: an S3 server, a scheduler, workers.

use std::process::Command;

use anyhow::Result;

use crate::app::{App, program};
use crate::place::Place;
use crate::ports;
use crate::stack::Stack;

/// What every program of one deployment is told.
///
/// No `Debug`: most of it is secret.
#[derive(Clone)]
pub struct Settings {
    pub database_url: String,
    pub amqp_url: String,
    pub token: String,
    /// As `LONGSHORE_SECRET_KEYS` wants them: `id:base64-of-32-bytes`.
    pub secret_keys: String,
    pub s3_access_key: String,
    pub s3_secret_key: String,
}

impl Settings {
    /// The stack's own database and virtual host, and secrets that live as long as its folder.
    pub fn of(stack: &Stack) -> Result<Self> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let place = stack.place();
        // Any 32 bytes will do; these are the first half of the hexadecimal text.
        let key = &place.secret("sealing")?.into_bytes()[..32];
        Ok(Self {
            database_url: stack.postgres.url().to_owned(),
            amqp_url: stack.rabbitmq.url().to_owned(),
            token: place.secret("token")?,
            secret_keys: format!("local:{}", STANDARD.encode(key)),
            s3_access_key: "AKIALOCAL".to_owned(),
            s3_secret_key: place.secret("s3")?,
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

    /// An empty in-memory S3 server on `port`.
    pub fn s3(&self, port: u16) -> Result<Command> {
        let mut command = Command::new(program("longshore-s3")?);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.env("S3_ACCESS_KEY_ID", &self.s3_access_key).env("S3_SECRET_ACCESS_KEY", &self.s3_secret_key);
        Ok(command)
    }

    /// Storages of a local stack are on the loopback address, which is forbidden otherwise.
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

/// Everything of ours that runs on a stack. Dropped, it is killed.
pub struct Fleet {
    pub settings: Settings,
    pub s3: App,
    pub scheduler: App,
    pub workers: Vec<App>,
}

impl Fleet {
    /// Starts an S3 server, a scheduler and so many workers; returns when each is ready.
    pub async fn start(stack: &Stack, workers: usize) -> Result<Self> {
        let (place, settings) = (stack.place(), Settings::of(stack)?);
        let s3 = spawn(place, "s3", |port| settings.s3(port))?;
        let scheduler = spawn(place, "scheduler", |port| settings.scheduler(port))?;
        s3.until_listening().await?;
        // First alone: it creates the tables that workers read.
        scheduler.until_ready().await?;
        let spawn_worker = |number| spawn(place, &format!("worker-{number}"), |port| settings.worker(port));
        let workers: Vec<App> = (1..=workers).map(spawn_worker).collect::<Result<_>>()?;
        for worker in &workers {
            worker.until_ready().await?;
        }
        Ok(Self { settings, s3, scheduler, workers })
    }

    /// What somebody outside needs to use it, as environment variables.
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

    /// Lets all of it outlive this process.
    pub fn keep(self) {
        for app in [&self.s3, &self.scheduler].into_iter().chain(&self.workers) {
            app.process.keep();
        }
    }
}

fn spawn(place: &Place, name: &str, command: impl Fn(u16) -> Result<Command>) -> Result<App> {
    let port = ports::free()?;
    App::spawn(place, name, command(port)?, port)
}
