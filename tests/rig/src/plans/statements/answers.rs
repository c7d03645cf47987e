//! Statements of API requests.

use anyhow::{Context, Result};
use longshore_db::printed::{self, JsonTable, SizedRow};
use longshore_db::quarantine::{self, QuarantineFilter};
use longshore_db::syncs::{self, SyncFilter};
use longshore_db::tasks::{self, PageStart};
use longshore_db::{Client, annotations, jobs, predictions, resolve};
use longshore_model::SyncStatus;
use longshore_uri::ObjectUri;

use super::{GIANT, PROJECT, Plans, key};

pub(super) async fn explain_answers(plans: &mut Plans<'_>) -> Result<()> {
    let rows = plans.rows;
    let task = rows / 2;
    plans.step("a task", 20, async |client| Ok(tasks::get(&*client, task).await.map(drop)?)).await?;
    for (name, from) in [
        ("the first page of tasks", PageStart::Offset(0)),
        ("a page of tasks far in, by the id before", PageStart::After(rows / 2)),
    ] {
        let page = async |client: &mut Client| {
            let rows = tasks::page(&*client, PROJECT, from, 100).await?;
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            let stored: Vec<_> = rows.iter().map(|row| SizedRow { id: row.id, bytes: row.stored_bytes }).collect();
            printed::sizes(&*client, JsonTable::Tasks, &stored, i64::MAX).await?;
            printed::texts(&*client, JsonTable::Tasks, &ids, usize::MAX).await?;
            tasks::summaries(&*client, &ids).await?;
            annotations::of_tasks(&*client, &ids, 0, 10_000).await?;
            Ok(predictions::of_tasks(&*client, &ids, 0, 10_000).await.map(drop)?)
        };
        plans.step(name, 1_000, page).await?;
    }
    plans
        .step_over("totals of a project", 2_000, 10_001, async |client| {
            Ok(tasks::totals(&*client, PROJECT).await.map(drop)?)
        })
        .await?;

    let page = SyncFilter { limit: 50, ..SyncFilter::default() };
    for (name, filter) in [
        ("syncs", page.clone()),
        ("syncs of a storage", SyncFilter { storage: Some(GIANT), ..page.clone() }),
        ("syncs of a project", SyncFilter { project: Some(PROJECT), ..page.clone() }),
        ("syncs that failed", SyncFilter { status: Some(SyncStatus::Failed), ..page.clone() }),
        ("live syncs", SyncFilter { status: Some(SyncStatus::InProgress), ..page.clone() }),
        ("syncs further back", SyncFilter { before: Some(rows / 20), ..page }),
    ] {
        plans.step(name, 4_000, async |client| Ok(syncs::list(&*client, &filter, i64::MAX).await.map(drop)?)).await?;
    }
    plans.step("a sync", 40, async |client| Ok(syncs::get(&*client, rows / 20).await.map(drop)?)).await?;
    plans
        .step("jobs of a sync", 20, async |client| {
            Ok(jobs::of_sync(&*client, rows / 20, 0, 1_000, i64::MAX).await.map(drop)?)
        })
        .await?;

    for (name, filter) in [
        ("quarantine", QuarantineFilter::default()),
        ("quarantine of a storage", QuarantineFilter { storage: Some(GIANT), ..QuarantineFilter::default() }),
        ("quarantine of a sync", QuarantineFilter { sync: Some(7), ..QuarantineFilter::default() }),
        ("what is open", QuarantineFilter { state: Some("open"), ..QuarantineFilter::default() }),
    ] {
        plans
            .step(name, 1_500, async |client| Ok(quarantine::list(&*client, &filter, 100, i64::MAX).await.map(drop)?))
            .await?;
    }

    explain_resolve(plans, task).await
}

async fn explain_resolve(plans: &mut Plans<'_>, task: i64) -> Result<()> {
    let (name, text) = (key(task), format!("s3://photos/{}", key(task)));
    let uri = ObjectUri::parse(&text).context("a URI")?;
    let by_task = async |client: &mut Client| Ok(resolve::by_task(&*client, task, &uri, true).await.map(drop)?);
    plans.step("resolve: a URI of a task", 60, by_task).await?;
    let by_key = async |client: &mut Client| Ok(resolve::by_project(&*client, PROJECT, &uri, &name).await.map(drop)?);
    plans.step("resolve: a URI of a project", 60, by_key).await
}
