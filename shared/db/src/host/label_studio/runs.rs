//! Sets of task IDs in little space: a page takes its IDs in a row.

/// Runs of task IDs, in ascending order: each from the first ID to the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Runs {
    pub(super) first: Vec<i32>,
    pub(super) last: Vec<i32>,
}

impl Runs {
    /// The runs of these IDs.
    pub(super) fn of(mut ids: Vec<i32>) -> Self {
        ids.sort_unstable();
        Self::merged(ids.into_iter().map(|id| (id, id)))
    }

    /// Adjacent runs as one. `runs` are in ascending order.
    pub(super) fn merged(runs: impl Iterator<Item = (i32, i32)>) -> Self {
        let mut merged = Self::default();
        for (first, last) in runs {
            match merged.last.last_mut() {
                Some(end) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => {
                    merged.first.push(first);
                    merged.last.push(last);
                }
            }
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjacent_ids_are_one_run() {
        let runs = Runs::of(vec![7, 3, 4, 5, 9, 10]);
        assert_eq!((runs.first, runs.last), (vec![3, 7, 9], vec![5, 7, 10]));
        let runs = Runs::merged([(1, 3), (4, 4), (6, 9)].into_iter());
        assert_eq!((runs.first, runs.last), (vec![1, 6], vec![4, 9]));
        assert_eq!(Runs::of(Vec::new()), Runs::default());
    }
}
