//! The private stack of the demo.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_local::config::ExistingServers;
use longshore_local::s3::{Options as S3Options, S3Server};
use longshore_local::{App, Options, RunDir, Settings, Stack, ports};
use tokio::time::sleep;

use super::report;

/// Two, so that what only happens between workers also happens here.
const WORKERS: usize = 2;

/// How often processes are checked.
const POLL: Duration = Duration::from_millis(200);

/// The servers, before Longshore is started on them. Dropping it kills them.
pub(super) struct Servers {
    pub(super) s3: S3Server,
    pub(super) settings: Settings,
    pub(super) stack: Stack,
}

/// All programs of the demo. Dropping it kills them.
pub(super) struct DemoStack {
    /// In this process, so that the checks read the buckets without requests.
    pub(super) s3: S3Server,
    pub(super) scheduler: App,
    pub(super) settings: Settings,
    workers: Vec<App>,
    stack: Stack,
}

impl Servers {
    /// Starts servers and S3 below `root`, with a new database and virtual host.
    pub(super) async fn start(root: &Path) -> Result<Self> {
        let existing = ExistingServers::from_env();
        let has_existing = existing.database_url.is_some() || existing.amqp_url.is_some();
        // Not throwaway: after a failure the user may want to read the logs.
        let stack = Stack::start(root, Options { fsync: false, throwaway: false, existing }).await?;
        let mut settings = Settings::of(&stack)?;
        // A new database and virtual host, because the servers may be existing ones.
        let name = format!("longshore_demo_{}", std::process::id());
        settings.database_url = stack.postgres.create_database(&name).await?;
        settings.amqp_url = stack.rabbitmq.create_vhost(&name).await?;
        if has_existing {
            report::row("not removed", &format!("database and virtual host {name}, on your existing servers"));
        }

        let s3 = S3Server::start(S3Options::with_key(&settings.s3_access_key, &settings.s3_secret_key))
            .await
            .context("start the S3 server")?;
        Ok(Self { s3, settings, stack })
    }

    /// Starts a scheduler and workers with these environment variables; returns when all are ready.
    pub(super) async fn launch(self, environment: &[(&str, &str)]) -> Result<DemoStack> {
        let Self { s3, settings, stack } = self;
        let run_dir = stack.run_dir();
        let spawn = |name: &str, command: fn(&Settings, u16) -> Result<Command>| {
            let port = ports::free()?;
            let mut command = command(&settings, port)?;
            command.envs(environment.iter().copied());
            App::spawn(run_dir, name, command, port)
        };
        let scheduler = spawn("scheduler", Settings::scheduler)?;
        // Before the workers: the scheduler creates the tables that they read.
        scheduler.until_ready().await?;
        let worker = |number| spawn(&format!("worker-{number}"), Settings::worker);
        let workers: Vec<App> = (1..=WORKERS).map(worker).collect::<Result<_>>()?;
        for worker in &workers {
            worker.until_ready().await?;
        }
        Ok(DemoStack { s3, scheduler, settings, workers, stack })
    }
}

impl DemoStack {
    /// Starts servers, S3, scheduler and workers below `root`; returns when all are ready.
    pub(super) async fn start(root: &Path) -> Result<Self> {
        Servers::start(root).await?.launch(&[]).await
    }

    pub(super) fn run_dir(&self) -> &RunDir {
        self.stack.run_dir()
    }

    /// Waits until a process ends by itself, which is an error, and describes it.
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

    /// Lets every process finish its current work, and ends the servers.
    pub(super) async fn stop(self) -> Result<()> {
        for app in self.apps() {
            let status = app.stop().await?;
            ensure!(status.success(), "{} ended with {status} after SIGTERM", app.process.name());
        }
        self.s3.shutdown().await;
        drop(self.stack);
        Ok(())
    }
}
