//! How Postgres answers the product's own statements: by which scans, and how many pages it touches.
//!
//! The functions of `longshore-db` are called as the product calls them, and the server itself explains every
//! statement it runs for them (`auto_explain`), statements inside of functions included. Each is asked several
//! times, so that the plan kept for prepared statements is among those judged; and in each kind of session, with
//! statistics that are current and with those of tables that have grown since, see [`Statistics`].

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
const SMALL_TABLE: i64 = 2_000;

/// Rows that the statement of a page may go through: a thousand of each of the four tables that it may join, and
/// some. More would let a statement pass that reads all ten thousand exports of the smallest database here.
const PAGE_ROWS: u64 = 5_000;

/// Tables that may become large.
const TABLES: [&str; 8] = ["tasks", "annotations", "predictions", "objects", "quarantine", "exports", "jobs", "syncs"];

/// Analyzes every table and keeps the statistics as they are from then on.
const STOP_STATISTICS: &str = "
    DO $$
    DECLARE name text;
    BEGIN
        FOR name IN SELECT relname FROM pg_class
                     WHERE relkind = 'r' AND relnamespace = 'longshore'::regnamespace
        LOOP
            EXECUTE format('ALTER TABLE longshore.%I SET (autovacuum_enabled = off)', name);
            EXECUTE format('ANALYZE longshore.%I', name);
        END LOOP;
    END
    $$";

/// What the planner knows of the tables when the statements are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Analyzed after the last row.
    Current,
    /// Analyzed while every table was empty, and never since: a first import, or a first export.
    OfEmptyTables,
    /// Analyzed while the tables held a few rows of another storage and project, and never since.
    OfFewRows,
}

/// Which plans a session uses for a statement with parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanMode {
    /// As Postgres decides: for each set of values, and from the sixth call on perhaps one for all.
    Auto,
    /// A plan for each set of values.
    Custom,
    /// One plan for all values.
    Generic,
}

impl PlanMode {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Custom, Self::Generic];

    /// The value of the setting `plan_cache_mode`.
    const fn setting(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Custom => "force_custom_plan",
            Self::Generic => "force_generic_plan",
        }
    }
}

/// What came of one step of the product.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: &'static str,
    /// Pages that one statement of it may touch, of eight KiB each.
    pub budget: u64,
    /// Pages that the worst of its statements touched.
    pub pages: u64,
    /// Rows that one statement of it may go through.
    pub rows_budget: u64,
    /// Rows that the worst of its statements went through.
    pub rows: u64,
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
        if self.rows > self.rows_budget {
            let (rows, at_most) = (self.rows, self.rows_budget);
            return Some(format!("{}: goes through {rows} rows, {at_most} at most: {}", self.name, self.nodes));
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
    name: String,
    url: Secret,
    /// One connection, so that statements prepared once stay prepared.
    db: Db,
    large: Vec<String>,
    steps: Vec<Step>,
    rows: i64,
}

impl<'a> Plans<'a> {
    /// Fills a fresh database with this many tasks and ledger rows.
    ///
    /// Of few rows the planner is right to read many whole; `seq_scans` off, it shows whether there is an index.
    pub async fn fill(
        postgres: &'a Postgres,
        name: &str,
        rows: i64,
        seq_scans: bool,
        statistics: Statistics,
    ) -> Result<Self> {
        let url = Secret::new(postgres.create_database(name).await?);
        // Filling takes longer than a statement otherwise may.
        let filler = Db::new(&url, "fill", 1, PATIENCE, Check::Always)?;
        filler.migrate().await?;
        let client = filler.client().await?;
        let connection = S3Connection { bucket: "photos".to_owned(), ..S3Connection::default() };
        let settings = serde_json::to_string(&StorageSettings::new(Connection::S3(connection)))?;
        client.batch_execute("SET statement_timeout = 0").await?;
        match statistics {
            Statistics::Current => {}
            Statistics::OfEmptyTables => client.batch_execute(STOP_STATISTICS).await?,
            Statistics::OfFewRows => {
                client.batch_execute(include_str!("few.sql")).await?;
                client.batch_execute(STOP_STATISTICS).await?;
            }
        }
        let fill = include_str!("fill.sql").replace("{rows}", &rows.to_string()).replace("{settings}", &settings);
        // One after the other: VACUUM may not share a transaction.
        for statement in fill.split(";\n") {
            client.batch_execute(statement).await.with_context(|| statement.to_owned())?;
        }
        if statistics == Statistics::Current {
            client.batch_execute("VACUUM ANALYZE").await?;
        }
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
        let mut large = Vec::new();
        for table in TABLES {
            // Counted: the statistics may know nothing of the rows.
            let count: i64 = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0);
            if count > SMALL_TABLE {
                large.push(table.to_owned());
            }
        }
        let db = Db::new(&url, "explained", 1, PATIENCE, Check::Always)?;
        Ok(Self { postgres, name: name.to_owned(), url, db, large, steps: Vec::new(), rows })
    }

    /// Explains every hot statement, in sessions that use plans of this kind.
    pub async fn explain(&mut self, mode: PlanMode) -> Result<Vec<Step>> {
        let set = format!("ALTER DATABASE {} SET plan_cache_mode = {}", self.name, mode.setting());
        self.db.client().await?.batch_execute(&set).await?;
        // Only sessions that begin later have the setting.
        self.db = Db::new(&self.url, "explained", 1, PATIENCE, Check::Always)?;
        statements::all(self).await?;
        Ok(std::mem::take(&mut self.steps))
    }

    /// Does a step of the product several times; nothing of it stays.
    async fn step(
        &mut self,
        name: &'static str,
        budget: u64,
        work: impl AsyncFn(&mut Client) -> Result<()>,
    ) -> Result<()> {
        self.step_over(name, budget, PAGE_ROWS, work).await
    }

    /// The same where a statement may go through this many rows.
    async fn step_over(
        &mut self,
        name: &'static str,
        budget: u64,
        rows_budget: u64,
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
            rows_budget,
            rows: explained.iter().map(|plan| plan.rows).max().unwrap_or_default(),
            nodes: worst.nodes.join(", "),
            whole: explained.iter().filter_map(whole).collect(),
        });
        Ok(())
    }
}
