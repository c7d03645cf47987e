//! Odd names in the objects of requests are never a failure of Longshore.

use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, send_json};
use serde_json::{Value, json};

use crate::access::ROUTES;

/// Names that some part could not hold: NUL, lone surrogates, a huge one, doubled ones, names with a meaning elsewhere.
/// As JSON texts, because some are no texts in Rust.
fn odd_names() -> Vec<String> {
    let huge = "k".repeat(70_000);
    [
        "\\u0000",
        "a\\u0000b",
        "\\ud800",
        "\\udfff\\ud800",
        "__proto__",
        "constructor",
        "",
        " ",
        "$",
        "\\u202e",
        "\\uffff",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([huge])
    .collect()
}

/// The body with an odd name in it, and in each of its objects and lists of objects.
fn bodies(valid: &Value, name: &str) -> Vec<String> {
    let text = valid.to_string();
    let beside = |open: &str, rest: &str| format!("{open}\"{name}\": 1, \"{name}\": {{\"{name}\": null}}, {rest}");
    let mut bodies = vec![
        format!("{{\"{name}\": 1}}"),
        format!("[\"{name}\"]"),
        beside("{", text.strip_prefix('{').expect("an object")),
        format!("\"{name}\""),
    ];
    for field in valid.as_object().expect("an object").keys() {
        let mut nested = valid.clone();
        nested[field] = json!("@");
        for value in [format!("{{\"{name}\": 1}}"), format!("[{{\"{name}\": [\"{name}\"]}}]"), format!("\"{name}\"")] {
            bodies.push(nested.to_string().replace("\"@\"", &value));
        }
        // The same field twice.
        bodies.push(format!("{{\"{field}\": 1, {}", &text[1..]));
    }
    bodies
}

/// Goal: whatever names a caller sends, the answer is the caller's. Method: all routes with a body, each with a valid
/// body that odd names are added to.
#[tokio::test(flavor = "multi_thread")]
async fn odd_names_in_bodies_and_queries_are_never_a_failure_of_longshore() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.put("tasks", "a.json", r#"{"image": "s3://tasks/a.json"}"#);
    let project = rig.project().await;
    let import = rig.import_storage(project, "tasks", json!({})).await;
    let export = rig.export_storage(project, "tasks", json!({})).await;
    let insert = "INSERT INTO tasks (project_id, data) VALUES ($1, '{\"image\": \"s3://tasks/a.json\"}') RETURNING id";
    let task: i64 = rig.database().await.query_one(insert, &[&project]).await.expect("a task").get(0);
    let annotation = rig.post(&format!("/api/tasks/{task}/annotations"), json!({"result": []})).await["id"].clone();
    let storage = json!({
        "project": project, "bucket": "tasks", "title": "t", "s3_endpoint": rig.s3.endpoint(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY
    });
    let mut sent = 0;
    for route in ROUTES.iter().filter(|route| !matches!(route.method, "GET" | "DELETE")) {
        let (id, valid) = match route.path {
            path if path.starts_with("/api/storages") && path.ends_with("/sync") => (
                json!(if path.contains("export") { export.id } else { import.id }),
                json!({"idempotency_key": "k", "options": {}}),
            ),
            path if path.starts_with("/api/storages") && path.ends_with("/doctor") => continue,
            path if path.starts_with("/api/storages") => {
                (json!(if path.contains("export") { export.id } else { import.id }), storage.clone())
            }
            "/api/tasks/{id}/annotations" => (json!(task), json!({"result": [], "lead_time": 1.5})),
            "/api/annotations/{id}" => (annotation.clone(), json!({"result": [], "completed_by": 1})),
            "/api/resolve" => (json!(task), json!({"task": task, "document": {"image": "s3://tasks/a.json"}})),
            "/api/tokens" => (json!(1), json!({"name": "t", "role": "read", "projects": [1], "expires_at": null})),
            "/api/projects" => (json!(1), json!({"title": "t", "label_config": "<View/>"})),
            _ => (json!(1), json!({"storage": import.id, "reason": "empty"})),
        };
        let path = route.path.replace("{kind}", "s3").replace("{id}", &id.to_string());
        for name in odd_names() {
            for body in bodies(&valid, &name) {
                let request = rig.request(route.method, &path).bearer_auth(rig.token());
                let shown: String = body.chars().take(200).collect();
                let (status, answer) = send_json(request.header("content-type", "application/json").body(body)).await;
                assert!(status < 500, "{} {path} {shown}: {status} {answer}", route.method);
                sent += 1;
            }
        }
    }
    assert!(sent > 2_000, "{sent}");
    for route in ROUTES.iter().filter(|route| route.method == "GET" && !route.path.ends_with("/events")) {
        let id = if route.path.contains("tasks") { task } else { import.id };
        let path = route.path.replace("{kind}", "s3").replace("{id}", &id.to_string());
        for query in [
            "%00=1",
            "project=%00",
            "fields=%00",
            "fileuri=s3://tasks/%00",
            // `s3://tasks/a` with a NUL, in base64.
            "fileuri=czM6Ly90YXNrcy9hAA==",
            "d=a%00b",
            "action=%00&state=%00&status=%00",
            "__proto__[x]=1&project=1&project=2",
            "%ff=%fe",
            "after=99999999999999999999",
            "skip=18446744073709551615&limit=18446744073709551615",
            "since=-009000-01-01T00:00:00Z&until=9999-12-31T23:59:59Z",
            "until=-009000-01-01T00:00:00Z",
            "page=9223372036854775807&before=-9223372036854775808&jobs_after=-1",
        ] {
            let (status, answer) =
                send_json(rig.request("GET", &format!("{path}?{query}")).bearer_auth(rig.token())).await;
            assert!(status < 500, "GET {path}?{query}: {status} {answer}");
        }
    }
}
