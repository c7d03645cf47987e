//! What each route answers where Label Studio is the host.

use longshore_rig::rig::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, rows, send_json};
use serde_json::{Value, json};

use super::{Twin, Twins};
use crate::access::{Ids, ROUTES, Route};

/// The routes whose rows are Label Studio's: 404, and a sentence says where to go instead.
const OWNED: &[(&str, &str)] = &[
    ("GET", "/api/projects"),
    ("POST", "/api/projects"),
    ("GET", "/api/projects/{id}"),
    ("PATCH", "/api/projects/{id}"),
    ("DELETE", "/api/projects/{id}"),
    ("DELETE", "/api/projects/{id}/tasks"),
    ("POST", "/api/storages/{kind}"),
    ("PATCH", "/api/storages/{kind}/{id}"),
    ("PUT", "/api/storages/{kind}/{id}"),
    ("DELETE", "/api/storages/{kind}/{id}/tasks"),
    ("DELETE", "/api/storages/{kind}/{id}"),
    ("POST", "/api/storages/export/{kind}"),
    ("PATCH", "/api/storages/export/{kind}/{id}"),
    ("PUT", "/api/storages/export/{kind}/{id}"),
    ("DELETE", "/api/storages/export/{kind}/{id}"),
    ("POST", "/api/projects/{id}/import"),
    ("POST", "/api/dm/actions"),
    ("GET", "/api/tasks"),
    ("POST", "/api/tasks"),
    ("GET", "/api/tasks/{id}"),
    ("PATCH", "/api/tasks/{id}"),
    ("DELETE", "/api/tasks/{id}"),
    ("GET", "/api/tasks/{id}/annotations"),
    ("POST", "/api/tasks/{id}/annotations"),
    ("GET", "/api/annotations/{id}"),
    ("PATCH", "/api/annotations/{id}"),
    ("DELETE", "/api/annotations/{id}"),
    ("GET", "/api/predictions"),
    ("POST", "/api/predictions"),
    ("GET", "/api/predictions/{id}"),
    ("PATCH", "/api/predictions/{id}"),
    ("DELETE", "/api/predictions/{id}"),
    ("GET", "/projects/{id}/resolve"),
    ("GET", "/projects/{id}/presign"),
    ("GET", "/data/local-files"),
];

/// A synced storage, and a row for every other route to act on.
struct FilledTwins {
    twins: Twins,
    twin: Twin,
    ids: Ids,
}

