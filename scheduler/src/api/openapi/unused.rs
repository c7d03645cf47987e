//! Removes components that are not referenced any more, because they were merged into others.

use std::collections::BTreeSet;

use serde_json::Value;

/// Removes unused components, and those that only unused components refer to.
pub(super) fn remove(document: &mut Value) {
    loop {
        let mut used = BTreeSet::new();
        collect(document, &mut used);
        let mut is_done = true;
        for (sort, components) in document["components"].as_object_mut().into_iter().flatten() {
            // Operations name these by their key, not by a reference.
            if sort == "securitySchemes" {
                continue;
            }
            if let Some(components) = components.as_object_mut() {
                let count = components.len();
                components.retain(|name, _| used.contains(&format!("#/components/{sort}/{name}")));
                is_done &= components.len() == count;
            }
        }
        if is_done {
            return;
        }
    }
}

/// All references below a value.
fn collect(value: &Value, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                used.insert(reference.clone());
            }
            fields.values().for_each(|field| collect(field, used));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, used)),
        _ => {}
    }
}
