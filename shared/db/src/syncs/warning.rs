//! What a user should know about a sync although it is no failure.

use longshore_model::Direction;
use serde::Serialize;

use super::SyncRow;
use crate::SkippedCounts;
use crate::job_warnings::WarnedItems;

/// Something to know about a sync that did not fail for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SyncWarning {
    /// A stable code for programs.
    pub code: &'static str,
    /// How many objects, keys or items it concerns.
    pub count: i64,
    /// What happened and what to do, as text for users.
    pub detail: String,
    /// Key of an object that it concerns; null if none is known.
    pub key: Option<String>,
    /// Number of the item in that object, from 0; null if no single item is meant.
    pub row_index: Option<i32>,
}

impl SyncWarning {
    fn new(code: &'static str, count: i64, detail: String) -> Self {
        Self { code, count, detail, key: None, row_index: None }
    }
}

impl From<WarnedItems> for SyncWarning {
    fn from(warned: WarnedItems) -> Self {
        Self {
            code: warned.warning.as_str(),
            count: warned.items,
            detail: warned.warning.advice().to_owned(),
            key: Some(warned.key),
            row_index: Some(warned.row_index),
        }
    }
}

impl SyncRow {
    /// What its counts show. That it found nothing is only certain at its end.
    pub fn warnings(&self) -> Vec<SyncWarning> {
        let counts = &self.counts;
        let mut warnings = Vec::new();
        if self.direction != Direction::Import || self.deletion.is_some() {
            return warnings;
        }
        if self.finished_at.is_some() && self.reason.is_none() && counts.matched == 0 {
            warnings.push(nothing_matched(counts.listed, &counts.skipped));
        }
        if let Some(storage) = self.storage_id.filter(|_| counts.still_quarantined > 0) {
            let detail = format!(
                "Objects still in quarantine from earlier syncs: {}. For the reasons see /api/quarantine?storage={} or run \
                 `longshore quarantine list --storage {}`.",
                counts.still_quarantined, storage, storage
            );
            warnings.push(SyncWarning::new("still_quarantined", counts.still_quarantined, detail));
        }
        if counts.vanished > 0 {
            let detail = format!(
                "Objects that were listed and then not found: {}. If they were not deleted, the storage lists other keys than \
                 it stores.",
                counts.vanished
            );
            warnings.push(SyncWarning::new("vanished", counts.vanished, detail));
        }
        warnings
    }
}

/// The warning of a sync without a matching key.
fn nothing_matched(listed: i64, skipped: &SkippedCounts) -> SyncWarning {
    if listed == 0 && skipped.depth == 0 {
        let detail = "The storage lists nothing below the prefix. Check the prefix: it begins without a slash, and capitals \
                      count.";
        return SyncWarning::new("nothing_listed", 0, detail.to_owned());
    }
    let rules: Vec<String> = skipped.rules().map(|(rule, keys)| format!("{} {keys}", words(rule))).collect();
    let mut detail = format!("Nothing was imported, because everything listed was skipped: {}.", rules.join(", "));
    if skipped.regex > 0 {
        detail.push_str(
            " The file filter is a regular expression that must match from the start of the whole key (of local files, of \
             the name): put `.*` in front of what may stand anywhere.",
        );
    }
    if skipped.depth > 0 {
        detail.push_str(" Switch on the recursive scan to look into sub-folders.");
    }
    if skipped.folder + skipped.hadoop + skipped.desktop + skipped.export > 0 {
        detail.push_str(" Switch on `import_all_objects` to import what is usually no content.");
    }
    SyncWarning::new("all_skipped", listed + skipped.depth, detail)
}

/// A rule in words.
fn words(rule: &'static str) -> &'static str {
    match rule {
        "regex" => "file filter",
        "depth" => "sub-folders",
        "folder" => "folder markers",
        "hadoop" => "markers of Hadoop",
        "desktop" => "files of desktops",
        "export" => "exports of this project",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_without_a_match_names_the_rules() {
        let skipped = SkippedCounts { regex: 5, folder: 2, ..SkippedCounts::default() };
        let warning = nothing_matched(7, &skipped);
        assert_eq!((warning.code, warning.count), ("all_skipped", 7));
        assert!(warning.detail.contains(": folder markers 2, file filter 5. The file filter"), "{}", warning.detail);
        let deep = nothing_matched(0, &SkippedCounts { depth: 3, ..SkippedCounts::default() });
        assert!(deep.code == "all_skipped" && deep.detail.contains("recursive"), "{deep:?}");
        assert_eq!(nothing_matched(0, &SkippedCounts::default()).code, "nothing_listed");
    }
}
