//! Makes one path for each storage kind.
//!
//! The router has one route for all kinds, `/api/storages/{kind}`. In the document it would be ambiguous beside
//! `/api/storages/types`, and its bodies would be unions that many generators of clients cannot read.

use longshore_model::StorageKind;
use serde_json::{Map, Value, json};

use super::flat::target;
use super::walk::{id, reference};
use crate::api::storages::capitalized;

const PARAMETER: &str = "{kind}";

/// The names of schemas of any kind start with one of these. In names of one kind, the kind comes before it.
const ANY_KIND: [&str; 2] = ["ImportStorage", "ExportStorage"];

/// Replaces each path with `{kind}` by one path per kind.
pub(super) fn expand(document: &mut Value) {
    let paths = document["paths"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut expanded = Map::new();
    for (path, item) in paths {
        if !path.contains(PARAMETER) {
            expanded.insert(path, item);
            continue;
        }
        for kind in StorageKind::ALL {
            expanded.insert(path.replace(PARAMETER, kind.as_str()), of_kind(item.clone(), *kind));
        }
    }
    document["paths"] = Value::Object(expanded);
}

/// The operations of a path for one kind.
fn of_kind(mut item: Value, kind: StorageKind) -> Value {
    for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
        let Some(operation) = operation.as_object_mut() else { continue };
        if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
            parameters.retain(|parameter| parameter["name"] != "kind");
            if parameters.is_empty() {
                operation.remove("parameters");
            }
        }
        let name = id(operation).replace("storages_", &format!("storages_{kind}_"));
        operation.insert("operationId".to_owned(), json!(name));
        if let Some(summary) = operation.get("summary").and_then(Value::as_str) {
            let summary = format!("{} (`{kind}`)", summary.trim_end_matches('.'));
            operation.insert("summary".to_owned(), json!(summary));
        }
        operation.values_mut().for_each(|part| refer_to_kind(part, kind));
    }
    item
}

/// Replaces every reference to a schema of any kind by a reference to the schema of this kind.
fn refer_to_kind(value: &mut Value, kind: StorageKind) {
    if let Some(name) = target(value).filter(|name| ANY_KIND.iter().any(|any| name.starts_with(any))) {
        *value = reference("schemas", &format!("{}{name}", capitalized(kind.as_str())));
        return;
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|field| refer_to_kind(field, kind)),
        Value::Array(items) => items.iter_mut().for_each(|item| refer_to_kind(item, kind)),
        _ => {}
    }
}
