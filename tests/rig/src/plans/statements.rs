//! The frequent statements, called as the programs call them.

mod answers;
mod deletions;
mod imports;

use std::time::Duration;

use anyhow::{Context, Result};
use longshore_db::exports::Orphan;
use longshore_db::host::{Host, Native};
use longshore_db::jobs::{self, Heartbeat, JobWait, Progress, WaitChange};
use longshore_db::lifecycle::{self, Claim, Claimant, ClaimedJob, SyncRequest};
use longshore_db::objects::{self, KeyStatus, ListedPage, LookupMode};
use longshore_db::quarantine::{self, QuarantinedObject};
use longshore_db::{Client, Counts, Sealer, Transaction, exports, outbox, storages, syncs, tokens, workers};
use longshore_model::{Direction, FailureReason, QuarantineReason, Secret, StorageKind, WaitingFor};
use uuid::Uuid;

use super::Plans;

/// The storage with most rows, an export storage, and their project.
const GIANT: i64 = 1;
const TARGET: i64 = 11;
const PROJECT: i64 = 1;

/// A sealing key that no row uses.
const SEALING_KEY: &str = "plans:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

const LEASE: Duration = Duration::from_secs(60);

/// Keys of a page.
const PAGE: i64 = 1_000;

/// Rows of a hundred reads of an outbox of a hundred messages, and of the jobs and syncs beside it.
const OUTBOX_ROWS: u64 = 12_000;

fn key(number: i64) -> String {
    format!("images/{number:010}.jpg")
}

/// A thousand keys from the middle of the giant storage, in the order of a listing.
fn page_of(rows: i64) -> Vec<String> {
    (rows / 2..).filter(|n| n % 10 < 8).take(PAGE as usize).map(key).collect()
}

pub(super) async fn explain_all(plans: &mut Plans<'_>) -> Result<()> {
    explain_requests(plans).await?;
    explain_jobs(plans).await?;
    explain_pages(plans).await?;
    explain_exports(plans).await?;
    answers::explain_answers(plans).await?;
    deletions::explain_deletions(plans).await?;
    explain_maintenance(plans).await
}

async fn explain_requests(plans: &mut Plans<'_>) -> Result<()> {
    plans
        .step("enqueue", 100, async |client| {
            let tx = client.transaction().await?;
            let request = SyncRequest {
                storage_id: GIANT,
                kind: StorageKind::S3,
                direction: Direction::Import,
                projects: Some(&[PROJECT]),
                token_id: 1,
                token: "host",
                address: Some("192.0.2.1"),
                idempotency_key: Some("night"),
                options: None,
            };
            lifecycle::enqueue_request(&tx, &request).await.map(drop).context("enqueue")
        })
        .await?;
    plans
        .step("token", 20, async |client| {
            Ok(tokens::find_all(&*client, &[tokens::digest(&Secret::new("1"))], &[1]).await.map(drop)?)
        })
        .await?;
    plans.step("storage", 20, async |client| Ok(storages::get(&*client, GIANT).await.map(drop)?)).await
}

async fn claim(tx: &Transaction<'_>, job: i64) -> Result<Box<ClaimedJob>> {
    let who = Claimant { worker: "worker", process: Uuid::nil() };
    match lifecycle::claim(tx, job, who, LEASE).await? {
        Claim::Job(claimed) => Ok(claimed),
        other => anyhow::bail!("no job to claim: {other:?}"),
    }
}

/// The ways in which an attempt ends.
const ENDINGS: [(&str, Ending); 5] = [
    ("complete, and close the sync", Ending::Complete),
    ("discard, and fail the sync", Ending::Discard),
    ("back to the queue", Ending::Release),
    ("retry later", Ending::RetryLater),
    ("split", Ending::Split),
];

#[derive(Clone, Copy)]
enum Ending {
    Complete,
    Discard,
    Release,
    RetryLater,
    Split,
}

fn progress_of(counts: &Counts) -> Progress<'_> {
    Progress { extend_by: LEASE, cursor: Some("k"), counts, is_progress: true, passed_keys: 1 }
}

fn wait() -> JobWait {
    JobWait { what: WaitingFor::Storage, age: LEASE, error: Some("down".to_owned()) }
}

