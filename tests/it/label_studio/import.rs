//! Imports for Label Studio: the answer to the request.

use serde_json::json;

use super::Twins;

/// Goal: the page takes over the answer as it is, so it has every field that Label Studio shows, with the same value.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_answer_to_a_sync_is_the_storage_as_label_studio_shows_it() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("answers");
    twins.rig.s3.put("answers", "good.json", json!({"data": {"image": "i"}}).to_string().into_bytes());
    let twin = twins.import("answers", json!({"title": "T", "description": "D"})).await;
    let shown = async || twins.studio.send("GET", &format!("/api/storages/s3/{}", twin.storage), None).await;
    for (status, change) in [("completed", "bad.json"), ("completed_with_errors", "good.json")] {
        let answer = twins.sync_ours(&twin).await;
        assert_eq!((&answer["status"], &answer), (&json!(status), &shown().await));
        twins.rig.s3.put("answers", change, b"{".to_vec());
        // A change is seen at once, although who may sync is known.
        let title = json!({"title": change});
        twins.studio.send("PATCH", &format!("/api/storages/s3/{}", twin.storage), Some(&title)).await;
    }
    let text = "UPDATE public.io_storages_s3importstorage SET bucket = 'no-such-bucket' WHERE id = $1::bigint";
    twins.rig.database().await.execute(text, &[&twin.storage]).await.expect("a storage");
    let answer = twins.sync_ours(&twin).await;
    assert_eq!((&answer["status"], &answer), (&json!("failed"), &shown().await));
}
