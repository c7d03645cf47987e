//! Storages in the API: fields, changes and deletion.

use longshore_local::s3::{AccessKey, Op, Options, S3Server, When};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle};
use serde_json::{Value, json};

use super::{refused, text};

/// Shows a storage, given its id, project, time of creation and endpoint.
type Show = fn(i64, i64, &str, &str) -> Value;

/// An import storage that was created with the required fields only, as Label Studio shows it, with Longshore's own fields.
fn import(id: i64, project: i64, created_at: &str, endpoint: &str) -> Value {
    json!({
        "id": id, "type": "s3", "synchronizable": true, "presign": true, "last_sync": null, "last_sync_count": null,
        "last_sync_job": null, "status": "initialized", "traceback": null, "meta": {}, "title": null,
        "description": null, "created_at": created_at, "bucket": "pics", "prefix": null, "regex_filter": null,
        "use_blob_urls": false, "aws_sse_kms_key_id": null, "region_name": null, "s3_endpoint": endpoint,
        "presign_ttl": 1, "recursive_scan": false, "project": project, "verify_content": false, "import_all_objects": false,
        "stop_when_unusable": true
    })
}

/// The same for export, with Longshore's own fields at the end.
fn export(id: i64, project: i64, created_at: &str, endpoint: &str) -> Value {
    json!({
        "id": id, "type": "s3", "synchronizable": true, "last_sync": null, "last_sync_count": null,
        "last_sync_job": null, "status": "initialized", "traceback": null, "meta": {}, "title": null,
        "description": null, "created_at": created_at, "can_delete_objects": null, "bucket": "pics", "prefix": null,
        "regex_filter": null, "use_blob_urls": false, "aws_sse_kms_key_id": null, "region_name": null,
        "s3_endpoint": endpoint, "project": project, "export_tasks": false, "json_suffix": false
    })
}

