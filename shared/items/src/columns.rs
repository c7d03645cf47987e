//! The columns of a task's data, which Label Studio counts for each project.

use std::collections::BTreeSet;

use longshore_db::host::SummaryDelta;
use longshore_model::QuarantineReason;
use longshore_model::json_parts::each_member;

use super::{Budget, Fault};

/// Bytes of a name in a set besides its text.
const NAME_BYTES: usize = 64;

/// Adds a task with this object as its data.
pub(super) fn count(data: &str, summary: &mut SummaryDelta, budget: &mut Budget) -> Result<(), Fault> {
    // A repeated name is one column.
    let (mut names, mut bytes, mut fault) = (BTreeSet::new(), 0, None);
    let walked = each_member(data, |name, _| {
        if fault.is_none() && !names.contains(name) {
            let taken = NAME_BYTES + name.len();
            match budget.take(taken) {
                Ok(()) => bytes += taken,
                Err(found) => fault = Some(found),
            }
            names.insert(name.to_owned());
        }
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    walked.map_err(|error| Fault::new(QuarantineReason::InvalidJson, error.to_string()))?;
    summary.tasks += 1;
    for name in names {
        budget.take(summary.count_column(&name))?;
    }
    budget.give(bytes);
    Ok(())
}