async fn explain_jobs(plans: &mut Plans<'_>) -> Result<()> {
    let relay = async |client: &mut Client| {
        let tx = client.transaction().await?;
        let due: Vec<i64> = outbox::take_due(&tx, 500).await?.iter().map(|due| due.job).collect();
        Ok(outbox::confirm(&tx, &due).await?)
    };
    plans.step("relay: take and confirm a hundred", 1_500, relay).await?;
    plans.step("relay: next due", 10, async |client| Ok(outbox::due_in_ms(&*client).await.map(drop)?)).await?;

    let newest = "SELECT max(job_id) FROM outbox";
    let job: i64 = plans.db.client().await?.query_one(newest, &[]).await?.get(0);
    let counts = Counts { pages: 1, listed: 1, ..Counts::default() };
    let page = async |client: &mut Client| {
        let tx = client.transaction().await?;
        let claimed = claim(&tx, job).await?;
        let beat = Heartbeat { lease: claimed.lease, wait: WaitChange::Set(wait()) };
        jobs::heartbeat(&tx, &[beat], LEASE).await?;
        jobs::hold_at(&tx, &claimed.fence()).await?;
        Ok(lifecycle::record_page(&tx, claimed.lease, &progress_of(&counts), &[]).await?)
    };
    plans.step("claim, heartbeat, hold, advance", 60, page).await?;
    for (name, ending) in ENDINGS {
        let work = async |client: &mut Client| {
            let tx = client.transaction().await?;
            let lease = claim(&tx, job).await?.lease;
            match ending {
                Ending::Complete => lifecycle::complete(&tx, lease).await?,
                Ending::Discard => lifecycle::discard(&tx, lease, FailureReason::Unavailable, "gone").await?,
                Ending::Release => lifecycle::release(&tx, lease, Duration::ZERO).await?,
                Ending::RetryLater => {
                    let (reason, wait) = (FailureReason::Unavailable, wait());
                    lifecycle::retry_later(&tx, lease, LEASE, reason, "busy", Some(&wait)).await?
                }
                Ending::Split => {
                    lifecycle::record_page(&tx, lease, &progress_of(&counts), &[key(1), key(2)]).await?;
                }
            }
            Ok(())
        };
        plans.step(name, 100, work).await?;
    }
    let second = Duration::from_secs(1);
    plans
        .step("workers and their load", 400, async |client| Ok(workers::load(&*client, second).await.map(drop)?))
        .await?;
    let rescue = async |client: &mut Client| {
        let tx = client.transaction().await?;
        lifecycle::rescue_expired(&tx).await?;
        Ok(lifecycle::republish_lost(&tx, second).await.map(drop)?)
    };
    plans.step("rescuer", 1_000, rescue).await
}

async fn explain_pages(plans: &mut Plans<'_>) -> Result<()> {
    let keys = page_of(plans.rows);
    let page: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (key.as_str(), None)).collect();
    for (name, mode, counts_tasks, budget) in [
        ("a thousand keys by their interval", LookupMode::Interval, false, 300),
        ("a thousand keys one by one", LookupMode::Each, false, 6_000),
        ("a thousand keys by their interval, with their tasks", LookupMode::Interval, true, 1_500),
        ("a thousand keys one by one, with their tasks", LookupMode::Each, true, 6_000),
    ] {
        let look_up = async |client: &mut Client| {
            let covers = (mode == LookupMode::Interval).then(|| (keys[0].as_str(), keys[keys.len() - 1].as_str()));
            let listed = ListedPage { objects: &page, mode, covers, counts_tasks };
            let found = objects::look_up(&*client, GIANT, 2, &listed).await?;
            anyhow::ensure!(found.statuses.iter().all(|status| *status == KeyStatus::Existed), "keys of the ledger");
            Ok(())
        };
        plans.step(name, budget, look_up).await?;
    }
    let invalid = |n: i64| {
        QuarantinedObject::object(format!("bad/{n}"), None, Some(1), QuarantineReason::InvalidJson, "not JSON")
    };
    let rows: Vec<QuarantinedObject> = (0..100).map(invalid).collect();
    let quarantine = async |client: &mut Client| {
        let tx = client.transaction().await?;
        quarantine::insert(&tx, GIANT, 1, &rows).await?;
        Ok(quarantine::remove(&tx, GIANT, &["bad/1", "bad/2"]).await?)
    };
    plans.step("a hundred objects into quarantine, two out", 3_000, quarantine).await?;
    imports::explain_imports(plans).await?;
    let native = Native::new(Sealer::parse(&Secret::new(SEALING_KEY))?);
    // Only a live sync can read its storage.
    let live = "SELECT storage_id, id FROM syncs WHERE finished_at IS NULL ORDER BY id LIMIT 1";
    let row = plans.db.client().await?.query_one(live, &[]).await?;
    let (storage, sync) = (row.get(0), row.get(1));
    plans.step("a job's storage", 20, async |client| Ok(native.storage(client, storage, sync).await.map(drop)?)).await
}

