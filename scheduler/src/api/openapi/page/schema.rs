//! Schemas: as a short type, and as a table of fields.

use serde_json::Value;

use super::html::{escaped, prose, table};

/// A schema as a short type, with links to named schemas.
pub(super) fn named(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = escaped(reference.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(content) = schema.get("contentSchema") {
        return format!("text with {}", named(content));
    }
    for union in ["oneOf", "anyOf"] {
        if let Some(variants) = schema[union].as_array() {
            return variants.iter().map(named).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one.as_str()],
        _ => return "any JSON".to_owned(),
    };
    let format = schema["format"].as_str().map(|format| format!(" ({})", escaped(format))).unwrap_or_default();
    let each = types.into_iter().map(|one| match one {
        "array" => format!("list of {}", named(&schema["items"])),
        other => format!("{}{}", escaped(other), if other == "null" { "" } else { format.as_str() }),
    });
    each.collect::<Vec<_>>().join(" or ")
}

/// All schemas that have a name.
pub(super) fn all(document: &Value) -> String {
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten();
    schemas.map(|(name, schema)| shown(name, schema)).collect()
}

fn shown(name: &str, schema: &Value) -> String {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let rows = schema["properties"].as_object().into_iter().flatten().map(|(field, of)| {
        let mark = if required.contains(&field.as_str()) { " (required)" } else { "" };
        let (field, what) = (escaped(field), prose(of["description"].as_str().unwrap_or_default()));
        format!("<tr><td><code>{field}</code>{mark}</td><td>{}</td><td>{what}</td></tr>", named(of))
    });
    let fields = table("Fields", &["name", "type", "what"], &rows.collect::<String>());
    let whole = if fields.is_empty() { format!("<p>{}</p>", named(schema)) } else { fields };
    let (name, description) = (escaped(name), prose(schema["description"].as_str().unwrap_or_default()));
    format!(
        "<details id=\"schema-{name}\"><summary><code>{name}</code></summary><p>{description}</p>{whole}</details>\n"
    )
}

fn code(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("<code>{}</code>", escaped(&text))
}
