//! Which object of a job kills its worker: what the database concludes from lost attempts, without real workers.

use std::time::Duration;

use longshore_db::jobs::{self, Progress};
use longshore_db::lifecycle::{self, Claim, Claimant, ClaimedJob};
use longshore_db::{Client, Counts};
use longshore_rig::rig::Rig;
use serde_json::json;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(3_600);

/// Keys of a usual page.
const PAGE: i64 = 1_000;

/// Without workers, and without a rescuer that would meet the test's own.
async fn rig() -> Rig {
    Rig::with().workers(0).env("LONGSHORE_RESCUE_SECONDS", "3600").start().await
}

/// A job that no worker takes, and a connection.
struct Case {
    client: Client,
    job: i64,
}

impl Case {
    async fn new(rig: &Rig, bucket: &str) -> Self {
        rig.s3.create_bucket(bucket);
        let storage = rig.import_storage(rig.project().await, bucket, json!({})).await;
        let sync = rig.sync(&storage).await;
        let db = rig.pool();
        let client = db.client().await.expect("a connection");
        let row = client.query_one("SELECT id FROM jobs WHERE sync_id = $1", &[&sync]).await.expect("a job");
        Self { client, job: row.get(0) }
    }

    async fn claim(&self) -> Box<ClaimedJob> {
        let who = Claimant { worker: "w", process: Uuid::nil() };
        match lifecycle::claim(&self.client, self.job, who, LEASE).await.expect("the database answers") {
            Claim::Job(claimed) => claimed,
            other => panic!("claimed: {other:?}"),
        }
    }

    /// The worker dies and its lease expires.
    async fn lose(&self) {
        let expire = "UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = $1";
        self.client.execute(expire, &[&self.job]).await.expect("a job");
        assert_eq!(lifecycle::rescue_expired(&self.client).await.expect("the database answers"), 1);
    }

    async fn commit(&mut self, claimed: &ClaimedJob, passed: i64) {
        let tx = self.client.transaction().await.expect("a transaction");
        let passed = i32::try_from(passed).expect("few");
        let lease = claimed.lease;
        let progress = Progress {
            extend_by: LEASE,
            cursor: None,
            counts: &Counts::default(),
            is_progress: true,
            passed_keys: passed,
        };
        lifecycle::record_page(&tx, lease, &progress, &[]).await.expect("a page");
        tx.commit().await.expect("committed");
    }

    async fn release(&mut self, claimed: &ClaimedJob) {
        let tx = self.client.transaction().await.expect("a transaction");
        lifecycle::release(&tx, claimed.lease, Duration::ZERO).await.expect("released");
        tx.commit().await.expect("committed");
    }

