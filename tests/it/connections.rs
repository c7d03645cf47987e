//! Every connection, broken in every way in the middle of a sync. When it works again, the sync continues without a
//! restart.

use std::future::ready;

use futures::future::join_all;
use longshore_local::s3::{Op, When};
use longshore_rig::proxy::{Direction, Mode, Proxy};
use longshore_rig::recovery::{Images, until_readiness_is};
use longshore_rig::rig::{Rig, RigOptions, until};

/// A way in which connections fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Cut,
    Reset,
    /// Open connections stay open and silent; only new connections work.
    Stranded,
    Refused,
    Stalled(Direction),
    BlackHole,
}

impl Fault {
    const ALL: [Self; 8] = [
        Self::Cut,
        Self::Reset,
        Self::Stranded,
        Self::Refused,
        Self::Stalled(Direction::ToServer),
        Self::Stalled(Direction::ToClient),
        Self::Stalled(Direction::Both),
        Self::BlackHole,
    ];

    async fn befall(self, link: &Proxy) {
        match self {
            Self::Cut => link.cut(),
            Self::Reset => link.reset(),
            Self::Stranded => link.strand(),
            Self::Refused => {
                link.set(Mode::Refuse).await;
                link.cut();
            }
            Self::Stalled(way) => link.set(Mode::Stall(way)).await,
            Self::BlackHole => {
                link.set(Mode::BlackHole).await;
                link.cut();
            }
        }
    }

    /// Whether new connections fail too, until the fault is removed.
    fn lasts(self) -> bool {
        match self {
            Self::Cut | Self::Reset | Self::Stranded => false,
            Self::Refused | Self::Stalled(_) | Self::BlackHole => true,
        }
    }
}

/// A patience of seconds, and a message for every page, so that each connection is needed continuously.
fn impatient() -> RigOptions {
    Rig::with()
        .env("LONGSHORE_QUANTUM_SECONDS", "0")
        .env("LONGSHORE_DATABASE_PATIENCE_SECONDS", "3")
        .env("LONGSHORE_STORAGE_PATIENCE_SECONDS", "2")
}

