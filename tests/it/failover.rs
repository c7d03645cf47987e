//! After a failover to a copy that lacks recent commits, every sync that the new database knows ends exactly, and no
//! work of lost syncs gets into it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use longshore_local::s3::{Fault, Op, When};
use longshore_rig::amqp::AmqpHost;
use longshore_rig::failover::{CopyKind, Successor, import_faults, orphan_rows, reuse_lost_ids};
use longshore_rig::rig::{PATIENCE, Rig, StorageHandle, until};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

/// Imports that run when the copy is disconnected, and their keys: a dozen pages each, split among jobs.
const IMPORTS: usize = 8;
const KEYS: usize = 12_000;

/// Exports that run then, and their annotations: some pages each.
const EXPORTS: usize = 2;
const ANNOTATIONS: i64 = 3_000;

/// Syncs that begin after the copy was disconnected. The new database has neither them nor their storages.
const LOST: usize = 12;

/// Syncs that begin right after the failover, with the IDs of the lost ones.
const LATER: usize = 6;
const SMALL_KEYS: usize = 3_000;

/// Minimum number of listings that are held during the failover. With fewer, hardly any attempt would miss the
/// failover; more may never be reached: at a late point few imports still list.
const FEWEST_HELD: usize = 4;

/// How long jobs may continue before the leases of the others expire. More only makes the test longer; less would
/// expire leases of attempts that have yet to write, which could then do no harm.
const LEFT_TO_LEASES: Duration = Duration::from_secs(20);

/// Seed and quantum of a run, and the copy that takes over.
#[derive(Debug, Clone, Copy)]
struct Case {
    kind: CopyKind,
    quantum_seconds: &'static str,
    seed: u64,
}

/// An import, its bucket named like it.
struct Import {
    storage: StorageHandle,
    bucket: String,
    keys: usize,
}

/// An export with its annotations.
struct Export {
    storage: StorageHandle,
    bucket: String,
}

async fn import(rig: &Rig, bucket: String, keys: usize) -> Import {
    // The bucket's name in each key tells a task of another bucket.
    rig.s3.put_many(&bucket, (0..keys).map(|n| (format!("{bucket}/{n:06}.png"), "")));
    let storage = rig.import_storage(rig.project().await, &bucket, json!({"use_blob_urls": true})).await;
    Import { storage, bucket, keys }
}

async fn export(rig: &Rig, bucket: String) -> Export {
    rig.s3.create_bucket(&bucket);
    let project = rig.project().await;
    rig.database()
        .await
        .execute(
            "WITH made AS (INSERT INTO tasks (project_id, data)
                           SELECT $1, jsonb_build_object('image', n) FROM generate_series(1, $2::bigint) n RETURNING id)
             INSERT INTO annotations (task_id, project_id) SELECT id, $1 FROM made",
            &[&project, &ANNOTATIONS],
        )
        .await
        .expect("annotations");
    Export { storage: rig.export_storage(project, &bucket, json!({})).await, bucket }
}

/// Makes imports side by side and begins a sync of each.
async fn begin_imports(rig: &Rig, name: &str, count: usize, keys: usize) -> Vec<Import> {
    join_all((0..count).map(async |n| {
        let import = import(rig, format!("{name}-{n}"), keys).await;
        begin(rig, &import.storage).await;
        import
    }))
    .await
}

/// Begins a sync without asking for its ID.
async fn begin(rig: &Rig, storage: &StorageHandle) {
    rig.post(&format!("{}/{}/sync", storage.path, storage.id), json!({})).await;
}

async fn committed_pages(rig: &Rig) -> i64 {
    let db = rig.database().await;
    db.query_one("SELECT coalesce(sum(pages), 0)::bigint FROM jobs", &[]).await.expect("jobs").get(0)
}

