//! The oldest version of Label Studio that Longshore supports: what is not an import. Imports are in `differential::oldest`.

use longshore_rig::label_studio::Version;
use serde_json::json;

use super::export::{self, PER_TASK};
use super::{Twins, host_commands, resolve};

/// Goal: exports, images and the check work beside 1.21, too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_oldest_supported_label_studio_is_checked_exported_and_shown_alike() {
    let twins = Twins::of_version(Version::Oldest, &[], |options| options).await;
    let checked = host_commands::check(&twins.rig).await;
    assert_eq!(checked.code, 0, "{}", checked.text);

    let found = export::compare(&twins, Some("out")).await;
    assert!(found.is_empty(), "{}", found.join("\n"));

    twins.rig.s3.create_bucket("shown");
    twins.rig.s3.put("shown", "a ü.jpg", "pixels");
    let twin = twins.import("shown", json!({"use_blob_urls": true, "presign": true, "presign_ttl": 7})).await;
    twins.sync_ours(&twin).await;
    let task = resolve::first_task(&twins, &twin).await;
    let answer = resolve::as_user(&twins, &resolve::path(task, "s3://shown/a ü.jpg")).await;
    assert_eq!(answer.status(), 303);
    let location = answer.headers()["location"].to_str().expect("a URL").to_owned();
    assert_eq!(reqwest::get(&location).await.expect("the storage answers").text().await.expect("an image"), "pixels");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_export_per_task_writes_what_the_oldest_supported_label_studio_writes() {
    let yes = "true".to_owned();
    let environment = [(PER_TASK[1], yes.clone())];
    let twins = Twins::of_version(Version::Oldest, &environment, |options| options.env(PER_TASK[0], yes)).await;
    let found = export::compare(&twins, Some("out")).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}
