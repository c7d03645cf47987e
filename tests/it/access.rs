//! Access control: every route requires a token with the right role and project.

mod hidden_rows;
mod request;
mod routes;

use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle, send_json, until};
use serde_json::{Value, json};

pub(crate) use request::Ids;
use routes::OtherProject::{Everybody, Forbidden, NoProject, NotFound, Nothing};
use routes::Role::{Admin, Read, Sync};
pub(crate) use routes::{ROUTES, Route};

/// A rig with a row for every route to act on.
struct FilledRig {
    rig: Rig,
    import: StorageHandle,
    export: StorageHandle,
    task: i64,
    annotation: i64,
    prediction: i64,
    sync: i64,
    quarantine: i64,
}

async fn furnished() -> FilledRig {
    let rig = Rig::start().await;
    rig.s3.put("tasks", "good.json", r#"{"image": "s3://tasks/good.json"}"#);
    rig.s3.put("tasks", "bad.json", "{");
    rig.s3.create_bucket("out");
    let project = rig.project().await;
    let import = rig.import_storage(project, "tasks", json!({})).await;
    let export = rig.export_storage(project, "out", json!({"can_delete_objects": true})).await;
    let sync = rig.sync_to_end(&import).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    rig.check_no_unfinished_work(&import).await;
    let tasks = rig.get(&format!("/api/tasks?project={project}")).await;
    let task = tasks["tasks"][0]["id"].as_i64().expect("a task");
    let annotation = rig.post(&format!("/api/tasks/{task}/annotations"), json!({"result": []})).await;
    let prediction = rig.post("/api/predictions", json!({"task": task, "result": []})).await;
    let aside = rig.quarantine(&import).await;
    FilledRig {
        sync: sync["id"].as_i64().expect("an id"),
        annotation: annotation["id"].as_i64().expect("an id"),
        prediction: prediction["id"].as_i64().expect("an id"),
        quarantine: aside[0]["id"].as_i64().expect("an id"),
        task,
        import,
        export,
        rig,
    }
}

impl FilledRig {
    /// Makes a token and gives its text.
    async fn token(&self, name: &str, role: &str, projects: Value) -> String {
        let new = json!({"name": name, "role": role, "projects": projects});
        let token = self.rig.post("/api/tokens", new).await["token"].as_str().expect("the token").to_owned();
        assert_eq!(token.len(), 40, "{token}");
        token
    }

    /// A token of an admin that was used and then taken away.
    async fn revoked(&self) -> String {
        let made = self.rig.post("/api/tokens", json!({"name": "revoked", "role": "admin"})).await;
        let token = made["token"].as_str().expect("the token").to_owned();
        assert_eq!(send_json(self.rig.request("GET", "/api/tokens").bearer_auth(&token)).await.0, 200);
        assert_eq!(self.rig.call("DELETE", &format!("/api/tokens/{}", made["id"]), None).await.0, 204);
        token
    }

    /// A valid request on a route, about an existing row.
    fn request(&self, route: &Route) -> reqwest::RequestBuilder {
        let ids = Ids {
            project: self.import.project,
            import: self.import.id,
            export: self.export.id,
            task: self.task,
            annotation: self.annotation,
            prediction: self.prediction,
            sync: self.sync,
            quarantine: self.quarantine,
            token: 1,
        };
        route.request(&self.rig, &ids)
    }

    /// All that a request could have changed.
    async fn rows(&self) -> String {
        // Denied requests are counted in the audit.
        let changes = "(SELECT * FROM audit WHERE action <> 'request.denied')";
        let tables =
            ["projects", "storages", "syncs", "jobs", "tasks", "annotations", "predictions", "quarantine", changes];
        let all =
            tables.map(|table| format!("(SELECT coalesce(string_agg(t::text, ';' ORDER BY id), '') FROM {table} t)"));
        // Without the last use of tokens, which a refused request also updates.
        let tokens = "(SELECT string_agg(name || role || digest::text, ';' ORDER BY id) FROM api_tokens)";
        let query = format!("SELECT concat_ws(E'\\n', {}, {tokens})", all.join(", "));
        self.rig.database().await.query_one(&query, &[]).await.expect("rows").get(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_callers_without_the_right_and_changes_nothing() {
    let all = furnished().await;
    let elsewhere = all.rig.project().await;
    let read = all.token("reader", "read", Value::Null).await;
    let sync = all.token("syncer", "sync", Value::Null).await;
    let other = all.token("elsewhere", "admin", json!([elsewhere])).await;
    let nowhere = all.token("nowhere", "admin", json!([])).await;
    let revoked = all.revoked().await;
    let before = all.rows().await;

    for route in ROUTES {
        let what = format!("{} {}", route.method, route.path);
        for request in [
            all.request(route),
            all.request(route).header("Authorization", "Token 0123456789abcdef0123456789abcdef01234567"),
            all.request(route).bearer_auth(&revoked),
            all.request(route).header("Authorization", format!("Basic {}", all.rig.token())),
            all.request(route).query(&[("token", all.rig.token())]),
        ] {
            let answer = request.send().await.expect("the scheduler answers");
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["www-authenticate"]),
                (401, &"Token".parse().expect("text")),
                "{what}"
            );
            let body: Value = answer.json().await.expect("a JSON body");
            assert_eq!(body["code"], "unauthorized", "{what}");
        }
        // A signature that Longshore did not make is no way in, whether the route takes links or not.
        let forged = [("signature", "anything"), ("expires", "99999999999")];
        let (status, body) = send_json(all.request(route).query(&forged)).await;
        let linked = matches!(route.path, "/tasks/{id}/resolve" | "/tasks/{id}/presign");
        let expected = if linked { (403, json!("invalid_link")) } else { (401, json!("unauthorized")) };
        assert_eq!((status, body["code"].clone()), expected, "{what}");
        for (token, role) in [(&read, Read), (&sync, Sync)] {
            if route.method == "GET" && route.needs > role {
                let path = route.path.replace("{kind}", "s3").replace("{id}", "1");
                let answer = all.rig.request("HEAD", &path).bearer_auth(token).send().await.expect("an answer");
                assert_eq!(answer.status(), 403, "HEAD {path} with role {role:?}");
            }
            if route.needs > role {
                let (status, body) = send_json(all.request(route).bearer_auth(token)).await;
                assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{what} with role {role:?}: {body}");
            }
        }
        for token in [&other, &nowhere] {
            let (status, body) = send_json(all.request(route).bearer_auth(token)).await;
            match route.elsewhere {
                NotFound => assert_eq!((status, &body["code"]), (404, &json!("not_found")), "{what}: {body}"),
                Forbidden => assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "{what}: {body}"),
                NoProject => {
                    let message = format!("Invalid pk \"{}\" - object does not exist.", all.import.project);
                    assert_eq!((status, &body["validation_errors"]), (400, &json!({"project": [message]})), "{what}");
                }
                Nothing => {
                    assert_eq!(status, 200, "{what}: {body}");
                    let empty = body.as_array().is_some_and(Vec::is_empty)
                        || ["syncs", "quarantine"].iter().any(|list| body[list] == json!([]))
                        || body["results"].as_array().is_some_and(|rows| rows.iter().all(|row| row["id"] == elsewhere));
                    assert!(empty, "{what}: {body}");
                }
                Everybody => assert_eq!(status, 200, "{what}: {body}"),
            }
        }
    }
    assert_eq!(all.rows().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_open_to_the_least_role_that_it_needs() {
    let all = furnished().await;
    let project = json!([all.import.project]);
    for (role, name) in [(Read, "read"), (Sync, "sync"), (Admin, "admin")] {
        let token = all.token(name, name, project.clone()).await;
        // Deletions last: they remove the rows that the other requests need.
        let mut routes: Vec<&Route> = ROUTES.iter().filter(|route| route.needs == role).collect();
        routes.sort_by_key(|route| route.method == "DELETE");
        for route in routes {
            if route.elsewhere == Forbidden || route.path.ends_with("/events") {
                continue;
            }
            let (status, body) = send_json(all.request(route).bearer_auth(&token)).await;
            // Deletions of many tasks ask back.
            let is_open = (200..300).contains(&status) || body["code"] == "confirmation_required";
            assert!(is_open, "{} {}: {status} {body}", route.method, route.path);
        }
    }
    let events = all.rig.request("GET", &format!("/api/syncs/{}/events", all.sync));
    assert_eq!(events.send().await.expect("an answer").status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_stored_hashed_and_ends_when_it_is_deleted() {
    let rig = Rig::with().workers(0).start().await;
    let made = rig.post("/api/tokens", json!({"name": " ci ", "role": "read", "projects": [1, 2]})).await;
    let token = made["token"].as_str().expect("the token").to_owned();
    assert_eq!((&made["name"], &made["role"], &made["projects"]), (&json!("ci"), &json!("read"), &json!([1, 2])));
    let with = |name: &str, value: String| send_json(rig.request("GET", "/api/storages").header(name, value));
    for (name, value) in [
        ("Authorization", format!("Token {token}")),
        ("Authorization", format!("token  {token}")),
        ("Authorization", format!("Bearer {token}")),
        ("X-Api-Key", token.clone()),
    ] {
        assert_eq!(with(name, value).await.0, 200, "{name}");
    }
    let both = rig.request("GET", "/api/storages").header("X-Api-Key", "wrong").bearer_auth(&token);
    assert_eq!(send_json(both).await.0, 401, "X-Api-Key goes first");

    let list = rig.get("/api/tokens").await;
    let names: Vec<&Value> = list.as_array().expect("tokens").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["bootstrap", "ci"]);
    let shown = list.to_string();
    assert!(!shown.contains(&token) && !shown.contains(rig.token()) && !shown.contains("digest"), "{shown}");
    assert!(!list[1]["last_used_at"].is_null());
    let db = rig.database().await;
    let query = "SELECT digest = sha256(convert_to($1, 'UTF8')), t::text FROM api_tokens t WHERE name = 'ci'";
    let row = db.query_one(query, &[&token]).await.expect("the token's row");
    assert!(row.get::<_, bool>(0));
    assert!(!row.get::<_, String>(1).contains(&token));

    let taken = rig.call("POST", "/api/tokens", Some(json!({"name": "ci", "role": "read"}))).await;
    assert_eq!((taken.0, &taken.1["code"]), (400, &json!("conflict")), "{}", taken.1);
    let unknown = rig.call("POST", "/api/tokens", Some(json!({"name": "x", "role": "owner"}))).await;
    assert_eq!(unknown.0, 400, "{}", unknown.1);
    assert_eq!(rig.call("DELETE", &format!("/api/tokens/{}", made["id"]), None).await.0, 204);
    assert_eq!(with("X-Api-Key", token).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_token_is_refused_immediately_here_and_soon_by_other_schedulers() {
    let rig = Rig::with().workers(0).schedulers(2).start().await;
    let made = rig.post("/api/tokens", json!({"name": "short-lived", "role": "read"})).await;
    let token = made["token"].as_str().expect("the token").to_owned();
    let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let there = || send_json(http.get(format!("{}/api/storages", rig.schedulers[1].url())).bearer_auth(&token));
    let here = || send_json(rig.request("GET", "/api/storages").bearer_auth(&token));
    // Both schedulers have the token in their caches.
    assert_eq!((here().await.0, there().await.0), (200, 200));
    assert_eq!(rig.call("DELETE", &format!("/api/tokens/{}", made["id"]), None).await.0, 204);
    assert_eq!(here().await.0, 401);
    until("the other scheduler refuses it too", || async { (there().await.0 == 401).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_under_the_name_of_its_token() {
    let all = furnished().await;
    let token = all.token("auditee", "admin", Value::Null).await;
    let call = async |method: &str, path: String, body: Value| -> Value {
        let mut request = all.rig.request(method, &path).bearer_auth(&token);
        if method != "GET" {
            request = request.json(&body);
        }
        let (status, body) = send_json(request).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
        body
    };
    let (import, export) = (&all.import, &all.export);
    let project = call("POST", "/api/projects".to_owned(), json!({"title": "audited"})).await["id"].clone();
    let settings = json!({
        "project": project, "bucket": "tasks", "s3_endpoint": all.rig.s3.endpoint(), "title": "audited",
        "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET_ACCESS_KEY
    });
    let storage = call("POST", "/api/storages/s3".to_owned(), settings).await["id"].clone();
    call("PATCH", format!("/api/storages/s3/{storage}"), json!({"title": "renamed"})).await;
    call("DELETE", format!("/api/storages/s3/{storage}"), json!({})).await;
    let listing = all.rig.s3.hold(longshore_local::s3::Op::List);
    call("POST", format!("/api/storages/s3/{}/sync", import.id), json!({})).await;
    let live = call("GET", format!("/api/syncs?storage={}", import.id), json!({})).await["syncs"][0]["id"].clone();
    call("POST", format!("/api/storages/s3/{}/sync", import.id), json!({})).await;
    call("POST", format!("/api/syncs/{live}/cancel"), json!({})).await;
    listing.release();
    let retried = call("POST", format!("/api/syncs/{live}/retry"), json!({})).await["id"].clone();
    all.rig.ended(retried.as_i64().expect("an id")).await;
    let replay =
        call("POST", format!("/api/quarantine/{}/replay", all.quarantine), json!({})).await["syncs"][0].clone();
    all.rig.ended(replay.as_i64().expect("an id")).await;
    call("POST", "/api/quarantine/discard".to_owned(), json!({"storage": import.id})).await;
    let made = call("POST", format!("/api/tasks/{}/annotations", all.task), json!({"result": []})).await["id"].clone();
    call("PATCH", format!("/api/annotations/{made}"), json!({"result": []})).await;
    call("DELETE", format!("/api/annotations/{made}"), json!({})).await;
    let new = call("POST", "/api/tokens".to_owned(), json!({"name": "audited", "role": "read"})).await;
    call("DELETE", format!("/api/tokens/{}", new["id"]), json!({})).await;
    until("the annotation's deletion has reached the export storage", || async {
        let syncs = call("GET", format!("/api/syncs?storage={}", export.id), json!({})).await;
        (!syncs["syncs"][0]["finished_at"].is_null()).then_some(())
    })
    .await;

    let db = all.rig.database().await;
    let query = "SELECT action, storage_id, sync_id, a::text FROM audit a WHERE token = 'auditee' ORDER BY id";
    let rows = db.query(query, &[]).await.expect("the audit");
    let entries: Vec<(String, Value, Value)> = rows
        .iter()
        .map(|row| (row.get(0), json!(row.get::<_, Option<i64>>(1)), json!(row.get::<_, Option<i64>>(2))))
        .collect();
    let entries: Vec<_> = entries.iter().map(|(action, storage, sync)| (action.as_str(), storage, sync)).collect();
    let (none, id) = (Value::Null, json!(import.id));
    let expected = [
        ("project.create", &none, &none),
        ("storage.create", &storage, &none),
        ("storage.update", &storage, &none),
        ("storage.delete", &storage, &none),
        ("sync.start", &id, &live),
        ("sync.cancel", &id, &live),
        ("sync.retry", &id, &retried),
        ("quarantine.replay", &id, &replay),
        ("quarantine.discard", &id, &none),
        ("annotation.create", &none, &none),
        ("annotation.update", &none, &none),
        ("annotation.delete", &none, &none),
        ("token.create", &none, &none),
        ("token.delete", &none, &none),
    ];
    assert_eq!(entries, expected);
    let text: String = rows.iter().map(|row| row.get::<_, String>(3)).collect();
    for secret in [SECRET_ACCESS_KEY, &token, new["token"].as_str().expect("a token")] {
        assert!(!text.contains(secret), "{text}");
    }
}