async fn explain_exports(plans: &mut Plans<'_>) -> Result<()> {
    let middle: i64 = plans.rows / 20;
    let units: Vec<i64> = (middle..middle + 500).collect();
    let digests =
        async |client: &mut Client| Ok(exports::digests(&*client, TARGET, "annotation", &units).await.map(drop)?);
    plans.step("digests of five hundred annotations", 3_000, digests).await?;
    let wanted: [(&str, &str); 2] = [
        (
            "a page of annotations to export",
            include_str!("../../../../shared/db/src/host/native/annotations_to_export.sql"),
        ),
        ("a page of tasks to export", include_str!("../../../../shared/db/src/host/native/tasks_to_export.sql")),
    ];
    for (name, text) in wanted {
        // All rows after the middle of the IDs. The programs read them with a cursor, which `auto_explain` does not
        // show.
        let until = i64::MAX;
        let (sync, all, tasks, limit) = (1_i64, false, Vec::<i64>::new(), 500_i64);
        let page = async |client: &mut Client| {
            let after = if name.contains("tasks") { middle * 10 } else { middle };
            client.query(text, &[&PROJECT, &TARGET, &sync, &all, &tasks, &after, &until, &limit]).await?;
            Ok(())
        };
        plans.step(name, 12_000, page).await?;
    }
    let orphans = async |client: &mut Client| {
        Ok(exports::orphans(&*client, "annotations", TARGET, true, ("annotation", middle), 1_000).await.map(drop)?)
    };
    plans.step("a thousand exports: whose annotation is gone", 6_000, orphans).await?;
    let gone: Vec<Orphan> = units
        .iter()
        .map(|&unit_id| Orphan { unit: "annotation".to_owned(), unit_id, key: unit_id.to_string() })
        .collect();
    let settle = async |client: &mut Client| {
        let tx = client.transaction().await?;
        Ok(exports::settle(&tx, TARGET, &gone, "deleted").await?)
    };
    plans.step("five hundred exports settled", 8_000, settle).await?;
    let native = Native::new(Sealer::parse(&Secret::new(SEALING_KEY))?);
    let sample = async |client: &mut Client| Ok(exports::sample(client, TARGET, "annotation", 32).await.map(drop)?);
    plans.step("thirty-two random exports", 2_000, sample).await?;
    for (name, per_task) in [("the last annotation of a project", false), ("the last task of a project", true)] {
        let last = async |client: &mut Client| Ok(native.last_unit_id(client, PROJECT, per_task).await.map(drop)?);
        plans.step(name, 20, last).await?;
    }
    Ok(())
}

async fn explain_maintenance(plans: &mut Plans<'_>) -> Result<()> {
    let report = async |client: &mut Client| {
        let tx = client.transaction().await?;
        let shown = syncs::lock_unreported(&tx, 200).await?;
        Ok(syncs::mark_reported(&tx, &shown).await?)
    };
    // A small outbox is read completely for each of the hundred: cheaper than its index.
    plans.step_over("reporter: a hundred live syncs", 4_000, OUTBOX_ROWS, report).await?;
    let crew = async |client: &mut Client| Ok(workers::crew(&*client, LEASE).await.map(drop)?);
    plans.step("watcher: workers and running jobs", 400, crew).await?;
    let live = async |client: &mut Client| Ok(syncs::list_live(&*client, 1_000).await.map(drop)?);
    plans.step_over("watcher: live syncs", 2_000, OUTBOX_ROWS, live).await?;
    let prune = async |client: &mut Client| {
        let tx = client.transaction().await?;
        Ok(syncs::prune(&tx, 90, 0).await.map(drop)?)
    };
    plans.step("pruner, with nothing to remove", 200, prune).await?;
    plans
        .step("unfinished jobs, for the metrics", 400, async |client| {
            Ok(jobs::count_unfinished(&*client).await.map(drop)?)
        })
        .await?;
    plans.step("messages that wait", 40, async |client| Ok(outbox::count_due(&*client).await.map(drop)?)).await
}