/// Pages and syncs that the database knows.
async fn state(rig: &Rig) -> String {
    let db = rig.database().await;
    let syncs = "SELECT count(*), count(*) FILTER (WHERE finished_at IS NULL) FROM syncs";
    let jobs = "SELECT count(*), count(*) FILTER (WHERE state = 'running') FROM jobs";
    let (syncs, jobs) = (db.query_one(syncs, &[]).await.expect("syncs"), db.query_one(jobs, &[]).await.expect("jobs"));
    let number = |row: &tokio_postgres::Row, column| row.get::<_, i64>(column);
    format!(
        "{} pages, {} syncs ({} live), {} jobs ({} running)",
        committed_pages(rig).await,
        number(&syncs, 0),
        number(&syncs, 1),
        number(&jobs, 0),
        number(&jobs, 1)
    )
}

/// Waits until this many pages of imports and exports have committed in all.
async fn until_pages(rig: &Rig, pages: i64) {
    until(&format!("{pages} pages have committed"), || async { (committed_pages(rig).await >= pages).then_some(()) })
        .await;
}

/// Waits until no sync is live.
async fn all_end(db: &tokio_postgres::Client) {
    let live = "SELECT count(*) FROM syncs WHERE finished_at IS NULL";
    while db.query_one(live, &[]).await.expect("syncs").get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Faults of an export whose last sync completed.
async fn export_faults(rig: &Rig, export: &Export) -> Vec<String> {
    let objects: BTreeSet<String> = rig.s3.objects(&export.bucket).into_iter().map(|(key, _, _)| key).collect();
    let db = rig.database().await;
    let rows = db
        .query("SELECT key FROM exports WHERE storage_id = $1 AND state = 'exported'", &[&export.storage.id])
        .await
        .expect("exports");
    let recorded: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let annotations: BTreeSet<String> = db
        .query("SELECT id::text FROM annotations WHERE project_id = $1", &[&export.storage.project])
        .await
        .expect("annotations")
        .iter()
        .map(|row| row.get(0))
        .collect();
    let missing = recorded.difference(&objects).count();
    let unwritten = annotations.difference(&recorded).count();
    if rows.len() == recorded.len() && missing == 0 && unwritten == 0 {
        return Vec::new();
    }
    vec![format!(
        "export {}: {} rows, {missing} of them without an object; {unwritten} of {} annotations without a row",
        export.storage.id,
        rows.len(),
        annotations.len()
    )]
}

/// Runs a case and returns the faults.
///
/// Imports and exports run on two workers. The seed chooses the point at which a copy of the database is disconnected;
/// later pages, splits and syncs are missing in it. Then the old primary is killed while some attempts wait for a
/// listing and do not notice. The copy takes over and uses the lost IDs again, for new storages and syncs that begin
/// immediately.
async fn faults(case: Case) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(case.seed);
    let mut rig = Rig::with()
        .own_servers()
        .workers(2)
        .env("LONGSHORE_JOBS", "12")
        .env("LONGSHORE_QUANTUM_SECONDS", case.quantum_seconds)
        .env("LONGSHORE_SPLIT_AFTER_PAGES", "2")
        // Longer than the test takes: what a worker holds, it holds on both sides of the failover, on a slow machine
        // too, and the heartbeat (six times a lease) does not tell it before its next commit what it has lost.
        .env("LONGSHORE_LEASE_SECONDS", "180")
        .start()
        .await;
    let exports = join_all((0..EXPORTS).map(|n| export(&rig, format!("export-{n}")))).await;
    let mut successor = Successor::prepare(&rig, case.kind).await;
    let pids = rig.pids();
    // Work that lasts for seconds, so that it is under way at every point of the failover.
    rig.s3.fail(When::op(Op::List), Fault::Delay(Duration::from_millis(400)));
    rig.s3.fail(When::op(Op::Put), Fault::Delay(Duration::from_millis(40)));
    let imports = begin_imports(&rig, "import", IMPORTS, KEYS).await;
    join_all(exports.iter().map(|export| begin(&rig, &export.storage))).await;

    until_pages(&rig, random.random_range(4..25)).await;
    // A backup takes a while, in which the imports would end.
    let pause = rig.s3.hold(Op::List);
    successor.cut_off(&rig).await;
    pause.release();
    let known = committed_pages(&rig).await;
    begin_imports(&rig, "lost", LOST, SMALL_KEYS).await;
    until_pages(&rig, known + random.random_range(15..40)).await;

    // Attempts that wait for a listing do not notice the failover, however long it takes. Their number is chosen too.
    let listings = random.random_range(8..20);
    let listing = rig.s3.hold(When::op(Op::List).times(listings));
    tokio::time::timeout(PATIENCE, listing.reached_by(FEWEST_HELD)).await.expect("some attempts list at once");
    let before = state(&rig).await;
    let new_primary = successor.take_over(&mut rig).await;
    let db = rig.database().await;
    eprintln!("{case:?}: old primary: {before}; new primary: {}", state(&rig).await);
    reuse_lost_ids(&db).await;
    rig.check_recovered(&pids).await;
    let later = begin_imports(&rig, "later", LATER, SMALL_KEYS).await;
    until("the later imports are claimed", || async {
        let claimed = "SELECT count(*) FROM jobs j JOIN syncs s ON s.id = j.sync_id
                        WHERE j.attempt > 0 AND s.storage_id = ANY ($1)";
        let ids: Vec<i64> = later.iter().map(|import| import.storage.id).collect();
        let count: i64 = db.query_one(claimed, &[&ids]).await.expect("jobs").get(0);
        (count >= LATER as i64 / 2).then_some(())
    })
    .await;
    listing.release();
    rig.s3.clear_faults();

    let mut faults = Vec::new();
    if tokio::time::timeout(LEFT_TO_LEASES, all_end(&db)).await.is_err() {
        // The remaining jobs wait for leases that no worker holds: they expire now.
        let expire = "UPDATE jobs SET lease_until = now() WHERE state = 'running'";
        db.execute(expire, &[]).await.expect("jobs");
    }
    // Not `until`, which panics: the faults of the other syncs are useful too.
    if tokio::time::timeout(PATIENCE, all_end(&db)).await.is_err() {
        faults.push("some syncs do not end".to_owned());
    }
    let others = "SELECT id, storage_id, status FROM syncs WHERE status <> 'completed' ORDER BY id";
    for row in db.query(others, &[]).await.expect("syncs") {
        let (id, storage, status): (i64, i64, String) = (row.get(0), row.get(1), row.get(2));
        faults.push(format!("sync {id} of storage {storage} is {status}"));
    }
    for import in imports.iter().chain(&later) {
        let keys = i64::try_from(import.keys).expect("few keys");
        faults.extend(import_faults(&db, import.storage.id, keys, &format!("{}/", import.bucket)).await);
    }
    for export in &exports {
        faults.extend(export_faults(&rig, export).await);
    }
    faults.extend(orphan_rows(&db).await);
    // Messages of lost jobs name jobs that do not exist or are different now: they are ignored without a dead letter.
    let dead = AmqpHost::connect(&rig.amqp_url).await.waiting_in("longshore.dead").await;
    if !dead.is_empty() {
        faults.push(format!("{} dead letters: {dead:?}", dead.len()));
    }
    rig.check_recovered(&pids).await;
    drop(new_primary);
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sync_is_exact_after_a_standby_that_lacks_commits_took_over() {
    let faults = faults(Case { kind: CopyKind::Streaming, quantum_seconds: "5", seed: 1 }).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sync_is_exact_after_a_base_backup_took_over() {
    let faults = faults(Case { kind: CopyKind::BaseBackup, quantum_seconds: "30", seed: 1 }).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Goal: syncs are exact at every point of the failover. Method: both kinds and both quanta with this many seeds
/// (`LONGSHORE_FAILOVER_SEEDS`), each of which chooses the points.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make failover"]
async fn every_sync_is_exact_at_whatever_point_a_failover_comes() {
    let seeds = std::env::var("LONGSHORE_FAILOVER_SEEDS").map_or(5, |text| text.parse().expect("a number of seeds"));
    let mut wrong = Vec::new();
    for seed in 1..=seeds {
        for (kind, quantum_seconds) in [
            (CopyKind::Streaming, "5"),
            (CopyKind::Streaming, "30"),
            (CopyKind::BaseBackup, "5"),
            (CopyKind::BaseBackup, "30"),
        ] {
            let case = Case { kind, quantum_seconds, seed };
            let faults = faults(case).await;
            eprintln!("{case:?}: {faults:#?}");
            wrong.extend(faults.into_iter().map(|fault| format!("{case:?}: {fault}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
