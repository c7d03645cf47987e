//! A sync in the API's answers, and its text for users.

use std::collections::BTreeMap;

use jiff::Timestamp;
use longshore_model::{Direction, SyncStatus};
use serde::Deserialize;
use serde_json::Value;

use crate::pace::duration;
use crate::text::{escaped, grouped};

/// The fields of the API's answer that progress and summary need.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sync {
    pub(crate) id: i64,
    /// `None` for a deletion of a project's tasks.
    pub(crate) storage: Option<i64>,
    /// `None` for a deletion of a project's tasks.
    pub(crate) direction: Option<Direction>,
    /// What it deletes; `None` for an ordinary sync.
    #[serde(default)]
    pub(crate) deletion: Option<Deletion>,
    pub(crate) status: SyncStatus,
    reason: Option<String>,
    detail: Option<String>,
    /// What it waits for. A word of a later version is shown as it is.
    #[serde(default)]
    pub(crate) waiting_for: Option<String>,
    #[serde(default)]
    pub(crate) waiting_since: Option<Timestamp>,
    #[serde(default)]
    pub(crate) waiting_error: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) counts: Counts,
    #[serde(default)]
    warnings: Vec<Warning>,
    /// The counters as the API sent them, also those of later versions.
    #[serde(skip)]
    pub(crate) all_counts: Value,
}

/// A deletion of tasks, which runs as a sync.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Deletion {
    /// Tasks at its start.
    pub(crate) tasks: u64,
}

/// Something to know about a sync that is no failure.
#[derive(Debug, Clone, Deserialize)]
struct Warning {
    code: String,
    count: i64,
    detail: String,
    key: Option<String>,
    row_index: Option<i64>,
}

/// The counters of a sync. Counters of later versions are ignored.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    pub(crate) listed: u64,
    pub(crate) matched: u64,
    pub(crate) created: u64,
    pub(crate) existed: u64,
    pub(crate) quarantined: u64,
    pub(crate) still_quarantined: u64,
    pub(crate) exported: u64,
    pub(crate) unchanged: u64,
    pub(crate) deleted: u64,
    pub(crate) failed: u64,
    /// Skipped keys by rule. Rules of later versions are shown as they are.
    pub(crate) skipped: BTreeMap<String, u64>,
    pub(crate) deleted_tasks: u64,
    pub(crate) deleted_annotations: u64,
    pub(crate) forgotten: u64,
}

impl Sync {
    /// Parses a sync from an answer.
    pub(crate) fn read(answer: &Value) -> Result<Self, serde_json::Error> {
        let sync: Self = serde_json::from_value(answer.clone())?;
        Ok(Self { all_counts: answer["counts"].clone(), ..sync })
    }

    /// The progress of the sync: listed keys, handled annotations, or deleted tasks.
    pub(crate) fn done(&self) -> u64 {
        match (self.deletion, self.direction) {
            (Some(_), _) | (None, None) => self.counts.deleted_tasks,
            (None, Some(Direction::Import)) => self.counts.listed,
            (None, Some(Direction::Export)) => self.counts.exported + self.counts.unchanged,
        }
    }

    /// The counters of this direction. The one that shows progress comes first.
    fn counters(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.counts;
        let quarantined = ("quarantined", counts.quarantined + counts.still_quarantined);
        match (self.deletion, self.direction) {
            (Some(_), _) | (None, None) => vec![
                ("deleted tasks", counts.deleted_tasks),
                ("annotations", counts.deleted_annotations),
                ("forgotten objects", counts.forgotten),
            ],
            (None, Some(Direction::Import)) => vec![
                ("listed", counts.listed),
                ("matched", counts.matched),
                ("created", counts.created),
                ("existed", counts.existed),
                quarantined,
            ],
            (None, Some(Direction::Export)) => vec![
                ("exported", counts.exported),
                ("unchanged", counts.unchanged),
                ("deleted", counts.deleted),
                ("failed", counts.failed),
                quarantined,
            ],
        }
    }

