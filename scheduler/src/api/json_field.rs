//! Fields whose values are stored as JSON: the results of annotations and predictions, and the data of tasks.

use longshore_model::json;
use serde::{Deserialize, Deserializer};

use super::error::{ApiError, ApiResult};

/// What the value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    List,
    Object,
}

/// The deepest nesting of lists and objects, the same as for imported items. JSON parsers commonly stop near 128.
const MAX_DEPTH: usize = 100;

/// The most bytes of a value as the database prints it, the same as for imported items. The API and exports read this
/// text.
const MAX_PRINTED: usize = 32 * 1024 * 1024;

/// The size of a JSON text in bytes as the database prints it.
///
/// # Errors
/// It has another shape, or the database or its clients could not hold it: Postgres cannot store `\u0000`.
pub(super) fn printed_bytes(field: &'static str, text: &str, shape: Shape) -> ApiResult<usize> {
    let (start, expected) = match shape {
        Shape::List => ('[', "Expected a list of regions."),
        Shape::Object => ('{', "Expected an object."),
    };
    if !text.starts_with(start) {
        return Err(ApiError::invalid(field, expected));
    }
    if text.contains("\\u0000") {
        return Err(ApiError::invalid(field, "Null characters are not allowed."));
    }
    if is_deeper(text, MAX_DEPTH) {
        return Err(ApiError::invalid(field, format!("Nested deeper than {MAX_DEPTH} levels.")));
    }
    let printed = json::printed_size(text);
    if printed > MAX_PRINTED {
        let detail = format!(
            "Has more than {MAX_PRINTED} bytes with its numbers written out. Write numbers such as 1e1000 as strings."
        );
        return Err(ApiError::invalid(field, detail));
    }
    Ok(printed)
}

/// Whether lists and objects of a JSON text are nested deeper than this many levels.
fn is_deeper(json: &str, levels: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    json.bytes().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > levels
    })
}

/// Reads a field so that null (`Some(None)`) differs from a missing field (`None`).
pub(super) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_outside_of_texts() {
        for (json, depth) in [("[]", 1), (r#"[{"a": [1]}, [], {}]"#, 3), (r#"["[[\"[[", [0], "\\"]"#, 2)] {
            assert!(!is_deeper(json, depth), "{json}");
            assert!(is_deeper(json, depth - 1), "{json}");
        }
    }

    #[test]
    fn a_value_has_the_shape_of_its_field() {
        assert!(printed_bytes("data", r#"{"a": 1}"#, Shape::Object).is_ok());
        assert!(printed_bytes("data", "[1]", Shape::Object).is_err());
        assert!(printed_bytes("result", r#"{"a": 1}"#, Shape::List).is_err());
    }
}