/// Calls the API, and gives status and JSON.
async fn called(rig: &Rig, method: &str, path: &str, sent: Option<&Value>) -> (u16, Value) {
    let (status, body) = text(rig, method, path, sent).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

/// The answer without what a sync would do, which other tests check.
fn without_forecast(mut body: Value) -> Value {
    let fields = body.as_object_mut().expect("an object");
    fields.remove("report");
    fields.remove("warnings");
    body
}

/// The required fields, and the rig's server.
fn least(rig: &Rig, project: i64) -> Value {
    json!({
        "project": project, "bucket": "pics", "s3_endpoint": rig.s3.endpoint(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_has_label_studios_fields_and_defaults_on_every_route() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let project = rig.project().await;
    for (direction, show) in [("", import as Show), ("/export", export)] {
        let collection = format!("/api/storages{direction}/s3");
        let (status, body) = called(&rig, "POST", &collection, Some(&least(&rig, project))).await;
        assert_eq!(status, 201, "{body}");
        let body = without_forecast(body);
        let (id, created_at) = (body["id"].as_i64().expect("an id"), body["created_at"].as_str().expect("a time"));
        // For example 2026-01-31T12:34:56.789012Z.
        assert!(created_at.len() == 27 && created_at.ends_with('Z') && &created_at[19..20] == ".", "{created_at}");
        let shown = show(id, project, created_at, &rig.s3.endpoint());
        assert_eq!(body, shown);

        let one = format!("{collection}/{id}");
        let listed = json!([shown]);
        for (path, expected) in [
            (one.clone(), &shown),
            (format!("{one}/"), &shown),
            (format!("{collection}?project={project}"), &listed),
            (format!("{collection}/?project={project}"), &listed),
            (format!("/api/storages{direction}?project={project}"), &listed),
            (format!("/api/storages{direction}/?project={project}"), &listed),
            (format!("/api/storages{direction}"), &listed),
        ] {
            assert_eq!(called(&rig, "GET", &path, None).await, (200, expected.clone()), "{path}");
        }
        assert_eq!(called(&rig, "PATCH", &one, Some(&json!({}))).await, (200, changed(&shown)));
        let (status, put) = called(&rig, "PUT", &one, Some(&least(&rig, project))).await;
        assert_eq!((status, without_forecast(put)), (200, changed(&shown)));
        for slash in ["", "/"] {
            let kinds = rig.get(&format!("/api/storages{direction}/types{slash}")).await;
            let names: Vec<&str> =
                kinds.as_array().into_iter().flatten().filter_map(|kind| kind["name"].as_str()).collect();
            assert_eq!(names, ["s3", "s3s", "gcs", "azure", "redis", "localfiles"]);
            assert_eq!(kinds[0]["title"], "AWS S3");
        }
        let body = refused(&rig, "GET", &collection, None, 400, "missing_project").await;
        assert_eq!(body["detail"], "query parameter \"project\" is required");
    }
    for path in ["/api/storages/s3/", "/api/storages/export/s3/"] {
        assert_eq!(text(&rig, "POST", path, Some(&least(&rig, project))).await.0, 201, "{path}");
    }
    assert_eq!(rig.get("/api/storages?project=999").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_also_creates_a_storage() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let form = format!(
        "project={}&bucket=pics&s3_endpoint={}&aws_access_key_id={ACCESS_KEY_ID}&aws_secret_access_key={SECRET_ACCESS_KEY}\
         &use_blob_urls=on&presign=0&presign_ttl=15&title=from+a+form",
        rig.project().await,
        rig.s3.endpoint()
    );
    let request = rig.request("POST", "/api/storages/s3/").header("X-Api-Key", rig.token());
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let (status, storage) = longshore_rig::rig::send_json(request).await;
    assert_eq!((status, &storage["title"]), (201, &json!("from a form")), "{storage}");
    assert_eq!((&storage["use_blob_urls"], &storage["presign"]), (&json!(true), &json!(false)));
    assert_eq!(storage["presign_ttl"], 15);
}

/// A storage as the answer to a change.
fn changed(shown: &Value) -> Value {
    let mut shown = shown.clone();
    shown["applies_from"] = json!("next_sync");
    shown
}

/// Whether the stored secrets still open the bucket.
async fn check_stored_secrets(rig: &Rig, storage: &StorageHandle) {
    let stored = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    let (status, body) = called(rig, "POST", &format!("{}/validate", storage.path), Some(&stored)).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_keeps_what_it_does_not_send_and_clears_what_it_sends_empty() {
    let rig = Rig::with().workers(0).start().await;
    // A key whose requests need the session token, and one whose requests must not bring any.
    let temporary = AccessKey::new("AKIATEMP", SECRET_ACCESS_KEY).with_session_token("session-token");
    let access_keys = vec![temporary, AccessKey::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY)];
    let s3 = S3Server::start(Options { access_keys, ..Options::default() }).await.expect("a server");
    s3.create_bucket("pics");
    let settings = json!({
        "aws_access_key_id": "AKIATEMP", "aws_session_token": "session-token", "s3_endpoint": s3.endpoint(),
        "prefix": "a/b", "regex_filter": r".*\.png$", "presign_ttl": 15, "title": "T", "description": "D"
    });
    let storage = rig.import_storage(rig.project().await, "pics", settings).await;
    let before = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    assert_eq!((&before["prefix"], &before["presign_ttl"]), (&json!("a/b"), &json!(15)));

    let mut expected = before.clone();
    expected["title"] = json!("U");
    expected["regex_filter"] = json!(null);
    expected["prefix"] = json!("");
    let patched = rig.patch(&storage, json!({"title": "U", "regex_filter": null, "prefix": ""})).await;
    assert_eq!(without_forecast(patched.clone()), changed(&expected));
    assert_eq!(patched["type"], "s3");
    check_stored_secrets(&rig, &storage).await;

    for empty in [json!(""), json!(null)] {
        rig.patch(&storage, json!({"aws_access_key_id": "AKIATEMP", "aws_session_token": "session-token"})).await;
        // With the token it is refused, so it goes through only if the token is cleared.
        let path = format!("{}/{}", storage.path, storage.id);
        let body = Some(json!({"aws_access_key_id": ACCESS_KEY_ID}));
        refused(&rig, "PATCH", &path, body, 400, "expired_credentials").await;
        check_stored_secrets(&rig, &storage).await;
        rig.patch(&storage, json!({"aws_access_key_id": ACCESS_KEY_ID, "aws_session_token": empty})).await;
        check_stored_secrets(&rig, &storage).await;
    }
    assert_eq!(rig.get(&format!("{}/{}", storage.path, storage.id)).await, expected);
}

/// Goal: two changes of different fields at the same time both count. Method: hold the probe of one, then make the other.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_different_fields_at_the_same_time_both_count() {
    let (rig, path) = with_pics().await;
    let probe = rig.s3.hold(Op::List);
    let (moved, renamed) = (json!({"prefix": "train"}), json!({"title": "renamed"}));
    let (answer, _) = tokio::join!(called(&rig, "PATCH", &path, Some(&moved)), async {
        probe.reached().await;
        assert_eq!(called(&rig, "PATCH", &path, Some(&renamed)).await.0, 200);
        probe.release();
    });
    assert_eq!(answer.0, 200, "{}", answer.1);
    let storage = rig.get(&path).await;
    assert_eq!((&storage["prefix"], &storage["title"]), (&json!("train"), &json!("renamed")));
}

/// Goal: a probe counts only for what it has tried. Method: hold the probe of one change of the connection, then make another.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_connection_that_another_request_has_changed_is_refused() {
    let (rig, path) = with_pics().await;
    let probe = rig.s3.hold(When::op(Op::List).nth(1));
    let (first, second) = (json!({"prefix": "train"}), json!({"region_name": "eu-west-1"}));
    let (refused, _) = tokio::join!(called(&rig, "PATCH", &path, Some(&first)), async {
        probe.reached().await;
        assert_eq!(called(&rig, "PATCH", &path, Some(&second)).await.0, 200);
        probe.release();
    });
    assert_eq!((refused.0, &refused.1["code"]), (400, &json!("conflict")), "{}", refused.1);
    let storage = rig.get(&path).await;
    assert_eq!((&storage["prefix"], &storage["region_name"]), (&Value::Null, &json!("eu-west-1")), "{storage}");
}

/// A rig with a storage on bucket `pics`, and the storage's path.
async fn with_pics() -> (Rig, String) {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let project = rig.project().await;
    let (_, made) = called(&rig, "POST", "/api/storages/s3", Some(&least(&rig, project))).await;
    let path = format!("/api/storages/s3/{}", made["id"]);
    (rig, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_resets_missing_fields_to_defaults_but_keeps_the_secrets() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    rig.s3.create_bucket("others");
    let settings = json!({"prefix": "a", "use_blob_urls": true, "presign": false, "presign_ttl": 9, "title": "T"});
    let storage = rig.import_storage(rig.project().await, "pics", settings).await;
    let path = format!("{}/{}", storage.path, storage.id);
    let whole = json!({"project": storage.project, "bucket": "others",
                       "s3_endpoint": format!("http://{}", rig.storage_link.address())});
    let (status, put) = rig.call("PUT", &path, Some(whole)).await;
    let put = without_forecast(put);
    assert_eq!((status, &put["bucket"], &put["title"]), (200, &json!("others"), &Value::Null), "{put}");
    assert_eq!((&put["prefix"], &put["use_blob_urls"]), (&Value::Null, &json!(false)));
    assert_eq!(
        (&put["presign"], &put["presign_ttl"], &put["recursive_scan"]),
        (&json!(true), &json!(1), &json!(false))
    );
    check_stored_secrets(&rig, &storage).await;
    let body = refused(&rig, "PUT", &path, Some(json!({"title": "V"})), 400, "validation_error").await;
    let required = json!(["This field is required."]);
    assert_eq!(body["validation_errors"], json!({"project": required, "bucket": required}));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_cannot_write_the_sync_fields_of_a_storage() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let project = rig.project().await;
    let own = json!({
        "id": 77, "type": "gcs", "status": "completed", "last_sync": "2020-01-01T00:00:00Z", "last_sync_count": 5,
        "last_sync_job": "j", "traceback": "t", "meta": {"x": 1}, "created_at": "2020-01-01T00:00:00Z", "applies_from": "now"
    });
    let storage = rig.import_storage(project, "pics", own.clone()).await;
    let stored = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    assert_ne!(stored["id"], 77);
    let mut expected = import(
        storage.id,
        project,
        stored["created_at"].as_str().expect("a time"),
        stored["s3_endpoint"].as_str().expect("an endpoint"),
    );
    // The rig's storages scan recursively.
    expected["recursive_scan"] = json!(true);
    assert_eq!(stored, expected);
    assert!(!stored["created_at"].as_str().expect("a time").starts_with("2020"));
    assert_eq!(rig.patch(&storage, own).await, changed(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_storage_leaves_its_tasks_and_a_new_one_imports_again() {
    let rig = Rig::start().await;
    rig.s3.put_many("pics", (0..3).map(|n| (format!("{n}.png"), "image")));
    let project = rig.project().await;
    let storage = rig.import_storage(project, "pics", json!({"use_blob_urls": true})).await;
    rig.sync_to_end(&storage).await;
    let path = format!("{}/{}", storage.path, storage.id);
    assert_eq!(text(&rig, "DELETE", &path, None).await, (204, String::new()));
    refused(&rig, "GET", &path, None, 404, "not_found").await;
    refused(&rig, "DELETE", &path, None, 404, "not_found").await;
    assert_eq!(rig.get(&format!("/api/tasks?project={project}")).await["total"], 3);
    assert_eq!(rig.s3.objects("pics").len(), 3);
    let rest = "SELECT (SELECT count(*) FROM objects) + (SELECT count(*) FROM syncs) + (SELECT count(*) FROM jobs)";
    assert_eq!(rig.database().await.query_one(rest, &[]).await.expect("a count").get::<_, i64>(0), 0);

    let again = rig.import_storage(project, "pics", json!({"use_blob_urls": true})).await;
    assert_ne!(again.id, storage.id);
    let sync = rig.sync_to_end(&again).await;
    rig.check_first_counts(&sync, &one_each((0..3).map(|n| format!("{n}.png"))), 0);
    assert_eq!(rig.get(&format!("/api/tasks?project={project}")).await["total"], 6);
}
