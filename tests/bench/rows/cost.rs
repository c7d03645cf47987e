//! Row 12: the cost of a million objects, by kind of work and at two sizes, and the tables after many small syncs.

use anyhow::{Result, ensure};
use futures::future::try_join_all;

use super::puts::SEED;
use super::sizes::{self, FACTOR, Sample};
use crate::bed::TestBed;
use crate::deployment::{Deployment, Storage};
use crate::figure::{Figure, whole};
use crate::server::bucket::{Bucket, Form};
use crate::usage::Seconds;

/// How many small syncs run at once, and how often.
const STORAGES: usize = 50;
const ROUNDS: usize = 20;

/// An idle session reports its statistics after at most 10 s.
const STATISTICS_DELAY: std::time::Duration = std::time::Duration::from_secs(11);

/// Blobs of the smaller size. A sync has a fixed cost of about a processor second: up to 2,700 LISTs to split its
/// range, and prepared statements. With 1,000,000 keys this was a fifth of the cost of a re-sync.
const BLOBS: u64 = 2_000_000;

/// Files, and annotations, of the smaller size. With 20,000 half a second of preparation was a fifth of the cost.
const FILES: u64 = 50_000;

pub async fn measure(bed: &TestBed) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let (blobs, files) = (bed.scaled(BLOBS), bed.scaled(FILES));
    let small = kinds(bed, blobs, files, &mut figures).await?;
    let large = kinds(bed, blobs * FACTOR, files * FACTOR, &mut figures).await?;
    for ((what, small), (_, large)) in small.into_iter().zip(large) {
        figures.push(sizes::compare(12, what, small, large));
    }
    figures.extend(churn(bed).await?);
    Ok(figures)
}

/// The cost of each kind of work at one size, on tables that are empty at first.
async fn kinds(
    bed: &TestBed,
    blobs: u64,
    files: u64,
    figures: &mut Vec<Figure>,
) -> Result<Vec<(&'static str, Sample)>> {
    let deployment = bed.deploy("cost", &[]).await?;
    let mut samples = Vec::new();
    let mut measured = async |storage: &Storage, objects, counted, what| {
        let (figure, sample) = cost(bed, &deployment, storage, objects, counted, what).await?;
        figures.push(figure);
        samples.push((what, sample));
        anyhow::Ok(())
    };
    let storage = deployment.import(&Bucket::new(Form::Flat, blobs)).await?;
    measured(&storage, blobs, "created", "blob import").await?;
    measured(&storage, blobs, "existed", "re-sync, nothing new").await?;
    let storage = deployment.import(&Bucket::new(Form::Tasks, files)).await?;
    measured(&storage, files, "created", "import of 1 KB JSON files").await?;
    deployment.database.execute(SEED, &[&deployment.project, &i64::try_from(files)?]).await?;
    deployment.database.batch_execute("VACUUM ANALYZE").await?;
    let storage = deployment.export(&Bucket::new(Form::Flat, files)).await?;
    measured(&storage, files, "exported", "export of annotations").await?;
    deployment.end().await?;
    Ok(samples)
}

/// Counters before or after a sync.
struct Meter {
    /// Requests to the object store: LIST, GET, PUT.
    requests: [u64; 3],
    wal: i64,
    bytes: i64,
    messages: i64,
}

impl Meter {
    async fn read(bed: &TestBed, deployment: &Deployment<'_>) -> Result<Self> {
        let size = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
                     WHERE relkind = 'r' AND relnamespace = 'longshore'::regnamespace";
        Ok(Self {
            requests: [
                bed.count_requests("lists").await?,
                bed.count_requests("gets").await?,
                bed.count_requests("puts").await?,
            ],
            wal: deployment.number("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").await?,
            bytes: deployment.number(size).await?,
            messages: deployment.number("SELECT coalesce(sum(attempt), 0)::bigint FROM jobs").await?,
        })
    }
}

