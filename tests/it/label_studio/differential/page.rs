//! The page that lists the differences, against the cases that show them.

use std::collections::BTreeSet;
use std::fs;

use longshore_rig::installed::workspace;

use super::case::Case;
use super::cases;

/// Entries that no case with the newest Label Studio can show, with the file and the test that does.
const SHOWN_ELSEWHERE: &[(&str, &str, &str)] =
    &[("blank-lines", "label_studio/differential/oldest.rs", "the_oldest_supported_label_studio_has_equal_rows_too")];

/// Names of the entries: the first column of the table.
fn entries() -> BTreeSet<String> {
    let page = fs::read_to_string(workspace().join("deploy/label-studio/differences.md")).expect("a page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn each_listed_difference_of_imports_is_shown_and_each_shown_one_is_listed() {
    let of_kinds = ["gcs", "azure", "redis", "localfiles"].into_iter().flat_map(cases::kinds::of_kind);
    let cases: Vec<Case> = cases::all().into_iter().chain(of_kinds).collect();
    let differences = cases.iter().flat_map(|case| &case.differences);
    let mut shown: BTreeSet<String> = differences.map(|difference| difference.entry.to_owned()).collect();
    for (entry, file, test) in SHOWN_ELSEWHERE {
        let text = fs::read_to_string(workspace().join("tests/it").join(file)).expect("a file of tests");
        assert!(text.contains(&format!("async fn {test}(")), "{file} has the test {test}");
        shown.insert((*entry).to_owned());
    }
    let listed = entries();
    let (unlisted, unshown): (Vec<_>, Vec<_>) =
        (shown.difference(&listed).collect(), listed.difference(&shown).collect());
    assert!(unlisted.is_empty() && unshown.is_empty(), "not listed: {unlisted:?}, not shown: {unshown:?}");
}