/// Breaks a link with each fault while a worker lists a page; `noticed` waits until a process has noticed it.
async fn check_every_fault(rig: &Rig, link: &Proxy, noticed: impl AsyncFn(i64)) {
    let pids = rig.pids();
    let mut buckets: Vec<Images> = Vec::new();
    for n in 0..Fault::ALL.len() {
        // Three pages: what is stalled to the server stops the third at the latest.
        buckets.push(rig.images(&format!("bucket-{n}"), 2_100).await);
    }
    for (fault, images) in Fault::ALL.into_iter().zip(&buckets) {
        let second_page = rig.s3.hold(When::op(Op::List).nth(2));
        let sync = rig.sync(&images.storage).await;
        second_page.reached().await;
        fault.befall(link).await;
        second_page.release();
        if fault.lasts() {
            noticed(sync).await;
            link.set(Mode::Pass).await;
            rig.make_due(sync).await;
        }
        rig.check_first_sync(images, sync).await;
        rig.check_recovered(&pids).await;
    }
    for images in &mut buckets {
        rig.check_next_sync(images).await;
    }
    assert_eq!(rig.pids(), pids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_survives_every_fault_of_its_connections_to_the_database() {
    let rig = impatient().start().await;
    check_every_fault(&rig, &rig.worker_links.database, async |_| until_readiness_is(&rig.workers[0], false).await)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_survives_every_fault_of_its_connection_to_the_broker() {
    let rig = impatient().start().await;
    check_every_fault(&rig, &rig.worker_links.broker, async |_| until_readiness_is(&rig.workers[0], false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_survives_every_fault_of_its_connections_to_the_database() {
    let rig = impatient().start().await;
    let noticed = async |_| until_readiness_is(&rig.schedulers[0], false).await;
    check_every_fault(&rig, &rig.scheduler_links.database, noticed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_survives_every_fault_of_its_connection_to_the_broker() {
    let rig = impatient().start().await;
    let noticed = async |_| until_readiness_is(&rig.schedulers[0], false).await;
    check_every_fault(&rig, &rig.scheduler_links.broker, noticed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_survives_every_fault_of_its_connections_to_the_storage() {
    let rig = impatient().start().await;
    // The job waits for a retry with a reason; the worker stays ready.
    let noticed = async |sync: i64| {
        let path = format!("/api/syncs/{sync}");
        until("the job is put aside", async || {
            let job = rig.get(&path).await["jobs"][0].clone();
            (job["state"] == "retryable" && job["reason"].is_string()).then_some(())
        })
        .await;
    };
    check_every_fault(&rig, &rig.storage_link, noticed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_not_done_twice() {
    const COMMITS: &str = "SELECT pg_advisory_xact_lock(42)";
    let rig = impatient().start().await;
    let pids = rig.pids();
    // A transaction with tasks waits at its very end, while it commits.
    let gate = "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON tasks DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION gate()";
    rig.database().await.batch_execute(gate).await.expect("a gate before every commit");

    for (n, fault) in
        [Fault::Cut, Fault::Reset, Fault::Stranded, Fault::Stalled(Direction::ToClient)].iter().enumerate()
    {
        let mut images = rig.images(&format!("bucket-{n}"), 1_500).await;
        let commits = rig.freeze(COMMITS).await;
        let sync = rig.sync(&images.storage).await;
        commits.reached("COMMIT").await;
        let asked = rig.workers[0].process.log().len();
        fault.befall(&rig.worker_links.database).await;
        // The worker gives up, and then the database commits without the worker's knowledge.
        until("the worker gives up", || {
            let log = rig.workers[0].process.log();
            let report = ["attempt_end_not_written", "commit_timed_out", "job_released"]
                .iter()
                .any(|words| log[asked..].contains(words));
            ready(report.then_some(()))
        })
        .await;
        commits.release().await;
        rig.worker_links.database.set(Mode::Pass).await;
        rig.check_first_sync(&images, sync).await;
        rig.check_next_sync(&mut images).await;
        rig.check_recovered(&pids).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_an_answer_has_a_time_limit() {
    let rig = impatient().env("LONGSHORE_RESCUE_SECONDS", "1").start().await;
    let pids = rig.pids();
    // The first query whose answer is lost: from the relay, the reporter or a page.
    let questions = [
        (&rig.scheduler_links.database, "outbox", "SELECT o.job_id"),
        (&rig.scheduler_links.database, "storages", "SELECT s.id FROM syncs"),
        (&rig.worker_links.database, "objects", "SELECT count(*) AS rows, array_agg(key)"),
    ];
    for (n, (link, table, question)) in questions.into_iter().enumerate() {
        let mut images = rig.images(&format!("bucket-{n}"), 1_500).await;
        let held = rig.s3.hold(Op::List);
        let before = if table == "objects" { Some(rig.sync(&images.storage).await) } else { None };
        let locked = rig.freeze(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await;
        held.release();
        locked.reached(question).await;
        link.strand();
        locked.release().await;

        let sync = match before {
            Some(sync) => sync,
            None => rig.sync(&images.storage).await,
        };
        rig.check_first_sync(&images, sync).await;
        rig.check_next_sync(&mut images).await;
        rig.check_recovered(&pids).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_at_most_one_silent_pool_connection() {
    // A request may take four times the patience. Each silent connection is waited for longer than that patience, so
    // one that waits for six of them is given up.
    let rig = impatient().start().await;
    let mut images = rig.images("bucket", 1_500).await;
    let storages = rig.freeze("LOCK TABLE storages IN ACCESS EXCLUSIVE MODE").await;
    let path = format!("{}/{}", images.storage.path, images.storage.id);
    let requests = join_all((0..6).map(|_| rig.get(&path)));
    let release = async {
        storages.reached_by("SELECT id, host_id, project_id, kind", 6).await;
        storages.release().await;
    };
    tokio::join!(requests, release);
    rig.scheduler_links.database.strand();

    let sync = rig.sync(&images.storage).await;
    rig.check_first_sync(&images, sync).await;
    rig.check_next_sync(&mut images).await;
}