/// Syncs a storage, and returns the cost per million objects.
async fn cost(
    bed: &TestBed,
    deployment: &Deployment<'_>,
    storage: &Storage,
    objects: u64,
    counted: &str,
    what: &str,
) -> Result<(Figure, Sample)> {
    deployment.settle().await?;
    let before = Meter::read(bed, deployment).await?;
    let ended = deployment.sync(storage).await?;
    let after = Meter::read(bed, deployment).await?;
    ensure!(ended.count(counted) == objects, "{what}: {} of {objects} {counted}", ended.count(counted));
    let million = objects as f64 / 1e6;
    let mib = |bytes: i64| bytes as f64 / million / f64::from(1 << 20);
    let requests: [f64; 3] = std::array::from_fn(|n| (after.requests[n] - before.requests[n]) as f64 / million);
    let Seconds { worker, scheduler, postgres, broker, .. } = ended.cpu;
    let total = (worker + scheduler + postgres + broker) / million;
    let (tables, wal) = (mib(after.bytes - before.bytes), mib(after.wal - before.wal));
    let messages = (after.messages - before.messages) as f64 / million;
    let measure =
        format!("cost per million, {} objects, {what}: CPU s without the object store", whole(objects as f64));
    let figure = Figure::new(12, measure, total)
        .unit(" s")
        .conditions(format!(
            "{} objects at {}/s; per million: worker {:.1} s, Postgres {:.1} s, scheduler {:.1} s, broker {:.1} s; \
             {} MiB of tables and indexes, {} MiB of WAL, {} messages, {} LIST, {} GET, {} PUT",
            whole(objects as f64),
            whole(objects as f64 / ended.seconds),
            worker / million,
            postgres / million,
            scheduler / million,
            broker / million,
            whole(tables),
            whole(wal),
            whole(messages),
            whole(requests[0]),
            whole(requests[1]),
            whole(requests[2]),
        ))
        .raw("objects_per_second", objects as f64 / ended.seconds)
        .raw("worker_cpu_seconds", worker / million)
        .raw("postgres_cpu_seconds", postgres / million)
        .raw("scheduler_cpu_seconds", scheduler / million)
        .raw("broker_cpu_seconds", broker / million)
        .raw("table_and_index_mib", tables)
        .raw("wal_mib", wal)
        .raw("messages", messages)
        .raw("list_requests", requests[0])
        .raw("get_requests", requests[1])
        .raw("put_requests", requests[2]);
    Ok((figure, Sample::new(objects, &ended)))
}

/// Many small syncs: which share of the updates found room on the row's own page (HOT), and how large the tables got.
async fn churn(bed: &TestBed) -> Result<Vec<Figure>> {
    let deployment = bed.deploy("churn", &[]).await?;
    let mut storages = Vec::with_capacity(STORAGES);
    for _ in 0..STORAGES {
        storages.push(deployment.import(&Bucket::new(Form::Flat, 100)).await?);
    }
    for _ in 0..ROUNDS {
        try_join_all(storages.iter().map(|storage| deployment.sync(storage))).await?;
    }
    tokio::time::sleep(STATISTICS_DELAY).await;
    let rows = deployment
        .database
        .query(
            "SELECT relname::text, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_dead_tup,
                    pg_relation_size(relid) / 1024, pg_indexes_size(relid) / 1024
               FROM pg_stat_user_tables
              WHERE schemaname = 'longshore' AND relname IN ('jobs', 'syncs', 'storages', 'outbox') ORDER BY relname",
            &[],
        )
        .await?;
    let figures = rows.iter().map(|row| {
        let number = |column| row.get::<_, i64>(column) as f64;
        let (name, updated, hot) = (row.get::<_, String>(0), number(2), number(3));
        Figure::new(12, format!("many small syncs: updates of {name} that were HOT"), hot / updated.max(1.0))
            .conditions(format!(
                "{} syncs: {} rows inserted, {} updates, {} dead rows left; {} KiB of table, {} KiB of indexes",
                STORAGES * ROUNDS,
                whole(number(1)),
                whole(updated),
                whole(number(4)),
                whole(number(5)),
                whole(number(6))
            ))
            .raw("updates", updated)
            .raw("hot_updates", hot)
            .raw("dead_rows", number(4))
            .raw("table_kib", number(5))
            .raw("index_kib", number(6))
    });
    let figures = figures.collect();
    deployment.end().await?;
    Ok(figures)
}
