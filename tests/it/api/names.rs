//! The names and words of requests, on every route of the document: unknown ones are refused with the nearest known one.

use std::collections::BTreeMap;

use longshore_rig::rig::{Rig, send_json};
use serde_json::{Value, json};

/// A route of the document, with the path of a row.
struct Operation {
    method: String,
    path: String,
    /// Its query parameters, with the type of each.
    parameters: BTreeMap<String, Value>,
    /// The fields of its body, with the schema of each.
    fields: BTreeMap<String, Value>,
}

/// The fields of a body's schema, which may refer to others.
fn fields(document: &Value, schema: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/")) {
        found.extend(fields(document, &document["components"]["schemas"][name]));
    }
    for part in ["oneOf", "anyOf", "allOf"].iter().filter_map(|word| schema[*word].as_array()).flatten() {
        found.extend(fields(document, part));
    }
    let own = schema["properties"].as_object().into_iter().flatten();
    found.extend(own.map(|(name, schema)| (name.clone(), schema.clone())));
    found
}

fn is_of_type(schema: &Value, wanted: &str) -> bool {
    schema["type"] == wanted || schema["type"].as_array().is_some_and(|all| all.contains(&json!(wanted)))
}

/// All routes below `/api` that read a query or a body, on rows that exist where a body is checked after its row.
async fn operations(rig: &Rig, ids: &BTreeMap<&str, i64>) -> Vec<Operation> {
    let document = rig.get("/api/openapi.json").await;
    let mut all = Vec::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        if !template.starts_with("/api/") {
            continue;
        }
        for (method, operation) in item.as_object().expect("an item") {
            let row = ids.iter().find(|(start, _)| template.starts_with(**start)).map_or(1, |(_, id)| *id);
            let path = template.replace("{id}", &row.to_string());
            assert!(!path.contains('{'), "{template} has another parameter");
            let listed = operation["parameters"].as_array().into_iter().flatten();
            let parameters = listed.filter(|parameter| parameter["in"] == "query");
            let parameters = parameters
                .map(|parameter| (parameter["name"].as_str().expect("a name").to_owned(), parameter["schema"].clone()));
            // There is no storage of another kind, and only then its body is read.
            let has_row =
                !template.starts_with("/api/storages") || template.contains("/s3/") || !template.contains("{id}");
            let body = if has_row { &operation["requestBody"] } else { &Value::Null };
            let schema = &body["content"]["application/json"]["schema"];
            all.push(Operation {
                method: method.to_uppercase(),
                path,
                parameters: parameters.collect(),
                fields: fields(&document, schema),
            });
        }
    }
    all
}

/// A rig with a storage of each direction and a task, and their IDs by the start of their paths.
async fn rig() -> (Rig, BTreeMap<&'static str, i64>) {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    rig.s3.create_bucket("names");
    let import = rig.import_storage(project, "names", json!({})).await;
    let export = rig.export_storage(project, "names", json!({"prefix": "out"})).await;
    let task = rig.post("/api/tasks", json!({"project": project, "data": {"a": 1}})).await["id"].as_i64();
    let ids = BTreeMap::from([
        ("/api/storages/export/s3", export.id),
        ("/api/storages/s3", import.id),
        ("/api/projects/", project),
        ("/api/tasks/", task.expect("an ID")),
    ]);
    (rig, ids)
}

/// A path with the query that its route needs.
fn with_needed(path: &str, ids: &BTreeMap<&str, i64>) -> String {
    match path {
        "/api/dm/actions" => format!("{path}?id=delete_tasks&project={}", ids["/api/projects/"]),
        path => path.to_owned(),
    }
}

/// The name with a letter too much, as a hasty user types it.
fn misspelled(name: &str) -> String {
    format!("{name}{}", name.chars().last().unwrap_or('x'))
}

fn message<'a>(body: &'a Value, field: &str) -> &'a str {
    body["validation_errors"][field][0].as_str().unwrap_or_default()
}

/// Goal: no misspelled name has silently no effect. Method: every route of the document, with each of its query parameters and
/// fields misspelled, and with a name that is like none.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_unknown_names_with_the_nearest_known_one() {
    let (rig, ids) = rig().await;
    let operations = operations(&rig, &ids).await;
    assert!(operations.len() > 60, "{} routes", operations.len());
    let mut checked = (0, 0);
    for Operation { method, path, parameters, fields } in &operations {
        let what = format!("{method} {path}");
        // Doctors and syncs take a body that may be left out.
        let (status, body) = rig.call(method, &format!("{path}?qqqqqq=1"), None).await;
        assert_eq!(status, 400, "{what}: {body}");
        assert!(message(&body, "qqqqqq").starts_with("Unknown query parameter. Check its spelling"), "{what}: {body}");
        for name in parameters.keys() {
            let wrong = misspelled(name);
            let (status, body) = rig.call(method, &format!("{path}?{wrong}=1"), None).await;
            assert_eq!(status, 400, "{what} {wrong}: {body}");
            assert_eq!(
                message(&body, &wrong),
                format!("Unknown query parameter. Did you mean `{name}`?"),
                "{what}: {body}"
            );
            checked.0 += 1;
        }
        for name in fields.keys() {
            let wrong = misspelled(name);
            let path = with_needed(path, &ids);
            let (status, body) = rig.call(method, &path, Some(json!({ &wrong: 1 }))).await;
            assert_eq!(status, 400, "{what} {wrong}: {body}");
            assert_eq!(message(&body, &wrong), format!("Unknown field. Did you mean `{name}`?"), "{what}: {body}");
            checked.1 += 1;
        }
        if !fields.is_empty() {
            let (status, body) = rig.call(method, &with_needed(path, &ids), Some(json!({"qqqqqq": 1}))).await;
            assert_eq!(status, 400, "{what}: {body}");
            assert!(message(&body, "qqqqqq").starts_with("Unknown field. Check its spelling"), "{what}: {body}");
        }
    }
    assert!(checked.0 > 60 && checked.1 > 150, "{checked:?}");
}

