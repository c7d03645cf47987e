use std::collections::BTreeSet;

use super::*;

fn json() -> Value {
    complete::completed(&document()).unwrap()
}

#[tokio::test]
async fn every_answer_shares_the_bytes_of_one_document() {
    use tower::ServiceExt as _;

    let router: Router = served(&document()).unwrap();
    let asked = async || {
        let request = axum::extract::Request::get(DOCUMENT).body(axum::body::Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap()
    };
    let (first, second) = (asked().await, asked().await);
    assert_eq!(first.as_ptr(), second.as_ptr(), "the same bytes, and no copy of them");
    assert_eq!(serde_json::from_slice::<Value>(&first).unwrap(), json());
}

#[test]
fn the_document_spells_words_as_answers_do() {
    let document = json();
    let words = |name: &str| document["components"]["schemas"][name]["enum"].clone();
    assert_eq!(words("StorageKind")[0], "s3");
    assert_eq!(words("SyncStatus")[4], "completed_with_errors");
    assert_eq!(words("QuarantineReason")[1], "invalid_json");
}

#[test]
fn every_operation_has_its_own_name_and_every_reference_a_schema() {
    fn walk(value: &Value, visit: &mut impl FnMut(&str, &Value)) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, field)| {
                visit(name, field);
                walk(field, visit);
            }),
            Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
            _ => {}
        }
    }
    let document = json();
    let (mut names, mut references) = (Vec::new(), Vec::new());
    walk(&document["paths"], &mut |name, field| match (name, field.as_str()) {
        ("operationId", Some(id)) => names.push(id.to_owned()),
        ("$ref", Some(reference)) => references.push(reference.to_owned()),
        _ => {}
    });
    assert!(names.len() > 30, "{names:?}");
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

/// Path, method and content of every operation.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let items = document["paths"].as_object().unwrap().iter();
    let each = items.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |it| (path, it)));
    each.map(|(path, (method, operation))| (format!("{method} {path}"), operation.clone())).collect()
}

/// What a reference leads to.
fn found<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    value["$ref"].as_str().map_or(value, |reference| document.pointer(&reference[1..]).unwrap())
}

#[test]
fn every_operation_says_what_it_does_and_every_answer_what_it_means() {
    let document = json();
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (route, operation) in operations(&document) {
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 5), "{route}");
        assert!(operation["tags"].as_array().unwrap().iter().all(|tag| tags.contains(&tag)), "{route}");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let answer = found(&document, answer);
            assert!(answer["description"].as_str().is_some_and(|text| text.len() > 3), "{route} {status}");
            assert!(answer["headers"].get("X-Request-Id").is_some(), "{route} {status}");
        }
        for status in ["400", "401", "429", "503"] {
            assert!(operation["responses"].get(status).is_some(), "{route} {status}");
        }
        for (_, media) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            let example = &media["example"];
            assert!(example.is_object() || example.is_array(), "{route} has no example");
        }
    }
}

#[test]
fn headers_are_listed_where_they_are_read_and_sent() {
    let document = json();
    let sync = &document["paths"]["/api/storages/export/gcs/{id}/sync"]["post"];
    let key = serde_json::json!({"$ref": "#/components/parameters/Idempotency-Key"});
    assert!(sync["parameters"].as_array().unwrap().contains(&key));
    assert!(sync["responses"]["200"]["headers"].get("X-Longshore-Sync").is_some());
    let object = &document["paths"]["/tasks/{id}/resolve"]["get"]["responses"];
    assert!(object["303"]["headers"].get("Location").is_some());
    assert!(object["206"]["headers"].get("Content-Range").is_some() && object["200"]["headers"].get("ETag").is_some());
    let refusals = &document["components"]["responses"];
    assert!(refusals["TooManyRequests"]["headers"].get("Retry-After").is_some());
    assert!(refusals["BadRequest"]["headers"].get("Retry-After").is_none());
}

#[test]
fn only_the_token_exchange_needs_no_token() {
    let document = json();
    let all = operations(&document);
    let open = all.iter().filter(|(_, operation)| operation["security"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(open.map(|(route, _)| route.as_str()).collect::<Vec<_>>(), ["post /api/token/refresh"]);
    let by_link = all.iter().filter(|(_, operation)| operation["security"].to_string().contains("\"link\""));
    let by_link: Vec<&str> = by_link.map(|(route, _)| route.as_str()).collect();
    assert_eq!(by_link, ["get /tasks/{id}/presign", "get /tasks/{id}/resolve"]);
}

#[test]
fn each_kind_has_its_own_path_request_and_answer() {
    let document = json();
    let create = &document["paths"]["/api/storages/azure"]["post"];
    assert_eq!(create["operationId"], "import_storages_azure_create");
    let request = found(&document, &create["requestBody"]["content"]["application/json"]["schema"]);
    assert!(request["properties"].get("container").is_some() && request["properties"].get("bucket").is_none());
    assert!(request["required"].as_array().unwrap().contains(&"container".into()));
    let answer = found(&document, &create["responses"]["201"]["content"]["application/json"]["schema"]);
    assert_eq!(answer["properties"]["type"]["enum"], serde_json::json!(["azure"]));
    assert!(answer["properties"].get("presign").is_some() && answer["properties"].get("export_tasks").is_none());
    let change = &document["paths"]["/api/storages/azure/{id}"]["patch"]["requestBody"]["content"]["application/json"];
    assert!(found(&document, &change["schema"]).get("required").is_none(), "a change leaves out what stays");
    assert!(!serde_json::to_string(&document).unwrap().contains("{kind}"));
}
