//! The private stack that the demo plays on.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_local::config::Existing;
use longshore_local::s3::{Options as S3Options, S3Server};
use longshore_local::{App, Options, Settings, Stack, ports};
use tokio::time::sleep;

use super::report;

/// Two, so that what only happens between workers happens here too.
const WORKERS: usize = 2;

/// How often processes are looked at.
const POLL: Duration = Duration::from_millis(200);

/// Everything that runs. Dropped, it is killed.
pub(super) struct Stage {
    /// In this process, so that the oracle looks into the buckets without asking anybody.
    pub(super) s3: S3Server,
    pub(super) scheduler: App,
    pub(super) settings: Settings,
    workers: Vec<App>,
    stack: Stack,
}

impl Stage {
    /// Starts servers, S3, scheduler and workers below `root`; returns when each is ready.
    pub(super) async fn start(root: &Path) -> Result<Self> {
        let existing = Existing::from_env();
        let borrowed = existing.database_url.is_some() || existing.amqp_url.is_some();
        // Not a throwaway: after a failure somebody wants to read the logs.
        let stack = Stack::start(root, Options { fsync: false, throwaway: false, existing }).await?;
        let mut settings = Settings::of(&stack)?;
        // Of the demo's own, for the servers may be somebody else's.
        let name = format!("longshore_demo_{}", std::process::id());
        settings.database_url = stack.postgres.create_database(&name).await?;
        settings.amqp_url = stack.rabbitmq.create_vhost(&name).await?;
        if borrowed {
            report::row("left behind", &format!("database and virtual host {name}, on the servers you named"));
        }

        let s3 = S3Server::start(S3Options::with_key(&settings.s3_access_key, &settings.s3_secret_key))
            .await
            .context("start the S3 server")?;
        let place = stack.place();
        let port = ports::free()?;
        let scheduler = App::spawn(place, "scheduler", settings.scheduler(port)?, port)?;
        // First alone: it creates the tables that workers read.
        scheduler.until_ready().await?;
        let worker = |number| {
            let port = ports::free()?;
            App::spawn(place, &format!("worker-{number}"), settings.worker(port)?, port)
        };
        let workers: Vec<App> = (1..=WORKERS).map(worker).collect::<Result<_>>()?;
        for worker in &workers {
            worker.until_ready().await?;
        }
        Ok(Self { s3, scheduler, settings, workers, stack })
    }

    /// Waits until a process ends by itself, which none should, and says which.
    pub(super) async fn until_one_ends(&self) -> String {
        loop {
            for app in self.apps() {
                if let Some(status) = app.process.exited() {
                    return format!("{} ended ({status})", app.process.name());
                }
            }
            sleep(POLL).await;
        }
    }

    fn apps(&self) -> impl Iterator<Item = &App> {
        self.workers.iter().chain([&self.scheduler])
    }

    /// Lets every process finish what it has in hand, and ends the servers.
    pub(super) async fn stop(self) -> Result<()> {
        for app in self.apps() {
            let status = app.stop().await?;
            ensure!(status.success(), "{} ended with {status} when asked to stop", app.process.name());
        }
        self.s3.shutdown().await;
        drop(self.stack);
        Ok(())
    }
}
