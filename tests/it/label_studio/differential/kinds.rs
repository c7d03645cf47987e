//! The cases of the other kinds. Both processes have the same environment for storages.

use super::cases::kinds::of_kind;
use super::every_kind::EveryKind;
use super::run;

/// Goal: storages of all kinds are read with their settings, with credentials of their own and with those of the processes.
/// Method: on each server, both sync the same buckets.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn storages_of_every_kind_are_imported_as_label_studio_does() {
    let all = EveryKind::start().await;
    let mut faults = Vec::new();
    for store in &all.stores {
        faults.extend(run::run_all(&all.twins, store, &of_kind(store.kind())).await);
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
