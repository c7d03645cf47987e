//! Row 13: the time until syncs continue after a disturbance of the database.
//!
//! Several imports run on one worker with its defaults, one job each. Each disturbance is a way in which a database
//! that is not down refuses work. What counts is the slowest import: the time from the end of the disturbance until
//! its next page is committed.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;

use crate::bed::{TestBed, connect};
use crate::deployment::Deployment;
use crate::figure::Figure;
use crate::server::bucket::{Bucket, Form};

/// How long a disturbance lasts: longer than any request waits for a connection, shorter than a lease.
const DISTURBANCE: Duration = Duration::from_secs(20);

/// Pause between two terminations of all sessions: shorter than a page takes.
const TERMINATIONS: Duration = Duration::from_millis(100);

/// Imports at once: fewer than a worker has slots, so that none waits for another.
const IMPORTS: usize = 4;

/// How long a LIST takes, so that the imports outlast all disturbances.
const LIST_MS: u64 = 200;

/// Keys of each import: 20 minutes of pages.
const KEYS: u64 = 6_000_000;

const POLL: Duration = Duration::from_millis(20);

/// A sync that has not continued by then counts as failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// Maximum seconds until a sync continues.
const BAR: f64 = 10.0;

#[derive(Debug, Clone, Copy)]
enum Disturbance {
    Terminated,
    NoConnections,
    ReadOnly,
    LockedRows,
}

impl Disturbance {
    const ALL: [Self; 4] = [Self::Terminated, Self::NoConnections, Self::ReadOnly, Self::LockedRows];

    fn title(self) -> &'static str {
        match self {
            Self::Terminated => "sessions terminated in a loop",
            Self::NoConnections => "no new connections",
            Self::ReadOnly => "read-only",
            Self::LockedRows => "the jobs' rows locked",
        }
    }

    /// Disturbs for a while; on return the database works as before. `admin` is on another database of the server,
    /// `inside` on this one.
    async fn run(self, admin: &Client, inside: &Client, database: &str) -> Result<()> {
        match self {
            Self::Terminated => {
                let ends = Instant::now() + DISTURBANCE;
                while Instant::now() < ends {
                    terminate(admin, database).await?;
                    sleep(TERMINATIONS).await;
                }
            }
            Self::NoConnections => {
                admin.batch_execute(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false")).await?;
                terminate(admin, database).await?;
                sleep(DISTURBANCE).await;
                admin.batch_execute(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).await?;
            }
            Self::ReadOnly => {
                // The server's own setting: sessions that are open already follow it.
                admin.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await?;
                admin.batch_execute("SELECT pg_reload_conf()").await?;
                sleep(DISTURBANCE).await;
                admin.batch_execute("SET default_transaction_read_only = off").await?;
                admin.batch_execute("ALTER SYSTEM RESET default_transaction_read_only").await?;
                admin.batch_execute("SELECT pg_reload_conf()").await?;
            }
            Self::LockedRows => {
                inside.batch_execute("BEGIN; SELECT 1 FROM jobs WHERE finished_at IS NULL FOR UPDATE").await?;
                sleep(DISTURBANCE).await;
                inside.batch_execute("ROLLBACK").await?;
            }
        }
        Ok(())
    }
}

/// Ends the sessions of Longshore's processes.
async fn terminate(admin: &Client, database: &str) -> Result<()> {
    let theirs = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = $1 AND application_name LIKE 'longshore%' AND pid <> pg_backend_pid()";
    admin.query(theirs, &[&database]).await?;
    Ok(())
}

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    const NAME: &str = "recovery";
    let deployment = bed.deploy(NAME, &[("LONGSHORE_SPLIT_AFTER_PAGES", "0")]).await?;
    let mut syncs = Vec::with_capacity(IMPORTS);
    for _ in 0..IMPORTS {
        let storage = deployment.import(&Bucket::new(Form::Flat, KEYS).list_ms(LIST_MS)).await?;
        syncs.push(deployment.enqueue(&storage).await?);
    }
    let admin = connect(bed.stack.postgres.url()).await?;
    let mut figures = Vec::new();
    for disturbance in Disturbance::ALL {
        // Wait until all of them run.
        until_all_continue(&deployment, &syncs, &pages(&deployment, &syncs).await?).await?;
        disturbance.run(&admin, &deployment.database, NAME).await?;
        let ended = Instant::now();
        let before = pages(&deployment, &syncs).await?;
        let title = format!("until every sync continues after {} s: {}", DISTURBANCE.as_secs(), disturbance.title());
        let figure = match timeout(PATIENCE, until_all_continue(&deployment, &syncs, &before)).await {
            Ok(slowest) => Figure::new(13, title, slowest?.duration_since(ended).as_secs_f64()).unit(" s"),
            Err(_) => Figure::new(13, title, PATIENCE.as_secs_f64()).unit(" s or more"),
        };
        figures.push(figure.at_most(BAR).conditions(format!(
            "{IMPORTS} imports of one job each on one worker with its defaults (lease 60 s), {LIST_MS} ms per page; from \
             the end of the disturbance to the next committed page of the slowest"
        )));
    }
    for sync in syncs {
        deployment.cancel(sync).await?;
    }
    drop(admin);
    deployment.end().await?;
    Ok(figures)
}

/// Committed pages of each sync.
async fn pages(deployment: &Deployment<'_>, syncs: &[i64]) -> Result<Vec<i64>> {
    let query = "SELECT sync_id, sum(pages)::bigint FROM jobs WHERE sync_id = ANY ($1) GROUP BY sync_id";
    let rows = deployment.database.query(query, &[&syncs]).await?;
    let of = |sync: &i64| rows.iter().find(|row| row.get::<_, i64>(0) == *sync).map(|row| row.get(1));
    syncs.iter().map(|sync| of(sync).context("a sync's jobs")).collect()
}

/// Waits until each sync has committed another page, and returns the time.
async fn until_all_continue(deployment: &Deployment<'_>, syncs: &[i64], before: &[i64]) -> Result<Instant> {
    loop {
        let now = pages(deployment, syncs).await?;
        if now.iter().zip(before).all(|(now, before)| now > before) {
            return Ok(Instant::now());
        }
        if deployment.worker.process.exited().is_some() {
            bail!("the worker ended");
        }
        sleep(POLL).await;
    }
}
