//! An operation: its parameters, bodies and answers.

use serde_json::Value;

use super::html::{escaped, prose, table};
use super::schema;

pub(super) fn shown(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let text = |name: &str| operation[name].as_str().unwrap_or_default();
    let (id, path) = (escaped(text("operationId")), escaped(path));
    let mark = if operation["deprecated"] == true { " <small>deprecated</small>" } else { "" };
    format!(
        "<details id=\"{id}\"><summary><b class=\"{method}\">{}</b> <code>{path}</code> {}{mark}</summary>\n\
         <p>{}</p><p>Operation <code>{id}</code>. {}</p>\n{}{}{}</details>\n",
        method.to_uppercase(),
        prose(text("summary")),
        prose(text("description")),
        access(document, operation),
        parameters(document, operation),
        body(operation),
        answers(document, operation),
    )
}

/// Which token it needs.
fn access(document: &Value, operation: &Value) -> String {
    let ways = operation.get("security").unwrap_or(&document["security"]).as_array();
    let names: Vec<String> = ways
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(|way| way.keys().map(|name| format!("<code>{}</code>", escaped(name))))
        .collect();
    if names.is_empty() { "No token needed.".to_owned() } else { format!("Access: {}.", names.join(" or ")) }
}

fn parameters(document: &Value, operation: &Value) -> String {
    let rows = operation["parameters"].as_array().into_iter().flatten().map(|parameter| {
        let parameter = found(document, parameter);
        let text = |name: &str| parameter[name].as_str().unwrap_or_default();
        let required = if parameter["required"] == true { " (required)" } else { "" };
        format!(
            "<tr><td><code>{}</code>{required}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(text("name")),
            escaped(text("in")),
            schema::named(&parameter["schema"]),
            prose(text("description"))
        )
    });
    table("Parameters", &["name", "in", "type", "what"], &rows.collect::<String>())
}

fn body(operation: &Value) -> String {
    let Some(body) = operation.get("requestBody") else { return String::new() };
    let required = if body["required"] == true { " (required)" } else { "" };
    let media = body["content"].as_object().into_iter().flatten().map(|(media, content)| {
        let example = content.get("example").and_then(|example| serde_json::to_string_pretty(example).ok());
        let example = example.map(|example| format!("<pre>{}</pre>", escaped(&example))).unwrap_or_default();
        format!("<p><code>{}</code>: {}</p>{example}", escaped(media), schema::named(&content["schema"]))
    });
    format!("<h3>Body{required}</h3>{}\n", media.collect::<String>())
}

fn answers(document: &Value, operation: &Value) -> String {
    let rows = operation["responses"].as_object().into_iter().flatten().map(|(status, answer)| {
        let answer = found(document, answer);
        let schemas = answer["content"].as_object().into_iter().flatten();
        let schemas: Vec<String> = schemas.map(|(_, content)| schema::named(&content["schema"])).collect();
        let headers = answer["headers"].as_object().into_iter().flatten();
        let headers: Vec<String> = headers.map(|(name, _)| format!("<code>{}</code>", escaped(name))).collect();
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(status),
            prose(answer["description"].as_str().unwrap_or_default()),
            schemas.join(", "),
            headers.join(", ")
        )
    });
    table("Answers", &["status", "what", "body", "headers"], &rows.collect::<String>())
}

/// The component that a reference leads to, or the value itself.
fn found<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}
