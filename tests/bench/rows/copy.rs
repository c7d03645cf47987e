//! Row 1: a blob import, compared with a raw binary `COPY` of the same rows into the same empty tables.

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt, pin_mut};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::bed::TestBed;
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};

/// Alternating rounds, so that a slow minute of the machine affects both sides.
const ROUNDS: usize = 2;

/// Bytes per message of the raw copy; the protocol's cost per message is not what is compared.
const CHUNK: usize = 64 * 1024;

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let keys = bed.scaled(1_000_000);
    let bucket = Bucket::new(Form::Flat, keys);
    let (mut importing, mut copying) = (0.0, 0.0);
    let mut rows: Option<Rows> = None;
    let mut cost = None;
    for round in 0..ROUNDS {
        let deployment = bed.deploy(&format!("copy{round}"), &[]).await?;
        let storage = deployment.import(&bucket).await?;
        deployment.settle().await?;
        let (lists, wal) = (bed.count_requests("lists").await?, wal(&deployment.database).await?);
        let ended = deployment.sync(&storage).await?;
        ensure!(ended.count("created") == keys, "{} of {keys} tasks", ended.count("created"));
        importing += ended.seconds;
        if rows.is_none() {
            let lists = bed.count_requests("lists").await? - lists;
            let wal = self::wal(&deployment.database).await? - wal;
            let bytes = deployment
                .number("SELECT (pg_total_relation_size('tasks') + pg_total_relation_size('objects'))::bigint")
                .await?;
            let messages = deployment.number("SELECT sum(attempt)::bigint FROM jobs").await?;
            cost = Some((ended.cpu, lists, wal, bytes, messages));
            rows = Some(Rows::of(&deployment.database).await?);
        }
        deployment.end().await?;
        if let Some(rows) = &rows {
            copying += rows.copy(bed).await?;
        }
    }
    let rate = |seconds: f64| (keys * ROUNDS as u64) as f64 / seconds;
    let (imported, copied) = (rate(importing), rate(copying));
    let figure = Figure::new(1, "blob import: tasks/s ÷ raw COPY of the same rows", imported / copied)
        .at_least(0.6)
        .conditions(format!(
            "{} keys, 1 worker with its defaults, 0 ms per page, {ROUNDS} rounds in turns: import {} tasks/s, \
             COPY {} tasks with ledger rows/s on one connection",
            whole(keys as f64),
            whole(imported),
            whole(copied)
        ))
        .raw("import_per_second", imported)
        .raw("copy_per_second", copied);
    let Some((cpu, lists, wal, bytes, messages)) = cost else { return Ok(vec![figure]) };
    let million = keys as f64 / 1e6;
    let total = cpu.worker + cpu.postgres + cpu.scheduler + cpu.broker;
    let cost = Figure::new(1, "cost of a million objects: CPU seconds without the object store", total / million)
        .unit(" s")
        .conditions(format!(
            "{}; per million: {} MiB of tables and indexes, {} MiB of WAL, {} messages, {} LIST requests",
            cpu.to_text(),
            whole(bytes as f64 / million / (1 << 20) as f64),
            whole(wal as f64 / million / (1 << 20) as f64),
            whole(messages as f64 / million),
            whole(lists as f64 / million)
        ))
        .raw("worker_cpu_seconds", cpu.worker / million)
        .raw("postgres_cpu_seconds", cpu.postgres / million)
        .raw("scheduler_cpu_seconds", cpu.scheduler / million)
        .raw("broker_cpu_seconds", cpu.broker / million)
        .raw("table_and_index_bytes", bytes as f64 / million)
        .raw("wal_bytes", wal as f64 / million)
        .raw("messages", messages as f64 / million)
        .raw("list_requests", lists as f64 / million);
    Ok(vec![figure, cost])
}

async fn wal(database: &Client) -> Result<i64> {
    let query = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint";
    Ok(database.query_one(query, &[]).await?.get(0))
}

/// What an import wrote, in Postgres's own binary form.
struct Rows {
    tasks: Vec<Bytes>,
    objects: Vec<Bytes>,
}

impl Rows {
    /// In the order of their keys, which is the fastest for the indexes.
    async fn of(database: &Client) -> Result<Self> {
        Ok(Self {
            tasks: dump(database, "SELECT * FROM tasks ORDER BY storage_key").await?,
            objects: dump(database, "SELECT * FROM objects ORDER BY storage_id, key, row_index").await?,
        })
    }

    /// Copies the rows into a new database, and returns the seconds.
    async fn copy(&self, bed: &TestBed) -> Result<f64> {
        let (_, database) = bed.database("rawcopy").await?;
        database.batch_execute("CHECKPOINT").await?;
        let started = Instant::now();
        load(&database, "tasks", &self.tasks).await?;
        load(&database, "objects", &self.objects).await?;
        let seconds = started.elapsed().as_secs_f64();
        drop(database);
        bed.drop_database("rawcopy").await?;
        Ok(seconds)
    }
}

pub async fn dump(database: &Client, query: &str) -> Result<Vec<Bytes>> {
    let rows = database.copy_out(&format!("COPY ({query}) TO STDOUT (FORMAT binary)")).await?;
    pin_mut!(rows);
    let (mut chunks, mut chunk) = (Vec::new(), BytesMut::new());
    while let Some(row) = rows.next().await {
        chunk.extend_from_slice(&row?);
        if chunk.len() >= CHUNK {
            chunks.push(chunk.split().freeze());
        }
    }
    chunks.push(chunk.freeze());
    Ok(chunks)
}

pub async fn load(database: &Client, table: &str, chunks: &[Bytes]) -> Result<()> {
    let sink = database.copy_in(&format!("COPY {table} FROM STDIN (FORMAT binary)")).await?;
    pin_mut!(sink);
    for chunk in chunks {
        sink.feed(chunk.clone()).await?;
    }
    sink.finish().await?;
    Ok(())
}