async fn filled() -> FilledTwins {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("tasks");
    twins.rig.s3.put("tasks", "good.json", r#"{"image": "s3://tasks/good.json"}"#);
    twins.rig.s3.put("tasks", "bad.json", "{");
    let twin = twins.import("tasks", json!({"presign": false})).await;
    twins.sync_ours(&twin).await;
    let target = json!({"project": twin.project, "bucket": "tasks", "s3_endpoint": twins.rig.s3.endpoint(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY});
    let target = twins.studio.send("POST", "/api/storages/export/s3", Some(&target)).await;
    let tasks = twins.studio.send("GET", &format!("/api/tasks/?project={}", twin.project), None).await;
    let token = twins.rig.post("/api/tokens", json!({"name": "spare", "role": "read"})).await;
    let id = |row: &Value| row["id"].as_i64().expect("an id");
    let ids = Ids {
        project: twin.project,
        import: twin.storage,
        export: id(&target),
        task: id(&tasks["tasks"][0]),
        annotation: 1,
        prediction: 1,
        sync: id(&twins.rig.get("/api/syncs").await["syncs"][0]),
        quarantine: id(&twins.rig.get("/api/quarantine").await["quarantine"][0]),
        token: id(&token),
    };
    FilledTwins { twins, twin, ids }
}

impl FilledTwins {
    fn request(&self, route: &Route) -> reqwest::RequestBuilder {
        let request = route.request(&self.twins.rig, &self.ids).bearer_auth(self.twins.rig.token());
        if (route.method, route.path) == ("DELETE", "/api/dead-letters") {
            return request.query(&[("all", "true")]);
        }
        request
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn every_route_works_on_handles_or_says_where_label_studio_does_it() {
    let all = filled().await;
    let is_owned = |route: &&Route| OWNED.contains(&(route.method, route.path));
    assert_eq!(ROUTES.iter().filter(is_owned).count(), OWNED.len(), "a route of the list exists no more");
    let mut wrong = Vec::new();
    for route in ROUTES.iter().filter(|route| !route.path.ends_with("/events")) {
        let (status, body) = send_json(all.request(route)).await;
        let is_right = if is_owned(&route) {
            let sentence = body["detail"].as_str().is_some_and(|detail| detail.contains("Label Studio"));
            status == 404 && body["code"] == "owned_by_label_studio" && sentence
        } else if route.path == "/api/storages/export/{kind}/{id}/sync" {
            // Its work is tested with the exports.
            status < 500 && body["code"] != "owned_by_label_studio"
        } else {
            (200..300).contains(&status)
        };
        if !is_right {
            wrong.push(format!("{} {}: {status} {body}", route.method, route.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Strangers learn nothing, and nothing of Label Studio was changed.
    let (status, body) = send_json(all.twins.rig.request("GET", "/api/projects")).await;
    assert_eq!((status, &body["code"]), (401, &json!("unauthorized")));
    let storage = all.twins.studio.send("GET", &format!("/api/storages/s3/{}", all.twin.storage), None).await;
    assert_eq!(storage["title"], Value::Null);
}

/// Goal: what is shown is what Label Studio has, also of storages that Longshore never synced.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn storages_of_label_studio_are_listed_as_they_are_and_only_to_tokens_of_their_project() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("listed");
    twins.rig.s3.put("listed", "a.jpg", "x");
    let twin = twins.import("listed", json!({"use_blob_urls": true, "title": "before"})).await;
    let list = format!("/api/storages?project={}", twin.project);
    let listed = twins.rig.get(&list).await;
    assert_eq!(
        (&listed[0]["id"], &listed[0]["title"], &listed[0]["status"], &listed[0]["bucket"]),
        (&json!(twin.storage), &json!("before"), &json!("initialized"), &json!("listed")),
        "{listed}"
    );
    assert!(!listed.to_string().contains(SECRET_ACCESS_KEY) && !listed.to_string().contains(ACCESS_KEY_ID));

    // Label Studio changes and syncs it; Longshore's rows know nothing of that.
    twins.sync_theirs(&twin).await;
    let path = format!("/api/storages/s3/{}", twin.storage);
    twins.studio.send("PATCH", &path, Some(&json!({"title": "after"}))).await;
    let shown = twins.rig.get(&path).await;
    for storage in [
        &shown,
        &twins.rig.get(&list).await[0],
        &twins.rig.get(&format!("/api/storages/s3?project={}", twin.project)).await[0],
    ] {
        assert_eq!(
            (&storage["title"], &storage["status"], &storage["last_sync_count"], &storage["handle"]),
            (&json!("after"), &json!("completed"), &json!(1), &listed[0]["handle"]),
            "{storage}"
        );
    }
    let (status, examined) = twins.rig.call("POST", &format!("{path}/doctor"), Some(json!({}))).await;
    assert_eq!((status, &examined["ok"]), (200, &json!(true)), "the secrets are Label Studio's: {examined}");
    // The stored secrets are used where none are sent.
    let draft = json!({"id": twin.storage, "project": twin.project, "bucket": "listed", "use_blob_urls": true,
        "s3_endpoint": twins.rig.s3.endpoint()});
    let files = twins.rig.post("/api/storages/s3/files", draft).await;
    assert_eq!(files["files"][0]["key"], "a.jpg", "{files}");

    let new = json!({"name": "elsewhere", "role": "admin", "projects": [twin.project + 1]});
    let token = twins.rig.post("/api/tokens", new).await["token"].as_str().expect("a token").to_owned();
    let elsewhere = |method: &str, path: &str| twins.rig.request(method, path).bearer_auth(&token);
    assert_eq!(send_json(elsewhere("GET", "/api/storages")).await, (200, json!([])));
    for (method, path) in [("GET", path.clone()), ("POST", format!("{path}/doctor")), ("POST", format!("{path}/sync"))]
    {
        let (status, body) = send_json(elsewhere(method, &path)).await;
        assert_eq!((status, &body["code"]), (404, &json!("not_found")), "{method} {path}: {body}");
    }
    assert_eq!(rows(&twins.rig.get("/api/syncs").await).len(), 0, "no sync was started");

    twins.studio.send("DELETE", &path, None).await;
    assert_eq!(twins.rig.get(&list).await, json!([]), "it is gone in Label Studio");
    assert_eq!(twins.rig.call("GET", &path, None).await.0, 404);
}

/// Goal: users are offered only what Label Studio can have. Method: kinds and routes in both directions.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn kinds_that_label_studio_lacks_are_not_offered() {
    let twins = Twins::start().await;
    let project = twins.studio.project(super::CONFIG).await;
    let body = json!({"project": project, "bucket": "photos", "role_arn": "arn:aws:iam::111122223333:role/reader"});
    for direction in ["", "/export"] {
        let names = |kinds: &Value| {
            let names =
                kinds.as_array().expect("kinds").iter().map(|kind| kind["name"].as_str().expect("a name").to_owned());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        let types = format!("/api/storages{direction}/types");
        let offered = twins.rig.get(&types).await;
        assert_eq!(names(&offered), names(&twins.studio.send("GET", &types, None).await), "{types}");
        let all = format!("/api/storages{direction}/s3s");
        for (method, path) in [
            ("GET", format!("{all}?project={project}")),
            ("GET", format!("{all}/1")),
            ("POST", format!("{all}/validate")),
            ("POST", format!("{all}/files")),
            ("POST", format!("{all}/1/sync")),
            ("POST", format!("{all}/1/doctor")),
        ] {
            let (status, answer) = twins.rig.call(method, &path, (method == "POST").then(|| body.clone())).await;
            // An export has no preview, so its path names a storage.
            let expected = if path == "/api/storages/export/s3s/files" { 405 } else { 404 };
            assert_eq!(status, expected, "{method} {path}: {answer}");
            assert!(expected == 405 || answer["code"] == "no_such_route", "{method} {path}: {answer}");
        }
    }
}

/// Goal: what nginx passes on as written is answered, never with a failure. Method: IDs and paths that Label Studio would
/// not know or would fail on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn odd_paths_and_too_large_ids_are_not_found() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("odd");
    twins.rig.s3.put("odd", "a.jpg", "x");
    let twin = twins.import("odd", json!({"use_blob_urls": true})).await;
    let tokens = [longshore_rig::label_studio::TOKEN, twins.rig.token()];
    for id in ["2147483648", "9223372036854775807", "99999999999999999999", "0", "-1", "x"] {
        for path in [
            format!("/api/storages/s3/{id}/sync"),
            format!("/api/storages/export/s3/{id}/sync"),
            format!("/api/storages/redis/{id}/sync"),
        ] {
            for token in tokens {
                let request = twins.rig.request("POST", &path).header("authorization", format!("Token {token}"));
                let (status, body) = send_json(request.json(&json!({}))).await;
                assert_eq!(status, 404, "{path}: {body}");
            }
        }
        let read = [format!("/api/storages/s3/{id}"), format!("/tasks/{id}/resolve?fileuri=s3://odd/a.jpg")];
        for path in read {
            assert_eq!(twins.rig.call("GET", &path, None).await.0, 404, "{path}");
        }
    }
    let (storage, digits) = (twin.storage, twin.storage.to_string());
    let encoded: String = digits.bytes().map(|digit| format!("%{digit:02x}")).collect();
    for (path, expected) in [
        (format!("/api/storages/s3//{storage}/sync"), 404),
        (format!("/api/storages//s3/{storage}/sync"), 404),
        // One segment, so it names a storage, which takes no POST.
        (format!("/api/storages/s3/{storage}%2fsync"), 405),
        (format!("/api/storages/s3/{encoded}/sync"), 200),
        (format!("/api/storages/s3/{storage}/sync?x=1"), 200),
    ] {
        let request = twins.rig.request("POST", &path).header("authorization", format!("Token {}", tokens[0]));
        let (status, body) = send_json(request.json(&json!({}))).await;
        assert_eq!(status, expected, "{path}: {body}");
    }
}
