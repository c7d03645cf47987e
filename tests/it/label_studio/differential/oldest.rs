//! The cases on the oldest version of Label Studio that Longshore supports.

use longshore_rig::label_studio::Version;

use super::store::Store;
use super::{cases, run};
use crate::label_studio::Twins;

/// Cases in which that version itself does not do what the newest does. Longshore does the same with both.
const OTHER_THERE: &[&str] = &[
    // It ignores `allow_skip`.
    "allow-skip-text",
    // `cases::oldest` has it with what that version does.
    "annotations-twice-one-user",
    // It reads these.
    "big-number-in-list",
    "byte-order-mark",
    // `cases::oldest` has it without blank lines, and blank lines alone.
    "json-lines",
    // Its next sync fails at these again.
    "list-with-a-comma-at-its-end",
    "partly-bad-line",
    "partly-list-cut-off",
    // It takes an empty file for one without tasks.
    "refused-empty",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_oldest_supported_label_studio_has_equal_rows_too() {
    let twins = Twins::of_version(Version::Oldest, &[], |options| options.env("LONGSHORE_LEASE_SECONDS", "60")).await;
    let mut chosen: Vec<_> =
        cases::all().into_iter().filter(|case| !OTHER_THERE.contains(&case.name.as_str())).collect();
    assert_eq!(chosen.len() + OTHER_THERE.len(), cases::all().len(), "each name is that of a case");
    chosen.extend(cases::oldest::cases());
    let faults = run::run_all(&twins, &Store::S3, &chosen).await;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