    /// The counters in one line.
    fn counters_line(&self) -> String {
        line(self.counters())
    }

    /// The counters in a line that fits beside a bar: the first one, and those that are not zero.
    pub(crate) fn progress(&self) -> String {
        let counters = self.counters().into_iter().enumerate();
        line(counters.filter(|(position, (_, count))| *position == 0 || *count > 0).map(|(_, counter)| counter))
    }

    /// What the sync waits for, since when, and the latest error, in one line; `None` if it makes progress.
    pub(crate) fn waiting(&self, now: Timestamp) -> Option<String> {
        let what = self.waiting_for.as_ref()?;
        Some(waiting_line(what, self.waiting_since, self.waiting_error.as_deref(), now))
    }

    /// The status, counters, duration and failure of the sync in one line.
    pub(crate) fn summary(&self) -> String {
        let mut text = format!("Sync {} {}: {}", self.id, self.status.as_str().replace('_', " "), self.counters_line());
        if let (Some(started), Some(finished)) = (self.started_at, self.finished_at)
            && let Ok(took) = std::time::Duration::try_from(finished.duration_since(started))
        {
            text.push_str(&format!(" in {}", duration(took)));
            let (moved, what) = match (self.deletion, self.direction) {
                (Some(_), _) | (None, None) => (self.counts.deleted_tasks, "tasks"),
                (None, Some(Direction::Import)) => (self.counts.created, "tasks"),
                (None, Some(Direction::Export)) => (self.counts.exported, "objects"),
            };
            if moved > 0 && !took.is_zero() {
                #[expect(clippy::cast_precision_loss, reason = "a rate for users")]
                let rate = moved as f64 / took.as_secs_f64();
                text.push_str(&format!(" ({rate:.0} {what}/s)"));
            }
        }
        for cause in [&self.reason, &self.detail].into_iter().flatten() {
            text.push_str(&format!("; {}", escaped(cause)));
        }
        if let Some(waiting) = self.waiting(Timestamp::now()) {
            text.push_str(&format!("; {waiting}"));
        }
        text.push_str(&self.skipped());
        for warning in &self.warnings {
            text.push_str(&warning.line());
        }
        text
    }

    /// A line with the number of skipped keys by rule; empty if none was skipped.
    fn skipped(&self) -> String {
        let rules = self.counts.skipped.iter().filter(|(_, keys)| **keys > 0);
        let rules: Vec<String> = rules.map(|(rule, keys)| format!("{} {}", escaped(rule), grouped(*keys))).collect();
        if rules.is_empty() { String::new() } else { format!("\nskipped: {}", rules.join(" · ")) }
    }
}

impl Warning {
    /// The warning as one line, with one of its objects as an example.
    fn line(&self) -> String {
        let item = self.row_index.map(|row| format!(", item {row}")).unwrap_or_default();
        let example = self.key.as_ref().map(|key| format!(" ({}{item})", escaped(key))).unwrap_or_default();
        format!("\nwarning: {} {}: {}{example}", escaped(&self.code), self.count, escaped(&self.detail))
    }
}

/// "waiting for storage for 3 min 5 s (since 2026-01-01T00:00:00Z): The endpoint cannot be reached."
pub(crate) fn waiting_line(what: &str, since: Option<Timestamp>, error: Option<&str>, now: Timestamp) -> String {
    let mut line = format!("waiting for {}", escaped(what));
    if let Some(since) = since {
        // The clocks of two machines differ.
        let time = std::time::Duration::try_from(now.duration_since(since)).unwrap_or_default();
        line.push_str(&format!(" for {} (since {since:.0})", duration(time)));
    }
    if let Some(error) = error {
        line.push_str(&format!(": {}", escaped(error)));
    }
    line
}

