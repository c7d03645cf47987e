//! The audit: who changed what from where, by which way in, and whose requests were denied.

mod denials;

use longshore_rig::amqp::AmqpHost;
use longshore_rig::rig::{Rig, StorageHandle, rows, send_json, until};
use serde_json::{Value, json};

/// The entries of an action, newest first.
pub(super) async fn entries(rig: &Rig, query: &str) -> Vec<Value> {
    rows(&rig.get(&format!("/api/audit?{query}")).await).to_vec()
}

async fn images(rig: &Rig) -> StorageHandle {
    rig.s3.put("images", "a.png", "image");
    rig.import_storage(rig.project().await, "images", json!({"use_blob_urls": true})).await
}

/// Goal: every way to start a sync is audited with who did it. Method: HTTP, SQL and AMQP, each one new sync and one
/// request that finds it.
#[tokio::test(flavor = "multi_thread")]
async fn syncs_by_http_sql_and_amqp_are_in_the_audit_with_who_started_them() {
    let rig = Rig::with().workers(0).start().await;
    let storage = images(&rig).await;
    let db = rig.database().await;
    let user: String = db.query_one("SELECT session_user::text", &[]).await.expect("a user").get(0);
    let cancel = async |sync: i64| rig.post(&format!("/api/syncs/{sync}/cancel"), json!({})).await;

    let by_http = rig.sync(&storage).await;
    assert_eq!(rig.sync(&storage).await, by_http, "it is live");
    cancel(by_http).await;
    let call = "SELECT longshore.enqueue_sync('s3', 'import', $1)";
    let by_sql: i64 = db.query_one(call, &[&storage.id]).await.expect("a sync").get(0);
    assert_eq!(db.query_one(call, &[&storage.id]).await.expect("a sync").get::<_, i64>(0), by_sql);
    cancel(by_sql).await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    let request = json!({"version": 1, "kind": "s3", "direction": "import", "storage": storage.id}).to_string();
    let broker_user = rig.amqp_url.parse::<reqwest::Url>().expect("a URL").username().to_owned();
    let mut by_amqp = Vec::new();
    for named in [true, false] {
        if named {
            host.publish_as(&broker_user, "longshore.requests", request.as_bytes()).await;
        } else {
            host.publish("longshore.requests", request.as_bytes()).await;
        }
        let sync = until("the message starts a sync", async || {
            let syncs = rig.get(&format!("/api/syncs?storage={}&status=queued", storage.id)).await;
            syncs["syncs"][0]["id"].as_i64()
        })
        .await;
        cancel(sync).await;
        by_amqp.push(sync);
    }

    let found = entries(&rig, &format!("action=sync.start&storage={}", storage.id)).await;
    let shown: Vec<_> = found
        .iter()
        .map(|entry| (&entry["sync"], &entry["source"], &entry["token_name"], &entry["actor"], &entry["address"]))
        .collect();
    let none = &Value::Null;
    assert_eq!(
        shown,
        [
            (&json!(by_amqp[1]), &json!("amqp"), none, none, none),
            (&json!(by_amqp[0]), &json!("amqp"), none, &json!(broker_user), none),
            (&json!(by_sql), &json!("sql"), none, &json!(user), &json!("127.0.0.1")),
            (&json!(by_http), &json!("api"), &json!("bootstrap"), none, &json!("127.0.0.1")),
        ]
    );
    let bootstrap = rig.get("/api/tokens").await[0]["id"].clone();
    assert_eq!((&found[3]["token"], &found[3]["project"]), (&bootstrap, &json!(storage.project)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_is_filtered_and_paged_for_admins_of_all_projects() {
    let rig = Rig::with().workers(0).start().await;
    let admin = rig.post("/api/tokens", json!({"name": "auditor", "role": "admin"})).await;
    let text = admin["token"].as_str().expect("a token");
    for title in ["a", "b", "c"] {
        let create = rig.request("POST", "/api/projects").bearer_auth(text).json(&json!({"title": title}));
        assert_eq!(send_json(create).await.0, 201);
    }
    let by_admin = format!("token={}", admin["id"]);
    let page = rig.get(&format!("/api/audit?{by_admin}&limit=2")).await;
    assert_eq!(rows(&page).len(), 2);
    let rest = rig.get(&format!("/api/audit?{by_admin}&limit=2&before={}", page["next_before"])).await;
    assert_eq!((rows(&rest).len(), &rest["next_before"]), (1, &Value::Null));
    assert_eq!(rest["audit"][0]["action"], "project.create");
    for (query, count) in [
        (format!("{by_admin}&action=token.create"), 0),
        ("action=token.create&source=api".to_owned(), 1),
        ("action=token.create&source=scheduler".to_owned(), 1),
        (format!("{by_admin}&address=127.0.0.1"), 3),
        (format!("{by_admin}&address=192.0.2.1"), 0),
        (format!("{by_admin}&since=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z"), 3),
        (format!("{by_admin}&since=2100-01-01T00:00:00Z"), 0),
        (format!("{by_admin}&until=2000-01-01T00:00:00Z"), 0),
        (format!("project={}", rest["audit"][0]["project"]), 1),
    ] {
        assert_eq!(entries(&rig, &query).await.len(), count, "{query}");
    }
    for wrong in ["action=a%00b", "source=ftp", "address=here", "since=today", "limit=x"] {
        let (status, body) = rig.call("GET", &format!("/api/audit?{wrong}"), None).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_query")), "{wrong}: {body}");
    }
}

/// Goal: names that a caller makes up, and values, reach neither the audit nor, as names, the database. Method: a change of
/// a title beside them.
#[tokio::test(flavor = "multi_thread")]
async fn only_known_names_of_fields_and_no_values_reach_the_audit() {
    let rig = Rig::with().workers(0).start().await;
    let storage = images(&rig).await;
    let mut sent = json!({"title": "renamed", "\u{0}": 1, "AKIAIOSFODNN7SECRETKEY": 1, "__proto__": {}, "status": "x"});
    for number in 0..200 {
        sent[format!("{number}{}", "x".repeat(10_000))] = 1.into();
    }
    // Unknown names are refused, and none is shown whole.
    let (status, refused) = rig.call("PATCH", &format!("{}/{}", storage.path, storage.id), Some(sent)).await;
    assert_eq!((status, &refused["code"]), (400, &json!("validation_error")), "{refused}");
    assert!(refused.to_string().len() < 100_000, "{} bytes", refused.to_string().len());
    assert!(entries(&rig, "action=storage.update").await.is_empty(), "nothing was changed");
    let body = rig.patch(&storage, json!({"title": "renamed", "status": "x"})).await;
    assert_eq!(body["title"], "renamed");
    let [entry] = &entries(&rig, "action=storage.update").await[..] else { panic!("one entry") };
    assert_eq!(entry["detail"], json!({"kind": "s3", "direction": "import", "fields": ["title"]}));
    let [entry] = &entries(&rig, "action=storage.create").await[..] else { panic!("one entry") };
    assert_eq!(
        entry["detail"].as_object().expect("an object").keys().collect::<Vec<_>>(),
        ["direction", "fields", "kind"]
    );
    let (status, body) = rig
        .call("PATCH", &format!("{}/{}", storage.path, storage.id), {
            let many = (0..120_000).map(|number| (format!("f{number}"), Value::from(1)));
            Some(Value::Object(many.collect()))
        })
        .await;
    assert_eq!((status, &body["code"]), (400, &json!("parse_error")), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_of_the_audit_are_deleted_and_recent_ones_stay() {
    let mut rig = Rig::with().workers(0).env("LONGSHORE_AUDIT_DAYS", "30").start().await;
    let db = rig.database().await;
    let insert =
        "INSERT INTO audit (at, action) SELECT now() - make_interval(days => $1), $2 FROM generate_series(1, 2500)";
    for (days, action) in [(31, "old.entry"), (29, "recent.entry")] {
        db.execute(insert, &[&days, &action]).await.expect("entries");
    }
    let second = rig.add_scheduler().await;
    let count = async |action: &str| {
        let query = "SELECT count(*) FROM audit WHERE action = $1";
        db.query_one(query, &[&action]).await.expect("a count").get::<_, i64>(0)
    };
    until("the old entries are deleted", async || (count("old.entry").await == 0).then_some(())).await;
    assert_eq!(count("recent.entry").await, 2_500);
    until("the deletion is counted", async || {
        let text = reqwest::get(format!("{}/metrics", rig.schedulers[second].url())).await.ok()?.text().await.ok()?;
        text.contains("longshore_audit_entries_pruned_total 2500").then_some(())
    })
    .await;
}
