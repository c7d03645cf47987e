//! How PostgreSQL runs Longshore's own statements: with which scans, and how many pages it touches.
//!
//! The tests call the functions of `longshore-db` as the programs do, and the server explains every statement
//! (`auto_explain`), including statements inside functions. Each function is called several times, so that the cached
//! plan of a prepared statement is checked too, in sessions of each [`PlanMode`], with current statistics and with
//! those of tables that have grown since; see [`Statistics`].

mod log;
mod statements;

use anyhow::{Context, Result, ensure};
use longshore_db::{Check, Client, Db, PATIENCE};
use longshore_local::RunDir;
use longshore_local::guard::{Folder, Guard};
use longshore_local::postgres::Postgres;
use longshore_model::{Connection, S3Connection, Secret, StorageSettings};

use crate::servers;

use log::ExplainedStatement;

/// From the sixth call on, PostgreSQL uses a generic plan if its estimated cost is not higher.
const CALLS: usize = 7;

/// Reading a smaller table completely is as fast as using an index.
const SMALL_TABLE: i64 = 2_000;

/// Rows that a statement for one page may read: a thousand in each of four tables, and a margin. It must stay below the
/// ten thousand exports of the smallest database here, so that a statement that reads all of them fails.
const PAGE_ROWS: u64 = 5_000;

/// Tables that may become large.
const TABLES: [&str; 8] = ["tasks", "annotations", "predictions", "objects", "quarantine", "exports", "jobs", "syncs"];

/// Analyzes every table and disables autovacuum, so that the statistics no longer change.
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

/// The planner's statistics when the statements run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Analyzed after the last row.
    Current,
    /// Analyzed only while every table was empty: a first import or a first export.
    OfEmptyTables,
    /// Analyzed only while the tables had a few rows of another storage and project.
    OfFewRows,
}

/// The kind of plan that a session uses for a statement with parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanMode {
    /// PostgreSQL's choice: a custom plan for each call, and from the sixth call on possibly a generic plan.
    Auto,
    /// A new plan for each call.
    Custom,
    /// One plan for all parameter values.
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

/// The measured statements of one step, for example of claiming a job.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: &'static str,
    /// Pages of 8 KiB that one of its statements may touch.
    pub budget: u64,
    /// Pages that its worst statement touched.
    pub pages: u64,
    /// Rows that one of its statements may read.
    pub rows_budget: u64,
    /// Rows that its worst statement read.
    pub rows: u64,
    /// The scans of the worst statement's plan.
    pub nodes: String,
    /// Large tables that a statement read completely, with the statement.
    pub whole: Vec<String>,
}

impl Step {
    /// A description of the first exceeded limit, if any.
    pub fn fault(&self) -> Option<String> {
        if let Some(whole) = self.whole.first() {
            return Some(format!("{}: reads a table completely: {whole}", self.name));
        }
        if self.rows > self.rows_budget {
            let (rows, limit) = (self.rows, self.rows_budget);
            return Some(format!("{}: reads {rows} rows, at most {limit} allowed: {}", self.name, self.nodes));
        }
        (self.pages > self.budget).then(|| {
            format!("{}: touches {} pages, at most {} allowed: {}", self.name, self.pages, self.budget, self.nodes)
        })
    }
}

/// A server only for plans, because the tests read its log.
pub struct Server {
    pub postgres: Postgres,
    /// Dropped last: it ends the process and removes its run directory.
    _guard: Guard,
}

impl Server {
    pub async fn start() -> Result<Self> {
        let run_dir = RunDir::open(servers::folder(&servers::unique("plans")))?;
        let guard = Guard::watch(&run_dir, Folder::Remove)?;
        Ok(Self { postgres: Postgres::start(&run_dir, false).await?, _guard: guard })
    }
}

/// A filled database whose server explains every statement.
pub struct Plans<'a> {
    postgres: &'a Postgres,
    name: String,
    url: Secret,
    /// One connection, so that prepared statements stay prepared.
    db: Db,
    large: Vec<String>,
    steps: Vec<Step>,
    rows: i64,
}

impl<'a> Plans<'a> {
    /// Fills a new database with this many tasks and ledger rows.
    ///
    /// With few rows, reading a table completely is the right plan. Without `seq_scans`, the plan shows whether an
    /// index exists.
    pub async fn fill(
        postgres: &'a Postgres,
        name: &str,
        rows: i64,
        seq_scans: bool,
        statistics: Statistics,
    ) -> Result<Self> {
        let url = Secret::new(postgres.create_database(name).await?);
        // Filling takes longer than the usual statement timeout.
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
        // One by one, because VACUUM cannot run inside a transaction.
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
            // Counted, because the statistics may not include the rows.
            let count: i64 = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0);
            if count > SMALL_TABLE {
                large.push(table.to_owned());
            }
        }
        let db = Db::new(&url, "explained", 1, PATIENCE, Check::Always)?;
        Ok(Self { postgres, name: name.to_owned(), url, db, large, steps: Vec::new(), rows })
    }

    /// Explains every frequent statement, in sessions with this plan mode.
    pub async fn explain(&mut self, mode: PlanMode) -> Result<Vec<Step>> {
        let set = format!("ALTER DATABASE {} SET plan_cache_mode = {}", self.name, mode.setting());
        self.db.client().await?.batch_execute(&set).await?;
        // Only new sessions get the setting.
        self.db = Db::new(&self.url, "explained", 1, PATIENCE, Check::Always)?;
        statements::explain_all(self).await?;
        Ok(std::mem::take(&mut self.steps))
    }

    /// Runs a step several times and records its plans. The work must roll back.
    async fn step(
        &mut self,
        name: &'static str,
        budget: u64,
        work: impl AsyncFn(&mut Client) -> Result<()>,
    ) -> Result<()> {
        self.step_over(name, budget, PAGE_ROWS, work).await
    }

    /// [`Self::step`] for statements that may read this many rows.
    async fn step_over(
        &mut self,
        name: &'static str,
        budget: u64,
        rows_budget: u64,
        work: impl AsyncFn(&mut Client) -> Result<()>,
    ) -> Result<()> {
        let mut client = self.db.client().await?;
        // Not recorded: a new session reads the catalog first, which adds pages.
        work(&mut client).await.with_context(|| name)?;
        let before = self.postgres.log()?.len();
        for _ in 0..CALLS {
            work(&mut client).await.with_context(|| name)?;
        }
        let log = self.postgres.log()?;
        let explained = log::read(&log[before..])?;
        ensure!(explained.len() >= CALLS, "the server explained {} statements of {name}", explained.len());
        let worst = explained.iter().max_by_key(|plan| plan.pages).context("a plan")?;
        let whole = |plan: &ExplainedStatement| {
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
