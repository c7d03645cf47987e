//! Statements of deletions of tasks.

use anyhow::{Context, Result, ensure};
use longshore_db::Client;
use longshore_db::lifecycle;
use longshore_db::objects::{self, LedgerPlace};
use longshore_db::syncs::NewDeletion;
use longshore_db::tasks::{self, TaskRange};
use longshore_model::{Deletion, Removed};

use super::{GIANT, PAGE, PROJECT, Plans};

/// Rows of the large tables that a page of the last step of a deletion deletes.
const REST: i64 = 10_000;

pub(super) async fn explain_deletions(plans: &mut Plans<'_>) -> Result<()> {
    let middle = plans.rows / 2;
    for (name, storage_id) in
        [("deletion: next tasks of a project", None), ("deletion: next tasks of a storage", Some(GIANT))]
    {
        let range = TaskRange { project_id: PROJECT, storage_id, after: middle, until: i64::MAX };
        plans
            .step(name, 200, async |client| {
                let next = tasks::next_of_range(&*client, &range, PAGE).await?.context("tasks")?;
                ensure!(next.count == PAGE, "{next:?}");
                Ok(())
            })
            .await?;
    }
    // A thousand tasks, and a few rows of each in other tables: a look-up for each costs about four pages.
    for (name, keep) in [("deletion: a page of tasks", false), ("deletion: a page of tasks, kept in the ledger", true)]
    {
        let range =
            TaskRange { project_id: PROJECT, storage_id: Some(GIANT), after: middle, until: middle + PAGE * 10 / 8 };
        plans
            .step(name, 15_000, async |client| {
                let tx = client.transaction().await?;
                let counts = lifecycle::delete_range(&tx, &range, keep).await?;
                ensure!(counts.deleted_tasks >= PAGE - 1 && counts.deleted_annotations > 0, "{counts:?}");
                Ok(())
            })
            .await?;
    }
    plans
        .step("deletion: named tasks", 10_000, async |client| {
            let ids: Vec<i64> = (middle..middle + PAGE).collect();
            Ok(tasks::among(&*client, PROJECT, &ids).await.map(drop)?)
        })
        .await?;
    plans
        .step("deletion: a page of the ledger", 10_000, async |client| {
            let after = LedgerPlace { key: super::key(middle), row_index: 0 };
            let tx = client.transaction().await?;
            let until = objects::next_of_ledger(&tx, GIANT, &after, PAGE).await?.context("rows of the ledger")?;
            Ok(lifecycle::forget_range(&tx, GIANT, &after, &until).await.map(drop)?)
        })
        .await?;
    let removed = NewDeletion {
        project_id: PROJECT,
        storage_id: Some(GIANT),
        deletion: Deletion { keep: false, removes: Some(Removed::Storage), tasks: 1 },
    };
    let rest = async |client: &mut Client| {
        let tx = client.transaction().await?;
        ensure!(lifecycle::has_rows_left(&tx, &removed).await?, "rows of the storage");
        let counts = lifecycle::delete_rows_left(&tx, &removed, REST).await?;
        ensure!(counts.forgotten == REST, "{counts:?}");
        Ok(())
    };
    // Each row is found by the index and deleted: about three pages.
    plans.step_over("deletion: rest of a storage", 60_000, 2 * REST as u64 + 10, rest).await
}
