//! The columns that all tasks of a project have.
//!
//! Label Studio keeps the summary of a project in one JSON row and rewrites it without a lock. Pages write what they add
//! as rows of `host_deltas`; `fold` adds them up under the lock of the summary.

use crate::host::SummaryDelta;

/// The columns that all tasks have, after these were added to tasks with `common_before`. Sorted, as in Label Studio.
pub(super) fn common(common_before: Option<&[String]>, delta: &SummaryDelta) -> Vec<String> {
    let in_all = delta.columns.iter().filter(|(_, tasks)| **tasks == delta.tasks).map(|(key, _)| key);
    let in_all = in_all.filter(|key| common_before.is_none_or(|before| before.contains(key)));
    in_all.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(tasks: &[&[&str]]) -> SummaryDelta {
        let mut delta = SummaryDelta::default();
        for keys in tasks {
            delta.tasks += 1;
            for key in *keys {
                delta.count_column(key);
            }
        }
        delta
    }

    #[test]
    fn common_columns_are_those_of_all_tasks() {
        let (x, y, both) = (delta(&[&["x"]]), delta(&[&["y"]]), delta(&[&["y", "x"]]));
        assert_eq!(common(None, &both), ["x", "y"]);
        assert_eq!(common(Some(&["x".to_owned()]), &both), ["x"]);
        assert_eq!(common(Some(&["x".to_owned()]), &y), [""; 0]);
        assert_eq!(common(None, &x), ["x"]);
        assert_eq!(common(None, &delta(&[&["x"], &["x", "y"]])), ["x"]);
    }
}