/// Goal: every boolean takes the words that people and programs write, and says so of others. Method: the boolean parameters and
/// fields of every route of the document.
#[tokio::test(flavor = "multi_thread")]
async fn every_boolean_takes_the_same_words_in_queries_and_bodies() {
    let (rig, ids) = rig().await;
    let words = ["true", "True", "TRUE", "1", "yes", "on", "t", "y", "false", "False", "0", "no", "off", "f", "n"];
    let mut checked = (0, 0);
    for Operation { method, path, parameters, fields } in operations(&rig, &ids).await {
        let what = format!("{method} {path}");
        for (name, _) in parameters.iter().filter(|(_, schema)| is_of_type(schema, "boolean")) {
            // With an unknown parameter nothing is done. It is refused after the boolean was read.
            for word in words.iter().copied().chain([""]) {
                let (_, body) = rig.call(&method, &format!("{path}?{name}={word}&qqqqqq=1"), None).await;
                assert_eq!(message(&body, name), "", "{what} {word}: {body}");
            }
            let (status, body) = rig.call(&method, &format!("{path}?{name}=maybe"), None).await;
            assert_eq!(status, 400, "{what}: {body}");
            assert!(message(&body, name).starts_with("Must be a valid boolean."), "{what}: {body}");
            checked.0 += 1;
        }
        for (name, _) in fields.iter().filter(|(_, schema)| is_of_type(schema, "boolean")) {
            for word in words {
                let (_, body) = rig.call(&method, &path, Some(json!({ name: word, "qqqqqq": 1 }))).await;
                assert_eq!(message(&body, name), "", "{what} {word}: {body}");
                assert!(!body["detail"].to_string().contains("boolean"), "{what} {word}: {body}");
            }
            let (status, body) = rig.call(&method, &path, Some(json!({ name: "maybe" }))).await;
            assert_eq!(status, 400, "{what}: {body}");
            assert!(body.to_string().contains("Must be a valid boolean"), "{what} {name}: {body}");
            assert!(body.to_string().contains(name.as_str()), "{what} {name}: {body}");
            checked.1 += 1;
        }
    }
    assert!(checked.0 >= 8 && checked.1 > 20, "{checked:?}");
}

/// The fields of a form.
type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Goal: a body means the same as JSON, as a form and as a form with parts. Method: an annotation and a prediction, with booleans,
/// numbers and lists.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_means_the_same_as_json_and_as_a_form() {
    let (rig, ids) = rig().await;
    let task = ids["/api/tasks/"];
    let annotations = format!("/api/tasks/{task}/annotations");
    let sent: [(&str, Pairs<'_>, Value); 2] = [
        (
            &annotations,
            &[("result", r#"[{"a": 1.50}]"#), ("ground_truth", "on"), ("was_cancelled", ""), ("lead_time", "2.5")],
            json!({"result": [{"a": 1.50}], "ground_truth": true, "was_cancelled": false, "lead_time": 2.5}),
        ),
        (
            "/api/predictions",
            &[("task", &task.to_string()), ("result", "[]"), ("score", "0.25"), ("model_version", "7")],
            json!({"task": task, "result": [], "score": 0.25, "model_version": "7"}),
        ),
    ];
    for (path, pairs, expected) in sent {
        let form: String = pairs.iter().map(|(name, value)| format!("{name}={}&", value.replace(' ', "+"))).collect();
        let parts: String = pairs
            .iter()
            .map(|(name, value)| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"))
            .collect();
        for (kind, body) in [
            ("application/json", expected.to_string()),
            ("application/x-www-form-urlencoded", form),
            ("multipart/form-data; boundary=b", format!("{parts}--b--\r\n")),
        ] {
            let request = rig.request("POST", path).bearer_auth(rig.token()).header("content-type", kind).body(body);
            let (status, answer) = send_json(request).await;
            assert_eq!(status, 201, "{path} {kind}: {answer}");
            for (name, value) in expected.as_object().expect("an object") {
                assert_eq!(&answer[name], value, "{path} {kind} {name}");
            }
        }
    }
}
