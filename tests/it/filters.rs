//! File filters: no user's filter stops a scheduler or a worker, or loses a key.

use longshore_rig::heavy;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle};
use serde_json::{Value, json};

fn settings(rig: &Rig, project: i64, regex: &str) -> Value {
    json!({
        "project": project, "bucket": "keys", "s3_endpoint": rig.s3.endpoint(), "use_blob_urls": true,
        "recursive_scan": true, "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
        "regex_filter": regex
    })
}

/// Goal: whatever filter one tenant saves, another tenant's sync completes and `/healthz` answers. Method: for each
/// filter a preview, a doctor run and syncs in all slots of two workers, and at the same time a sync of another
/// project.
#[tokio::test(flavor = "multi_thread")]
async fn no_filter_of_one_tenant_stops_health_or_the_sync_of_another() {
    let rig = Rig::with().env("LONGSHORE_JOBS", "2").start().await;
    rig.s3.put_many("keys", heavy::keys(1_000).into_iter().map(|key| (key, "")));
    rig.s3.put_many("pics", (0..20).map(|n| (format!("{n}.png"), "")));
    let (attacker, other) = (rig.project().await, rig.project().await);
    let mut syncs = Vec::new();
    for regex in heavy::FILTERS {
        let sent = settings(&rig, attacker, regex);
        let (status, body) = rig.call("POST", "/api/storages/s3", Some(sent.clone())).await;
        if status == 400 {
            let message = body["validation_errors"]["regex_filter"][0].as_str().expect("a message");
            assert!(message.contains("too complex"), "{regex}: {body}");
            for path in ["/api/storages/s3/files", "/api/storages/s3/validate"] {
                assert_eq!(rig.call("POST", path, Some(sent.clone())).await.0, 400, "{path} {regex}");
            }
            continue;
        }
        assert_eq!(status, 201, "{regex}: {body}");
        let id = body["id"].as_i64().expect("an id");
        let storage = StorageHandle { id, project: attacker, path: "/api/storages/s3" };
        syncs.push((regex, storage.clone(), rig.sync(&storage).await));
        let preview = rig.post("/api/storages/s3/files", sent).await;
        assert!(preview["complete"].as_bool().is_some(), "{regex}: {preview}");
        let examined = rig.post(&format!("/api/storages/s3/{id}/doctor"), json!({})).await;
        assert!(examined["steps"].is_array(), "{regex}: {examined}");
    }
    assert!(!syncs.is_empty(), "some of them are taken");
    let storage = rig.import_storage(other, "pics", json!({"use_blob_urls": true})).await;
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &one_each((0..20).map(|n| format!("{n}.png"))), &[]).await;
    for url in [rig.url(), rig.workers[0].url()] {
        let health = reqwest::get(format!("{url}/healthz")).await.expect("an answer");
        assert_eq!(health.status(), 200);
    }
    // Every key was skipped by the filter or is in quarantine.
    for (regex, storage, sync) in syncs {
        let sync = rig.ended(sync).await;
        let count = |name: &str| sync["counts"][name].as_i64().expect("a count");
        assert_eq!((count("listed"), count("created")), (1_000, 0), "{regex}: {sync}");
        let rows = rig.quarantine(&storage).await;
        assert_eq!(i64::try_from(rows.len()).expect("a count"), count("quarantined"), "{regex}");
        assert!(rows.iter().all(|row| row["reason"] == "filter_too_slow"), "{regex}: {:?}", rows.first());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_filter_that_no_longer_compiles_fails_its_sync_with_a_reason() {
    let rig = Rig::start().await;
    rig.s3.put_many("keys", heavy::keys(10).into_iter().map(|key| (key, "")));
    let project = rig.project().await;
    let created = rig.post("/api/storages/s3", settings(&rig, project, "x")).await;
    let id = created["id"].as_i64().expect("an id");
    let storage = StorageHandle { id, project, path: "/api/storages/s3" };
    for regex in [r"(?:\w\w?){300}$", r"\w{1000}", "((a{100}){100}){100}", "(?=((a{1000}){1000}){1000})", r"a\Kb"] {
        // As a release without limits would have saved it.
        let stored =
            "UPDATE storages SET settings = jsonb_set(settings, '{regex_filter}', to_jsonb($2::text)) WHERE id = $1";
        rig.database().await.execute(stored, &[&id, &regex]).await.expect("a storage");
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(
            (&sync["status"], &sync["reason"]),
            (&json!("failed"), &json!("invalid_settings")),
            "{regex}: {sync}"
        );
        assert!(sync["detail"].as_str().expect("a detail").contains("file filter"), "{regex}: {sync}");
    }
    let changed = rig.patch(&storage, json!({"regex_filter": "0|1"})).await;
    assert_eq!(changed["regex_filter"], "0|1");
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(10)), "{sync}");
}

/// Goal: a key on which the filter was too slow is not lost. Method: it is quarantined, and imported by the next sync
/// once the filter decides about it, though the object did not change.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_filter_cannot_decide_is_quarantined_and_tried_again_by_the_next_sync() {
    let rig = Rig::start().await;
    let slow = format!("{}!", "a".repeat(200));
    rig.s3.put_many("pics", [(slow.as_str(), ""), ("good.png", ""), ("zzz", "")]);
    let project = rig.project().await;
    let filter = json!({"use_blob_urls": true, "regex_filter": r"good|(a|aa)+\1c"});
    let storage = rig.import_storage(project, "pics", filter).await;
    for created in [1, 0] {
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed_with_errors", "{sync}");
        assert_eq!(
            (&sync["counts"]["created"], &sync["counts"]["quarantined"]),
            (&json!(created), &json!(1)),
            "{sync}"
        );
        let rows = rig.quarantine(&storage).await;
        assert_eq!((&rows[0]["key"], &rows[0]["reason"]), (&json!(slow), &json!("filter_too_slow")));
    }
    rig.patch(&storage, json!({"regex_filter": "good|a+"})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["created"]), (&json!("completed"), &json!(1)), "{sync}");
    assert!(rig.quarantine(&storage).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_config_has_a_limit() {
    let rig = Rig::with().workers(0).start().await;
    let config = |bytes: usize| format!("<View>{}</View>", " ".repeat(bytes - 13));
    for (bytes, expected) in [(1024 * 1024, 201), (1024 * 1024 + 1, 400)] {
        let body = json!({"title": "x", "label_config": config(bytes)});
        let (status, answer) = rig.call("POST", "/api/projects", Some(body)).await;
        assert_eq!(status, expected, "{bytes}");
        assert!(expected == 201 || answer["validation_errors"]["label_config"].is_array(), "{bytes}");
    }
}
