//! Some cases on the oldest version of Label Studio that Longshore supports.

use longshore_rig::label_studio::Version;

use super::store::Store;
use super::{cases, run};
use crate::label_studio::Twins;

/// What was different in older versions: columns of tasks, annotations and predictions, and the status of a sync.
const NAMES: &[&str] = &[
    "annotation-bare",
    "annotation-cancelled",
    "annotations-and-predictions",
    "annotations-of-two",
    "deep-data",
    "deleted-tasks",
    "dropped-null-cancelled",
    "dropped-null-ground-truth",
    "dropped-prediction-mislabeling-null",
    "dropped-unknown-user",
    "list-of-three",
    "new-objects",
    "no-prefix-deep",
    "predictions-three",
    "prefix-flat",
    "refused-cut-off",
    "regex-anchored",
    "repaired",
    "undefined-key",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_oldest_supported_label_studio_has_equal_rows_too() {
    let twins = Twins::of_version(Version::Oldest, &[], |options| options.env("LONGSHORE_LEASE_SECONDS", "60")).await;
    let mut chosen: Vec<_> = cases::all().into_iter().filter(|case| NAMES.contains(&case.name.as_str())).collect();
    assert_eq!(chosen.len(), NAMES.len(), "each name is that of a case");
    chosen.extend(cases::oldest::cases());
    let faults = run::run_all(&twins, &Store::S3, &chosen).await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
