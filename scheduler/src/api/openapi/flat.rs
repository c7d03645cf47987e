//! Replaces `allOf` in schemas by plain objects, because client generators make classes only of objects.

use serde_json::{Map, Value, json};

use super::walk::components;

/// Replaces every composed object by one object. A composition that has a union does not change.
pub(super) fn flatten(document: &mut Value) {
    let schemas = components(document, "schemas");
    let before = schemas.clone();
    for schema in schemas.values_mut() {
        if schema.get("allOf").is_some()
            && let Some(flat) = merged(schema, &before)
        {
            *schema = flat;
        }
    }
}

/// One object with the fields of all parts of a schema; `None` if a part is a union.
fn merged(schema: &Value, schemas: &Map<String, Value>) -> Option<Value> {
    if let Some(name) = target(schema) {
        return merged(schemas.get(name)?, schemas);
    }
    if schema.get("oneOf").or_else(|| schema.get("anyOf")).is_some() {
        return None;
    }
    let mut parts = Vec::new();
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        parts.push(merged(part, schemas)?);
    }
    parts.push(schema.clone());

    let (mut required, mut properties) = (Vec::new(), Map::new());
    for part in &parts {
        required.extend(part.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
        let fields = part.get("properties").and_then(Value::as_object);
        properties.extend(fields.into_iter().flatten().map(|(name, field)| (name.clone(), field.clone())));
    }
    let mut whole = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        whole["required"] = Value::Array(required);
    }
    if let Some(description) = schema.get("description") {
        whole["description"] = description.clone();
    }
    Some(whole)
}

/// The name of the schema that a reference leads to.
pub(super) fn target(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")
}
