//! Access to the parts of the document.

use serde_json::{Map, Value, json};

/// The methods that an operation can have.
pub(super) const METHODS: &[&str] = &["get", "put", "post", "delete", "patch"];

/// Calls `visit` with path, method and content of each operation.
pub(super) fn for_each_operation(document: &mut Value, mut visit: impl FnMut(&str, &str, &mut Map<String, Value>)) {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) {
                visit(path, method, operation);
            }
        }
    }
}

/// The components of one sort, such as `schemas`.
pub(super) fn components<'a>(document: &'a mut Value, sort: &str) -> &'a mut Map<String, Value> {
    let components = &mut document["components"][sort];
    if !components.is_object() {
        *components = json!({});
    }
    components.as_object_mut().expect("an object since the line above")
}

/// The operation ID, which every operation has.
pub(super) fn id(operation: &Map<String, Value>) -> &str {
    operation.get("operationId").and_then(Value::as_str).unwrap_or_default()
}

/// A reference to a component.
pub(super) fn reference(sort: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{sort}/{name}")})
}
