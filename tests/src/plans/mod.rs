//! How Postgres answers the product's own statements: by which scans, and how many pages it touches.
//!
//! The functions of `longshore-db` are called as the product calls them, and the server itself explains every
//! statement it runs for them (`auto_explain`), statements inside of functions included. Each is asked several
//! times, so that the plan kept for prepared statements is among those judged.

mod log;
mod statements;

use anyhow::{Context, Result, ensure};
use longshore_db::{Check, Client, Db, PATIENCE};
use longshore_local::Place;
use longshore_local::guard::{Folder, Guard};
use longshore_local::postgres::Postgres;
use longshore_model::{Connection, S3Connection, Secret, StorageSettings};

use crate::servers;

use log::Explained;

/// Postgres makes a plan for all values, if that looks no worse, from the sixth call on.
const CALLS: usize = 7;

/// A table of fewer rows is read whole as quickly as by an index.
const SMALL_TABLE: f32 = 2_000.0;

/// What came of one step of the product.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: &'static str,
    /// Pages that one statement of it may touch, of eight KiB each.
    pub budget: u64,
    /// Pages that the worst of its statements touched.
    pub pages: u64,
    /// The nodes of the worst statement's plan.
    pub nodes: String,
    /// Large tables that were read whole, with the statement.
    pub whole: Vec<String>,
}

impl Step {
    /// What is wrong with it, if anything.
    pub fn fault(&self) -> Option<String> {
        if let Some(whole) = self.whole.first() {
            return Some(format!("{}: reads a whole table: {whole}", self.name));
        }
        (self.pages > self.budget)
            .then(|| format!("{}: touches {} pages, {} at most: {}", self.name, self.pages, self.budget, self.nodes))
    }
}

/// A server for plans alone: its log is read.
pub struct Server {
    pub postgres: Postgres,
    /// Last: it ends the process and removes its folder.
    _guard: Guard,
}

impl Server {
    pub async fn start() -> Result<Self> {
        let place = Place::open(servers::folder(&servers::unique("plans")))?;
        let guard = Guard::watch(&place, Folder::Remove)?;
        Ok(Self { postgres: Postgres::start(&place, false).await?, _guard: guard })
    }
}

/// A filled database whose server explains what it does.
pub struct Plans<'a> {
    postgres: &'a Postgres,
    db: Db,
    large: Vec<String>,
    steps: Vec<Step>,
    rows: i64,
}

impl<'a> Plans<'a> {
    /// Fills a fresh database with so many tasks and ledger rows.
    ///
    /// Of few rows the planner is right to read many whole; `seq_scans` off, it shows whether there is an index.
    pub async fn fill(postgres: &'a Postgres, name: &str, rows: i64, seq_scans: bool) -> Result<Self> {
        let url = Secret::new(postgres.create_database(name).await?);
        // Filling takes longer than a statement otherwise may.
        let filler = Db::new(&url, "fill", 1, PATIENCE, Check::Always)?;
        filler.migrate().await?;
        let client = filler.client().await?;
        let connection = S3Connection { bucket: "photos".to_owned(), ..S3Connection::default() };
        let settings = serde_json::to_string(&StorageSettings::new(Connection::S3(connection)))?;
        client.batch_execute("SET statement_timeout = 0").await?;
        let fill = include_str!("fill.sql").replace("{rows}", &rows.to_string()).replace("{settings}", &settings);
        // One after the other: VACUUM may not share a transaction.
        for statement in fill.split(";\n") {
            client.batch_execute(statement).await.with_context(|| statement.to_owned())?;
        }
        let large = client
            .query("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > $1", &[&SMALL_TABLE])
            .await?
            .iter()
            .map(|row| row.get(0))
            .collect();
        for setting in [
            "session_preload_libraries = auto_explain",
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_analyze = on",
            "auto_explain.log_buffers = on",
            "auto_explain.log_timing = off",
            "auto_explain.log_nested_statements = on",
            "auto_explain.log_format = json",
        ] {
            client.batch_execute(&format!("ALTER DATABASE {name} SET {setting}")).await?;
        }
        if !seq_scans {
            client.batch_execute(&format!("ALTER DATABASE {name} SET enable_seqscan = off")).await?;
        }
        let db = Db::new(&url, "explained", 1, PATIENCE, Check::Always)?;
        Ok(Self { postgres, db, large, steps: Vec::new(), rows })
    }

    /// Explains every hot statement.
    pub async fn explain(mut self) -> Result<Vec<Step>> {
        statements::all(&mut self).await?;
        Ok(self.steps)
    }

    /// Does a step of the product several times; nothing of it stays.
    async fn step(
        &mut self,
        name: &'static str,
        budget: u64,
        work: impl AsyncFn(&mut Client) -> Result<()>,
    ) -> Result<()> {
        let mut client = self.db.client().await?;
        // Not judged: a fresh session reads the catalog first, which counts as pages too.
        work(&mut client).await.with_context(|| name)?;
        let before = self.postgres.log()?.len();
        for _ in 0..CALLS {
            work(&mut client).await.with_context(|| name)?;
        }
        let log = self.postgres.log()?;
        let explained = log::read(&log[before..])?;
        ensure!(explained.len() >= CALLS, "the server explained {} statements of {name}", explained.len());
        let worst = explained.iter().max_by_key(|plan| plan.pages).context("a plan")?;
        let whole = |plan: &Explained| {
            let table = plan.read_whole.iter().find(|table| self.large.contains(table))?;
            Some(format!("{table} in {}", plan.query))
        };
        self.steps.push(Step {
            name,
            budget,
            pages: worst.pages,
            nodes: worst.nodes.join(", "),
            whole: explained.iter().filter_map(whole).collect(),
        });
        Ok(())
    }
}
