//! A change of a storage lends nothing: not its secrets to another server or project, not the data of the project that it
//! leaves, and not the rights of a token that ended meanwhile.

use longshore_local::s3::{AccessKey, Op, Options, S3Server, When};
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle, rows, until};
use serde_json::{Value, json};

use super::{admin_of, call};

const KEYS: [(&str, &str); 2] = [("aws_access_key_id", ACCESS_KEY_ID), ("aws_secret_access_key", SECRET_ACCESS_KEY)];

/// A change to another project, with the secrets.
fn to(project: i64) -> Value {
    let mut change = json!({"project": project});
    for (field, value) in KEYS {
        change[field] = json!(value);
    }
    change
}

fn path(storage: &StorageHandle) -> String {
    format!("{}/{}", storage.path, storage.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_moves_takes_no_sync_and_no_quarantine_along() {
    let rig = Rig::start().await;
    rig.s3.put("tasks", "good.json", r#"{"image": "i"}"#);
    rig.s3.put("tasks", "bad.json", r#"{"secret_excerpt_of_one": tru"#);
    let (one, two) = (rig.project().await, rig.project().await);
    let storage = rig.import_storage(one, "tasks", json!({})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    rig.check_no_unfinished_work(&storage).await;
    let excerpt = rig.quarantine(&storage).await[0].clone();
    assert!(excerpt.to_string().contains("secret_excerpt_of_one"), "{excerpt}");

    let moved = rig.patch(&storage, to(two)).await;
    assert_eq!((&moved["project"], &moved["status"]), (&json!(two), &json!("initialized")), "{moved}");
    for field in ["last_sync", "last_sync_count", "last_sync_job", "traceback"] {
        assert_eq!(moved[field], Value::Null, "{field}");
    }
    assert_eq!(moved["meta"], json!({}));
    let reader = admin_of(&rig, &[two]).await;
    for (list, found) in [("/api/syncs", "syncs"), ("/api/quarantine", "quarantine")] {
        let (status, body) = call(&rig, &reader, "GET", list, &Value::Null).await;
        assert_eq!((status, &body[found]), (200, &json!([])), "{body}");
    }
    for gone in [format!("/api/syncs/{}", sync["id"]), format!("/api/quarantine?storage={}", storage.id)] {
        let (_, body) = call(&rig, &reader, "GET", &gone, &Value::Null).await;
        assert!(!body.to_string().contains("secret_excerpt_of_one") && body["counts"].is_null(), "{gone}: {body}");
    }
    // The tasks stay, and the storage works in its new project.
    assert_eq!(rig.get(&format!("/api/tasks?project={one}")).await["total"], 1);
    rig.s3.put("tasks", "new.json", r#"{"image": "n"}"#);
    let next = rig.sync_to_end(&StorageHandle { project: two, ..storage }).await;
    assert_eq!((&next["project"], &next["counts"]["created"]), (&json!(two), &json!(1)), "{next}");
    assert_eq!(rig.get(&format!("/api/tasks?project={two}")).await["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_does_not_move_while_its_sync_runs() {
    let rig = Rig::start().await;
    rig.s3.put("pics", "a.png", "x");
    let (one, two) = (rig.project().await, rig.project().await);
    let storage = rig.import_storage(one, "pics", json!({"use_blob_urls": true})).await;
    let listing = rig.s3.hold(When::op(Op::List).nth(1));
    let sync = rig.sync(&storage).await;
    listing.reached().await;
    let (status, body) = rig.call("PATCH", &path(&storage), Some(to(two))).await;
    assert_eq!((status, &body["code"]), (400, &json!("sync_live")), "{body}");
    listing.release();
    assert_eq!(rig.ended(sync).await["status"], "completed");
    assert_eq!(rig.get(&path(&storage)).await["project"], json!(one));
    rig.check_no_unfinished_work(&storage).await;
    assert_eq!(rig.patch(&storage, to(two)).await["project"], json!(two));
}

/// A server that another tenant runs, and that would take any key.
async fn relay() -> S3Server {
    let server = S3Server::start(Options {
        access_keys: vec![AccessKey::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY)],
        ..Options::default()
    })
    .await
    .expect("an S3 server");
    server.put("pics", "a.png", "x");
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_keys_are_entered_again_before_they_sign_for_another_endpoint_or_project() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let (one, two) = (rig.project().await, rig.project().await);
    let storage = rig.import_storage(one, "pics", json!({})).await;
    let relay = relay().await;
    let whole = json!({"project": one, "bucket": "pics", "s3_endpoint": relay.endpoint()});
    let borrowed = super::with(&whole, &json!({"id": storage.id}));
    for (method, path, change) in [
        ("PATCH", path(&storage), json!({"s3_endpoint": relay.endpoint()})),
        ("PATCH", path(&storage), json!({"s3_endpoint": relay.endpoint(), "aws_access_key_id": ACCESS_KEY_ID})),
        ("PUT", path(&storage), whole.clone()),
        ("POST", "/api/storages/s3/validate".to_owned(), borrowed.clone()),
        ("POST", "/api/storages/s3/files".to_owned(), borrowed.clone()),
    ] {
        let (status, body) = rig.call(method, &path, Some(change.clone())).await;
        assert_eq!((status, &body["code"]), (400, &json!("secrets_required")), "{method} {change}: {body}");
        assert!(body["validation_errors"]["aws_secret_access_key"][0].is_string(), "{body}");
    }
    assert!(relay.calls().is_empty(), "nothing was signed for it");
    let (status, body) = rig.call("PATCH", &path(&storage), Some(json!({"project": two}))).await;
    assert_eq!((status, &body["code"]), (400, &json!("secrets_required")), "{body}");
    let fields: Vec<&String> = body["validation_errors"].as_object().expect("fields").keys().collect();
    assert_eq!(fields, ["aws_access_key_id", "aws_secret_access_key"]);

    let again = json!({"s3_endpoint": relay.endpoint(), "aws_secret_access_key": SECRET_ACCESS_KEY});
    assert_eq!(rig.patch(&storage, again).await["s3_endpoint"], json!(relay.endpoint()));
    assert_eq!(rig.patch(&storage, to(two)).await["project"], json!(two));
}

/// Goal: a token counts when something is written, not only when the request came. Method: hold the probe of the request,
/// delete the token meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_deleted_during_a_probe_writes_nothing() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let project = rig.project().await;
    let storage = rig.import_storage(project, "pics", json!({})).await;
    let mut whole = json!({"project": project, "bucket": "pics", "s3_endpoint": rig.s3.endpoint()});
    for (field, value) in KEYS {
        whole[field] = json!(value);
    }
    for (method, path, body) in
        [("POST", storage.path.to_owned(), whole), ("PATCH", path(&storage), json!({"prefix": "theirs"}))]
    {
        let new = json!({"name": format!("short-lived for {method}"), "role": "admin", "projects": [project]});
        let made = rig.post("/api/tokens", new).await;
        let token = made["token"].as_str().expect("a token");
        let probe = rig.s3.hold(When::op(Op::List));
        let (answer, _) = tokio::join!(call(&rig, token, method, &path, &body), async {
            probe.reached().await;
            assert_eq!(rig.call("DELETE", &format!("/api/tokens/{}", made["id"]), None).await.0, 204);
            probe.release();
        });
        assert_eq!((answer.0, &answer.1["code"]), (401, &json!("unauthorized")), "{method}: {}", answer.1);
    }
    let stored = rig.get(&format!("{}?project={project}", storage.path)).await;
    assert_eq!((rows(&stored).len(), &stored[0]["prefix"]), (1, &Value::Null), "{stored}");
}

/// Goal: a deletion that waits for a lock looks again before it commits. Method: hold the storage's row, and meanwhile delete
/// the token, or move the storage.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_waited_spares_a_storage_that_moved_and_serves_no_deleted_token() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let (one, two) = (rig.project().await, rig.project().await);
    let storage = rig.import_storage(one, "pics", json!({})).await;
    let db = rig.database().await;
    let waits = async || {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let other = rig.database().await;
        until("the deletion waits", || async {
            let count: i64 = other.query_one(waiting, &[]).await.expect("activity").get(0);
            (count > 0).then_some(())
        })
        .await;
    };
    let new = json!({"name": "short-lived", "role": "admin", "projects": [one]});
    let made = rig.post("/api/tokens", new).await;
    let token = made["token"].as_str().expect("a token");
    let (path, none) = (path(&storage), Value::Null);
    db.batch_execute(&format!("BEGIN; SELECT FROM storages WHERE id = {} FOR UPDATE", storage.id))
        .await
        .expect("a lock");
    let (answer, ()) = tokio::join!(call(&rig, token, "DELETE", &path, &none), async {
        waits().await;
        assert_eq!(rig.call("DELETE", &format!("/api/tokens/{}", made["id"]), None).await.0, 204);
        db.batch_execute("ROLLBACK").await.expect("unlocked");
    });
    assert_eq!((answer.0, &answer.1["code"]), (401, &json!("unauthorized")), "{}", answer.1);

    let scoped = admin_of(&rig, &[one]).await;
    let moving = format!("BEGIN; UPDATE storages SET project_id = {two} WHERE id = {}", storage.id);
    db.batch_execute(&moving).await.expect("a change");
    let (answer, ()) = tokio::join!(call(&rig, &scoped, "DELETE", &path, &none), async {
        waits().await;
        db.batch_execute("COMMIT").await.expect("committed");
    });
    assert_eq!((answer.0, &answer.1["code"]), (404, &json!("not_found")), "{}", answer.1);
    assert_eq!(rig.get(&path).await["project"], json!(two));
}
