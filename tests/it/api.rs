//! The HTTP API for clients of Label Studio: paths, fields, defaults, and one format of all errors.

mod connection;
mod names;
mod refusals;
mod sent_back;
mod storages;
mod tasks;

use std::collections::BTreeSet;

use longshore_model::StorageKind;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, send_json};
use serde_json::{Value, json};

use crate::access::ROUTES;

/// Calls with the first token and gives status and text.
async fn text(rig: &Rig, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    let mut request = rig.request(method, path).bearer_auth(rig.token());
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.expect("the scheduler answers");
    (answer.status().as_u16(), answer.text().await.expect("a whole answer"))
}

/// Checks that a request is refused with this status and code, in the common error format, and returns the body.
async fn refused(rig: &Rig, method: &str, path: &str, body: Option<Value>, status: u16, code: &str) -> Value {
    let (send_json, body) = rig.call(method, path, body).await;
    assert_eq!((send_json, &body["code"]), (status, &json!(code)), "{method} {path}: {body}");
    check_error(&body, status);
    body
}

fn check_error(body: &Value, status: u16) {
    let names: BTreeSet<&str> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut expected = BTreeSet::from(["id", "status_code", "version", "detail", "exc_info", "code"]);
    if names.contains("validation_errors") {
        expected.insert("validation_errors");
    }
    assert_eq!(names, expected, "{body}");
    assert_eq!((&body["status_code"], &body["exc_info"]), (&json!(status), &Value::Null));
    assert!(body["id"].as_str().is_some_and(|id| id.parse::<uuid::Uuid>().is_ok()), "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_requests_are_refused_in_one_format() {
    let rig = Rig::with().workers(0).start().await;
    let post = |path: &str| rig.request("POST", path).bearer_auth(rig.token());
    let as_json = |body: &str| post("/api/projects").header("content-type", "application/json").body(body.to_owned());
    // Exactly one byte too many: a server that closes a socket with unread bytes may cut its answer.
    let large = "x".repeat((16 << 20) + 1);
    let cases = [
        (as_json(&large), 413, "body_too_large"),
        (as_json("{\"title\": "), 400, "parse_error"),
        (as_json("{\"title\": 5}"), 400, "parse_error"),
        (post("/api/projects").body("title=x"), 415, "unsupported_media_type"),
        (post("/api/storages/s3").header("content-type", "application/json").body("[]"), 400, "parse_error"),
        (post("/api/storages/s3").json(&json!("s3")), 400, "parse_error"),
        (rig.request("GET", "/api/tasks?project=one").bearer_auth(rig.token()), 400, "invalid_query"),
        (rig.request("GET", "/api/syncs?status=asleep").bearer_auth(rig.token()), 400, "invalid_query"),
        (rig.request("GET", "/api/nothing"), 404, "no_such_route"),
        (rig.request("GET", "/api/storages/ftp?project=1").bearer_auth(rig.token()), 404, "no_such_route"),
        (rig.request("GET", "/api/projects/one").bearer_auth(rig.token()), 404, "no_such_route"),
        (rig.request("DELETE", "/api/projects").bearer_auth(rig.token()), 405, "method_not_allowed"),
        (rig.request("PATCH", "/api/storages/types").bearer_auth(rig.token()), 405, "method_not_allowed"),
    ];
    for (request, status, code) in cases {
        let what = format!("{request:?}");
        let (send_json, body) = send_json(request).await;
        assert_eq!((send_json, &body["code"]), (status, &json!(code)), "{what}: {body}");
        check_error(&body, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_get_a_json_404_with_and_without_a_slash() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let storage = rig.import_storage(rig.project().await, "pics", json!({})).await;
    let mut absent: Vec<(&str, String)> = ROUTES
        .iter()
        .filter(|route| route.path.contains("{id}"))
        .map(|route| {
            let query = if route.path.starts_with("/api") { "" } else { "?fileuri=s3://b/k" };
            (route.method, route.path.replace("{kind}", "s3").replace("{id}", "999") + query)
        })
        .collect();
    assert!(absent.len() > 20);
    absent.push(("GET", format!("/api/storages/export/s3/{}", storage.id)));
    absent.push(("GET", "/api/storages/s3?project=999".to_owned()));
    absent.push(("GET", "/api/tasks?project=999".to_owned()));
    for (method, path) in absent {
        // A body that is valid for all of them.
        let body = json!({"project": storage.project, "bucket": "pics", "result": [], "task": 999});
        let with_slash = match path.split_once('?') {
            Some((path, query)) => format!("{path}/?{query}"),
            None => format!("{path}/"),
        };
        for path in [path, with_slash] {
            let body = (method != "GET").then(|| body.clone());
            let body = refused(&rig, method, &path, body, 404, "not_found").await;
            assert!(body["detail"].as_str().is_some_and(|detail| detail.starts_with("There is no ")), "{body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_lists_every_route_and_the_page_shows_it() {
    let rig = Rig::with().workers(0).start().await;
    let document = rig.get("/api/openapi.json").await;
    let mut listed = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            listed.insert((method.to_uppercase(), path.clone()));
        }
    }
    // The document has a path for each kind of storage, and one operation whose caller has no token yet.
    let mut known = BTreeSet::from([("POST".to_owned(), "/api/token/refresh".to_owned())]);
    for route in ROUTES {
        let kinds = if route.path.contains("{kind}") { StorageKind::ALL } else { &[StorageKind::S3] };
        known.extend(kinds.iter().map(|kind| (route.method.to_owned(), route.path.replace("{kind}", kind.as_str()))));
    }
    assert_eq!(listed, known);
    assert_eq!(document["components"]["securitySchemes"].as_object().map(serde_json::Map::len), Some(4));

    for path in ["/docs", "/docs/"] {
        let page = rig.request("GET", path).send().await.expect("the page");
        assert_eq!(page.status(), 200);
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        let html = page.text().await.expect("HTML");
        for (method, path) in &known {
            assert!(html.contains(&format!("{method}</b> <code>{path}</code>")), "no {method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_are_made_and_paged() {
    let rig = Rig::with().workers(0).start().await;
    for title in ["one", " two ", "three"] {
        rig.post("/api/projects/", json!({"title": title})).await;
    }
    let page = rig.get("/api/projects?page=1&page_size=2").await;
    assert_eq!((&page["count"], &page["previous"]), (&json!(3), &Value::Null));
    let titles: Vec<&Value> = page["results"].as_array().expect("rows").iter().map(|row| &row["title"]).collect();
    assert_eq!(titles, ["three", "two"]);
    assert_eq!(page["results"][0]["label_config"], "<View></View>");
    let last = rig.get(page["next"].as_str().expect("a next page")).await;
    assert_eq!((&last["results"][0]["title"], &last["next"]), (&json!("one"), &Value::Null));
    refused(&rig, "GET", "/api/projects?page=3&page_size=2", None, 404, "invalid_page").await;

    for (title, message) in [
        ("  ".to_owned(), "This field may not be blank."),
        ("x".repeat(257), "Ensure this field has no more than 256 characters."),
    ] {
        let body = refused(&rig, "POST", "/api/projects", Some(json!({"title": title})), 400, "validation_error").await;
        assert_eq!(body["validation_errors"]["title"], json!([message]));
    }
}

/// Goal: requests that old clients and people at a command line send are read as they were meant. Method: each is sent as
/// its client sends it.
#[tokio::test(flavor = "multi_thread")]
async fn queries_and_bodies_are_read_as_old_clients_and_command_lines_send_them() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let project = rig.project().await;
    for word in ["True", "TRUE", "1", "yes", "False", "0", "no", ""] {
        rig.get(&format!("/api/tasks?project={project}&resolve_uri={word}")).await;
    }
    let body = refused(&rig, "GET", "/api/tasks?resolve_uri=maybe", None, 400, "validation_error").await;
    assert!(
        body["validation_errors"]["resolve_uri"][0].as_str().is_some_and(|text| text.contains("boolean")),
        "{body}"
    );
    let body = refused(&rig, "GET", "/api/syncs?projcet=1", None, 400, "validation_error").await;
    assert_eq!(body["validation_errors"]["projcet"][0], "Unknown query parameter. Did you mean `project`?");
    rig.get(&format!("/api/tasks?project={project}&view=1&include=id")).await;
    refused(&rig, "GET", "/api/syncs?view=1", None, 400, "validation_error").await;

    for path in ["/health", "/version", "/api/version"] {
        let (status, body) = send_json(rig.request("GET", path)).await;
        assert!(status == 200 && body.is_object(), "{path}: {status} {body}");
    }

    let fields = [
        ("project", project.to_string()),
        ("bucket", "pics".to_owned()),
        ("use_blob_urls", "true".to_owned()),
        ("s3_endpoint", rig.s3.endpoint()),
        ("aws_access_key_id", ACCESS_KEY_ID.to_owned()),
        ("aws_secret_access_key", SECRET_ACCESS_KEY.to_owned()),
    ];
    let json = Value::Object(fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect());
    let parts: String = fields
        .iter()
        .map(|(name, value)| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"))
        .collect();
    let post = |path: &str| rig.request("POST", path).bearer_auth(rig.token());
    let create = |kind: &str, body: String| match kind {
        "" => post("/api/storages/s3").body(body),
        kind => post("/api/storages/s3").header("content-type", kind).body(body),
    };
    for request in [
        create("", json.to_string()),
        create("application/x-www-form-urlencoded", json.to_string()),
        create("multipart/form-data; boundary=b", format!("{parts}--b--\r\n")),
    ] {
        let what = format!("{request:?}");
        let (status, body) = send_json(request).await;
        assert_eq!(status, 201, "{what}: {body}");
        assert_eq!(body["use_blob_urls"], true, "{what}");
        let sync =
            post(&format!("/api/storages/s3/{}/sync", body["id"])).header("content-type", FORM).body("project=1");
        assert_eq!(send_json(sync).await.0, 200, "{what}");
    }
    let body =
        refused(&rig, "POST", "/api/projects", Some(json!({"titel": "x", "title": "T"})), 400, "validation_error");
    assert_eq!(body.await["validation_errors"]["titel"][0], "Unknown field. Did you mean `title`?");
    rig.post("/api/projects", json!({"title": "T", "expert_instruction": "x", "color": "#fff"})).await;
}

const FORM: &str = "application/x-www-form-urlencoded";