    /// As workers do, with one object that ends each of them: the key after `killer` others. Gives the losses until
    /// that key is known, and how often it was lost alone.
    async fn find(&mut self, killer: i64) -> (usize, usize) {
        let (mut losses, mut alone, mut position) = (0, 0, 0);
        loop {
            let claimed = self.claim().await;
            if let Some(poison) = &claimed.poison {
                assert_eq!(poison, &killer.to_string());
                return (losses, alone);
            }
            let limit = claimed.page_limit().map_or(PAGE, i64::from);
            if claimed.suspects.is_some() {
                jobs::mark_alone(&self.client, claimed.lease, limit.try_into().expect("small")).await.expect("marked");
            }
            let mut suspects = claimed.suspects.map_or(i64::MAX, i64::from);
            loop {
                if limit == 1 {
                    jobs::mark_lone_key(&self.client, claimed.lease, &position.to_string()).await.expect("marked");
                }
                if (position..position + limit).contains(&killer) {
                    losses += 1;
                    alone += usize::from(limit == 1);
                    self.lose().await;
                    break;
                }
                self.commit(&claimed, limit).await;
                position += limit;
                suspects -= limit;
                if suspects <= 0 {
                    self.release(&claimed).await;
                    break;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_kills_its_worker_is_found_within_fourteen_losses() {
    let rig = rig().await;
    // Both ends, both sides of each cut of the first halves, and some of the rest.
    let places = [0, 1, 2, 3, 124, 125, 249, 250, 321, 499, 500, 501, 624, 749, 750, 874, 937, 965, 997, 998, 999];
    for killer in places.into_iter().chain([1_000, 4_321, 9_999]) {
        let mut case = Case::new(&rig, &format!("killer-{killer}")).await;
        let (losses, alone) = case.find(killer).await;
        assert!(losses <= 14, "{killer}: {losses} losses");
        assert_eq!(alone, 2, "{killer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_to_run_alone_loses_nothing_when_its_worker_ends() {
    let rig = rig().await;
    let case = Case::new(&rig, "waits").await;
    for _ in 0..3 {
        case.claim().await;
        case.lose().await;
    }
    let suspect = case.claim().await;
    assert_eq!((suspect.losses, suspect.page_limit()), (3, Some(1_000)));
    for _ in 0..30 {
        case.lose().await;
        let waited = case.claim().await;
        assert_eq!((waited.losses, waited.page_limit()), (3, Some(1_000)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_suspected_only_for_its_own_losses() {
    let rig = rig().await;
    let mut case = Case::new(&rig, "blamed").await;
    let lost_with = async |case: &Case, key: &str| {
        let claimed = case.claim().await;
        assert_eq!(claimed.poison, None);
        jobs::mark_alone(&case.client, claimed.lease, 1).await.expect("marked");
        jobs::mark_lone_key(&case.client, claimed.lease, key).await.expect("marked");
        case.lose().await;
    };
    // Another object comes in between, as after an upload.
    lost_with(&case, "m").await;
    lost_with(&case, "l").await;
    lost_with(&case, "m").await;
    // An attempt that ends normally shows that its object does not kill workers.
    let claimed = case.claim().await;
    assert_eq!(claimed.poison, None);
    jobs::mark_lone_key(&case.client, claimed.lease, "m").await.expect("marked");
    case.release(&claimed).await;
    lost_with(&case, "m").await;
    lost_with(&case, "m").await;
    assert_eq!(case.claim().await.poison.as_deref(), Some("m"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_an_earlier_release_does_not_count_as_an_unknown_claim() {
    let rig = rig().await;
    let mut case = Case::new(&rig, "earlier").await;
    let ours = case.claim().await;
    case.release(&ours).await;
    let theirs = "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_until = now() + interval '1 hour'
                   WHERE id = $1";
    case.client.execute(theirs, &[&case.job]).await.expect("a claim");
    assert_eq!(jobs::unknown_leases(&case.client, Uuid::nil(), &[]).await.expect("the database answers"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_claim_with_a_locked_row_does_not_delay_others() {
    let rig = rig().await;
    let (locked, free) = (Case::new(&rig, "locked").await, Case::new(&rig, "free").await);
    let leases = [locked.claim().await.lease, free.claim().await.lease];
    let mut other = rig.database().await;
    let tx = other.transaction().await.expect("a transaction");
    tx.execute("SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE", &[&locked.job]).await.expect("locked");
    // Waiting would end with the statement's time limit, as an error.
    assert_eq!(lifecycle::release_unknown(&free.client, &leases).await.expect("not waited for"), 1);
    tx.rollback().await.expect("free again");
    assert_eq!(lifecycle::release_unknown(&free.client, &leases).await.expect("the database answers"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_days_is_not_sent_again_in_every_round() {
    let rig = rig().await;
    let case = Case::new(&rig, "days").await;
    case.client.execute("DELETE FROM outbox", &[]).await.expect("relayed");
    let waits = "UPDATE jobs SET resends = $1, due_at = now() - interval '40 hours'";
    let silence = Duration::from_secs(30);
    for (resends, sent) in [(12, 1), (13, 0)] {
        case.client.execute(waits, &[&resends]).await.expect("a job");
        assert_eq!(
            lifecycle::republish_lost(&case.client, silence).await.expect("the database answers"),
            sent,
            "{resends}"
        );
    }
}