fn line(counters: impl IntoIterator<Item = (&'static str, u64)>) -> String {
    let words: Vec<String> = counters.into_iter().map(|(name, count)| format!("{name} {}", grouped(count))).collect();
    words.join(" · ")
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(in super::super) fn sync(status: &str) -> Sync {
        Sync::read(&json!({
            "id": 7, "storage": 3, "project": 1, "kind": "s3", "direction": "import", "status": status,
            "reason": null, "detail": null,
            "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:02Z",
            "counts": {"listed": 5001, "matched": 5000, "created": 4990, "existed": 2, "quarantined": 7,
                       "still_quarantined": 1, "from_a_later_version": 9}
        }))
        .unwrap()
    }

    #[test]
    fn a_summary_shows_counters_and_rate() {
        assert_eq!(
            sync("completed_with_errors").summary(),
            "Sync 7 completed with errors: listed 5,001 · matched 5,000 · created 4,990 · existed 2 · quarantined 8 \
             in 2.0 s (2495 tasks/s)"
        );
    }

    #[test]
    fn progress_leaves_out_zeros_except_the_first() {
        let mut sync = sync("in_progress");
        assert_eq!(sync.progress(), "listed 5,001 · matched 5,000 · created 4,990 · existed 2 · quarantined 8");
        sync.counts = Counts { existed: 3, ..Counts::default() };
        assert_eq!(sync.progress(), "listed 0 · existed 3");
    }

    #[test]
    fn a_deletion_counts_tasks() {
        let deletion = Sync::read(&json!({
            "id": 8, "storage": null, "direction": null, "status": "in_progress", "reason": null, "detail": null,
            "started_at": null, "finished_at": null, "deletion": {"tasks": 1_200, "keep": false, "removes": null},
            "counts": {"deleted_tasks": 1_000, "deleted_annotations": 3, "forgotten": 999}
        }));
        let deletion = deletion.unwrap();
        assert_eq!((deletion.done(), deletion.deletion.map(|deletion| deletion.tasks)), (1_000, Some(1_200)));
        assert_eq!(deletion.progress(), "deleted tasks 1,000 · annotations 3 · forgotten objects 999");
    }

    #[test]
    fn a_waiting_sync_says_for_what_since_when_and_why() {
        let mut waiting = sync("in_progress");
        let now: Timestamp = "2026-01-01T00:03:05Z".parse().unwrap();
        assert_eq!(waiting.waiting(now), None);
        waiting.waiting_for = Some("storage".to_owned());
        waiting.waiting_since = Some("2026-01-01T00:00:00.123456Z".parse().unwrap());
        waiting.waiting_error = Some("The endpoint\ncannot be reached.".to_owned());
        assert_eq!(
            waiting.waiting(now).as_deref(),
            Some("waiting for storage for 3 min 4 s (since 2026-01-01T00:00:00Z): The endpoint\\ncannot be reached.")
        );
        assert!(waiting.summary().contains("; waiting for storage for "), "{}", waiting.summary());
    }

    #[test]
    fn a_summary_has_lines_for_skipped_keys_and_warnings() {
        let mut warned = sync("completed");
        warned.counts.skipped =
            [("regex", 5_000), ("folder", 2), ("depth", 0)].map(|(rule, keys)| (rule.to_owned(), keys)).into();
        warned.warnings = serde_json::from_value(json!([
            {"code": "still_quarantined", "count": 7, "detail": "Look at them.", "key": null, "row_index": null},
            {"code": "annotator_unknown", "count": 3, "detail": "No ID.", "key": "a.json", "row_index": 4},
        ]))
        .unwrap();
        let summary = warned.summary();
        let lines: Vec<&str> = summary.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "skipped: folder 2 · regex 5,000",
                "warning: still_quarantined 7: Look at them.",
                "warning: annotator_unknown 3: No ID. (a.json, item 4)",
            ]
        );
    }

    #[test]
    fn a_failed_sync_shows_its_reason() {
        let mut failed = sync("failed");
        failed.reason = Some("no_such_bucket".to_owned());
        failed.detail = Some("Check the\nname.".to_owned());
        assert!(failed.summary().ends_with("; no_such_bucket; Check the\\nname."), "{}", failed.summary());
    }
}
