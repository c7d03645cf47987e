use serde_json::json;

use super::*;
use crate::api::openapi::{complete, document};

#[test]
fn the_page_shows_each_operation_with_its_parameters_body_and_answers() {
    let document = complete::completed(&document()).unwrap();
    let page = written(&document, "/api/openapi.json");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let start = format!("<details id=\"{id}\"><summary><b class=\"{method}\">");
            let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no {method} {path}"));
            let shown = rest.split_once("</details>").unwrap().0;
            assert!(shown.contains(&format!("<code>{path}</code>")), "{shown}");
            assert_eq!(shown.contains("<h3>Body"), operation.get("requestBody").is_some(), "{id}");
            assert_eq!(shown.contains("<h3>Parameters"), operation.get("parameters").is_some(), "{id}");
            for status in operation["responses"].as_object().unwrap().keys() {
                assert!(shown.contains(&format!("<tr><td>{status}</td>")), "{id}: {status}");
            }
        }
    }
    for reference in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.contains(&format!(" id=\"{reference}\"")), "#{reference} leads nowhere");
    }
}

#[test]
fn texts_of_the_document_cannot_become_html() {
    let hostile = "<script>alert(1)</script>\"'&";
    let document = json!({
        "info": {"title": hostile, "version": hostile, "description": hostile},
        "tags": [{"name": hostile, "description": hostile}],
        "paths": {hostile: {"get": {
            "operationId": hostile, "summary": hostile, "description": hostile, "tags": [hostile],
            "parameters": [{"name": hostile, "in": hostile, "description": hostile, "schema": {"type": hostile}}],
            "requestBody": {"content": {hostile: {"schema": {"$ref": hostile}, "example": hostile}}},
            "responses": {hostile: {"description": hostile, "headers": {hostile: {}}}},
        }}},
        "components": {
            "schemas": {hostile: {"description": hostile, "enum": [hostile]}, "x": {"properties": {hostile: {}}}},
            "securitySchemes": {hostile: {"in": hostile, "name": hostile, "description": hostile}},
        },
    });
    let page = written(&document, "/api/openapi.json");
    assert!(page.contains("&lt;script&gt;"));
    assert!(!page.contains("<script") && !page.contains("alert(1)</script"), "{page}");
}

#[test]
fn the_policy_lets_only_the_style_sheet_of_the_page_pass() {
    let policy = policy();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    let page = written(&json!({}), "");
    assert_eq!(page.matches("<style>").count(), 1);
    assert!(page.contains(&format!("<style>{STYLE}</style>")), "the hash is that of the sheet");
}
