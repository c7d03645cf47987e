//! Adds an example to every request body: from `examples.json` by operation or action, otherwise from the body's
//! schema.

use serde_json::{Map, Value};

use super::flat::target;
use super::walk::{components, for_each_operation, id};

/// Bodies by operation ID, and by action of a storage.
const EXAMPLES: &str = include_str!("examples.json");

/// Adds an example to each request body.
///
/// # Errors
/// The file is not JSON.
pub(super) fn add(document: &mut Value) -> serde_json::Result<()> {
    let examples: Value = serde_json::from_str(EXAMPLES)?;
    let schemas = components(document, "schemas").clone();
    for_each_operation(document, |_, _, operation| {
        let of_operation = example(&examples, id(operation));
        let content = operation.get_mut("requestBody").and_then(|body| body["content"].as_object_mut());
        for media in content.into_iter().flat_map(Map::values_mut) {
            let of_schema = || target(&media["schema"]).and_then(|name| schemas.get(name)?["examples"].get(0).cloned());
            if let Some(example) = of_operation.clone().or_else(of_schema) {
                media["example"] = example;
            }
        }
    });
    Ok(())
}

/// The example of an operation such as `projects_create` or `import_storages_s3_sync`.
fn example(examples: &Value, operation: &str) -> Option<Value> {
    let of_action = || {
        let (_kind, action) = operation.split_once("_storages_")?.1.split_once('_')?;
        examples["actions"].get(action).cloned()
    };
    examples["operations"].get(operation).cloned().or_else(of_action)
}
