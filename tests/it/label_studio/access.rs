//! Who may start a sync: Label Studio decides about its users.

use longshore_rig::rig::rows;
use serde_json::json;

use super::{SECRET_ACCESS_KEY, TOKEN, Twin, Twins};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_user_of_label_studio_starts_a_sync_and_gets_the_storage_as_label_studio_shows_it() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("access");
    twins.rig.s3.put("access", "a.jpg", "x");
    let twin = twins.import("access", json!({"use_blob_urls": true})).await;

    for token in ["", "0000000000000000000000000000000000000000"] {
        let (status, text) = twins.ask(&twin, token).await;
        assert_eq!(status, 401, "{text}");
    }
    let (status, text) = twins.ask(&Twin { storage: 999_999, ..twin }, TOKEN).await;
    assert_eq!(status, 404, "{text}");
    let synced: Option<i64> =
        twins.rig.database().await.query_one("SELECT max(id) FROM syncs", &[]).await.expect("syncs").get(0);
    assert_eq!(synced, None, "no denied request started a sync");

    let (status, body) = twins.ask(&twin, TOKEN).await;
    assert_eq!(status, 200, "{body}");
    let shown = twins.studio.send("GET", &format!("/api/storages/s3/{}", twin.storage), None).await;
    assert_eq!(body, shown);
    assert_eq!(
        (&body["status"], &body["last_sync_count"], &body["type"]),
        (&json!("completed"), &json!(1), &json!("s3"))
    );
    let audit = twins.rig.get("/api/audit?action=sync.start").await;
    let [entry] = rows(&audit) else { panic!("one entry: {audit}") };
    assert_eq!((&entry["actor"], &entry["address"]), (&json!("Label Studio user 1"), &json!("127.0.0.1")), "{entry}");
    assert!(!body.to_string().contains(SECRET_ACCESS_KEY));
}

/// Goal: what Label Studio refuses is refused, and so are projects that only Longshore knows to be deleted. Method: rows as
/// Label Studio leaves them, and the same request before, between and after.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_removed_member_a_deleted_project_and_a_storage_that_may_not_sync_get_no_sync() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("refused");
    twins.rig.s3.put("refused", "a.jpg", "x");
    let twin = twins.import("refused", json!({"use_blob_urls": true})).await;
    let db = twins.rig.database().await;
    for (table, column, refused, usual, expected) in [
        ("organizations_organizationmember", "deleted_at", "now()", "NULL", (403, "forbidden")),
        ("project", "deleted_at", "now()", "NULL", (404, "not_found")),
        ("io_storages_s3importstorage", "synchronizable", "false", "true", (400, "not_synchronizable")),
    ] {
        let set = |value: &str| format!("UPDATE public.{table} SET {column} = {value}");
        db.batch_execute(&set(refused)).await.expect("a change");
        let (status, body) = twins.ask(&twin, TOKEN).await;
        assert_eq!((status, body["code"].as_str()), (expected.0, Some(expected.1)), "{table}: {body}");
        let listed = twins.rig.get("/api/storages").await;
        let shown = usize::from(table != "project");
        assert_eq!(rows(&listed).len(), shown, "{table}: {listed}");
        db.batch_execute(&set(usual)).await.expect("a change");
    }
    let syncs: i64 = db.query_one("SELECT count(*) FROM syncs", &[]).await.expect("syncs").get(0);
    assert_eq!(syncs, 0, "no refused request started a sync");
    assert_eq!(twins.sync_ours(&twin).await["last_sync_count"], json!(1));
}

/// Goal: users with tokens do not wait for look-ups of tokens that Longshore lacks. Method: the counter of these look-ups.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_token_of_label_studio_is_looked_up_once_and_not_for_each_request() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("tokens");
    twins.rig.s3.put("tokens", "a.jpg", "x");
    let twin = twins.import("tokens", json!({"use_blob_urls": true})).await;
    let lookups = async || {
        let answer = reqwest::get(format!("{}/metrics", twins.rig.url())).await.expect("an answer");
        let text = answer.text().await.expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix("longshore_token_queries_total"));
        line.and_then(|line| line.split_whitespace().last()?.parse::<f64>().ok()).expect("a counter")
    };
    twins.sync_ours(&twin).await;
    let first = lookups().await;
    assert!(first >= 1.0, "the first request looks it up");
    for _ in 0..3 {
        twins.sync_ours(&twin).await;
    }
    assert_eq!(lookups().await.to_bits(), first.to_bits(), "further requests do not");
}

/// Goal: no stranger acts as the user who has the same ID here. Method: a scheduler that asks the Label Studio of another database.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_user_of_another_label_studio_is_not_taken_for_one_of_this_database() {
    let other = Twins::start().await;
    let rename = "UPDATE public.htx_user SET email = 'stranger@example.com'";
    other.rig.database().await.batch_execute(rename).await.expect("a user");
    let url = other.studio.url().to_owned();
    let twins = Twins::with(|options| options.env("LONGSHORE_LABEL_STUDIO_URL", url)).await;
    twins.rig.s3.create_bucket("strange");
    let twin = twins.import("strange", json!({"use_blob_urls": true})).await;
    let (status, body) = twins.ask(&twin, TOKEN).await;
    assert_eq!((status, &body["code"]), (503, &json!("label_studio_unavailable")), "{body}");
    assert!(twins.rig.logs().contains("is it another Label Studio?"), "the log has the reason");
}
