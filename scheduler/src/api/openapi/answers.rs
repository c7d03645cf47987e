//! Default descriptions of answers.

use serde_json::{Value, json};

use super::walk::for_each_operation;

/// Describes each answer that has no description yet, because the `OpenAPI` standard requires one.
pub(super) fn describe(document: &mut Value) {
    for_each_operation(document, |_, _, operation| {
        for (status, answer) in operation["responses"].as_object_mut().into_iter().flatten() {
            let is_described = answer.get("description").is_some() || answer.get("$ref").is_some();
            if !is_described {
                answer["description"] = json!(description(status, answer.get("content").is_some()));
            }
        }
    });
}

fn description(status: &str, has_body: bool) -> &'static str {
    match (status, has_body) {
        ("201", true) => "Created. The body shows it.",
        (_, true) => "Done. The body has the result.",
        (_, false) => "Done. The answer has no body.",
    }
}
