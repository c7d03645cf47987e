//! The numbers of tasks within their project.
//!
//! Label Studio numbers the tasks of a project from 1 and takes the largest number plus one for the next. Pages of
//! several workers commit at the same time, so each takes its numbers in advance, in a separate transaction: a page
//! that fails leaves a gap, which is harmless.

use crate::{Db, Result};

/// Takes `count` numbers in a row, and returns the first.
pub(super) async fn take(numbers: &Db, project_id: i64, count: i64) -> Result<i64> {
    const FIRST_FREE: &str = "coalesce((SELECT inner_id FROM public.task
                                          WHERE project_id = $1::bigint AND inner_id IS NOT NULL
                                          ORDER BY inner_id DESC LIMIT 1), 0) + 1";
    let text = format!(
        "INSERT INTO host_projects AS p (project_id, next_inner_id) VALUES ($1, {FIRST_FREE} + $2)
             ON CONFLICT (project_id) DO UPDATE SET next_inner_id = greatest(p.next_inner_id, {FIRST_FREE}) + $2
         RETURNING next_inner_id - $2"
    );
    let client = numbers.client().await?;
    let statement = client.prepare_cached(&text).await?;
    Ok(client.query_one(&statement, &[&project_id, &count]).await?.get(0))
}
