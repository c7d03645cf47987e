//! What the tasks of a page add to the summary of their project. Computed before the page's transaction.

use std::sync::Arc;

use longshore_db::host::SummaryDelta;

use super::ImportedObject;
use crate::job_error::JobError;
use crate::jobs::prefetch::Prefetch;

/// Bytes of memory for what a small object adds to the summary of its project: a few columns, and a region with labels.
pub(super) const SMALL_BYTES: u64 = 4 * 1024;

/// What a task with one column adds.
pub(super) fn of_column(key: &str) -> SummaryDelta {
    let mut delta = SummaryDelta { tasks: 1, ..SummaryDelta::default() };
    delta.count_column(key);
    delta
}

/// The JSON text of what the objects add together. `None` if there is nothing to add.
pub(super) async fn sum(imported: &[ImportedObject]) -> Result<Option<String>, JobError> {
    let deltas: Vec<Arc<SummaryDelta>> = imported.iter().filter_map(|object| object.summary.clone()).collect();
    if deltas.iter().all(|delta| delta.tasks == 0) {
        return Ok(None);
    }
    let adding = Prefetch::compute(move |_| {
        let mut sum = SummaryDelta::default();
        deltas.iter().for_each(|delta| sum.add(delta));
        sum.to_json()
    });
    Ok(Some(adding.result().await?))
}
