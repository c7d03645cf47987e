//! The page that lists the differences, against the cases that show them.

use std::collections::BTreeSet;
use std::fs;

use longshore_rig::installed::workspace;

use super::case::Case;
use super::cases;
use crate::label_studio::resolve::differences::{LISTED, MORE_KINDS};

/// Entries that no case with the newest Label Studio can show, with the file and the test that does.
const SHOWN_ELSEWHERE: &[(&str, &str, &str)] = &[
    (MORE_KINDS, "label_studio/resolve/kinds.rs", "both_stream_the_same_objects_but_for_the_listed_differences"),
    (
        "held-uris",
        "label_studio/resolve/scope.rs",
        "a_uri_is_resolved_only_for_a_task_that_holds_it_and_with_its_project",
    ),
    ("head", "label_studio/resolve/scope.rs", "a_uri_is_resolved_only_for_a_task_that_holds_it_and_with_its_project"),
    (
        "storage-of-a-uri",
        "label_studio/resolve/scope.rs",
        "the_storage_with_the_longest_prefix_decides_how_an_object_is_served",
    ),
    ("aws-host", "label_studio/resolve/scope.rs", "presigned_urls_of_aws_name_the_host_of_the_region"),
    ("cancelled-as-text", "label_studio/differential/fields.rs", "each_field_has_the_values_that_label_studio_stores"),
    ("null-as-missing", "label_studio/differential/fields.rs", "each_field_has_the_values_that_label_studio_stores"),
    ("odd-texts", "label_studio/differential/fields.rs", "each_field_has_the_values_that_label_studio_stores"),
    ("updated-by", "label_studio/differential/fields.rs", "each_field_has_the_values_that_label_studio_stores"),
    ("blank-lines", "label_studio/differential/oldest.rs", "the_oldest_supported_label_studio_has_equal_rows_too"),
    (
        "labeled-by-one-user",
        "label_studio/differential/oldest.rs",
        "the_oldest_supported_label_studio_has_equal_rows_too",
    ),
];

/// Names of the entries: the first column of the table.
fn entries() -> BTreeSet<String> {
    let page = fs::read_to_string(workspace().join("deploy/label-studio/differences.md")).expect("a page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn each_listed_difference_is_shown_and_each_shown_one_is_listed() {
    let of_kinds = ["gcs", "azure", "redis", "localfiles"].into_iter().flat_map(cases::kinds::of_kind);
    let of_s3 = cases::all().into_iter().chain(cases::settings::cases());
    let cases: Vec<Case> = of_s3.chain(of_kinds).collect();
    let differences = cases.iter().flat_map(|case| &case.differences);
    let mut shown: BTreeSet<String> = differences.map(|difference| difference.entry.to_owned()).collect();
    shown.extend(LISTED.iter().map(|difference| difference.entry.to_owned()));
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
