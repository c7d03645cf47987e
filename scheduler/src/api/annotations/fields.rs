//! The fields of an annotation that callers write, and their checks.

use longshore_model::json;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::error::{ApiError, ApiResult};
use crate::api::offload::Offload;

/// An annotation to write. A PATCH does not change fields that it leaves out.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct AnnotationFields {
    /// A list of regions.
    #[serde(default)]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) was_cancelled: Option<bool>,
    #[serde(default)]
    pub(super) ground_truth: Option<bool>,
    /// Seconds.
    #[serde(default, deserialize_with = "nullable")]
    pub(super) lead_time: Option<Option<f64>>,
    /// The ID of a user of the host.
    #[serde(default, deserialize_with = "nullable")]
    pub(super) completed_by: Option<Option<i64>>,
}

/// The deepest nesting of lists and objects, the same as for imported items. JSON parsers commonly stop near 128.
const MAX_DEPTH: usize = 100;

/// The most bytes of a result as the database prints it, the same as for imported items. The API and exports read this
/// text.
const MAX_PRINTED: usize = 32 * 1024 * 1024;

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
fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl AnnotationFields {
    /// The regions as JSON text. `None` if they are not sent.
    pub(super) fn result(&self) -> Option<&str> {
        self.result.as_deref().map(RawValue::get)
    }

    /// Checks the regions, and returns their printed size in bytes. Large ones are checked on other threads than those
    /// that serve requests, because up to 16 MiB are read three times.
    ///
    /// # Errors
    /// They are not a list, or the database or its clients could not hold them.
    pub(super) async fn checked(self, offload: &Offload) -> ApiResult<(Self, Option<usize>)> {
        let bytes = self.result().map_or(0, str::len);
        offload.run(bytes, move |_| self.printed_bytes().map(|printed| (self, printed))).await
    }

    /// The printed size of the regions in bytes. Refuses values other than lists, and `\u0000`, which Postgres cannot
    /// store.
    fn printed_bytes(&self) -> ApiResult<Option<usize>> {
        let Some(text) = self.result() else { return Ok(None) };
        if !text.starts_with('[') {
            return Err(ApiError::invalid("result", "Expected a list of regions."));
        }
        if text.contains("\\u0000") {
            return Err(ApiError::invalid("result", "Null characters are not allowed."));
        }
        if is_deeper(text, MAX_DEPTH) {
            return Err(ApiError::invalid("result", format!("Nested deeper than {MAX_DEPTH} levels.")));
        }
        let printed = json::printed_size(text);
        if printed > MAX_PRINTED {
            let detail = format!(
                "Has more than {MAX_PRINTED} bytes with its numbers written out. Write numbers such as 1e1000 as strings."
            );
            return Err(ApiError::invalid("result", detail));
        }
        Ok(Some(printed))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn fields(text: &str) -> AnnotationFields {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn levels_are_counted_outside_of_texts() {
        for (json, depth) in [("[]", 1), (r#"[{"a": [1]}, [], {}]"#, 3), (r#"["[[\"[[", [0], "\\"]"#, 2)] {
            assert!(!is_deeper(json, depth), "{json}");
            assert!(is_deeper(json, depth - 1), "{json}");
        }
    }

    #[test]
    fn a_result_is_a_list_and_null_differs_from_a_missing_field() {
        let sent = fields(r#"{"result": [ {"a": 1.10} ]}"#);
        assert_eq!(sent.result(), Some(r#"[ {"a": 1.10} ]"#));
        assert!(sent.printed_bytes().unwrap().is_some_and(|bytes| bytes >= r#"[{"a": 1.10}]"#.len()));
        assert!(fields(r#"{"result": {"a": 1}}"#).printed_bytes().is_err());
        assert!(fields(r#"{"result": ["\u0000"]}"#).printed_bytes().is_err());
        assert!(fields(&format!(r#"{{"result": [{}0]}}"#, "1e131071,".repeat(300))).printed_bytes().is_err());
        assert_eq!(fields("{}").printed_bytes().unwrap(), None);
        assert_eq!(fields(r#"{"lead_time": null}"#).lead_time, Some(None));
        assert_eq!(fields("{}").lead_time, None);
    }

    #[tokio::test]
    async fn a_large_result_is_checked_on_another_thread() {
        let small = fields(r#"{"result": [1]}"#).checked(&Offload::busy()).now_or_never();
        assert!(small.is_some_and(|checked| checked.is_ok()), "what is small is not kept waiting");
        let large = fields(&format!(r#"{{"result": ["{}"]}}"#, "x".repeat(1024 * 1024)));
        assert!(large.checked(&Offload::busy()).now_or_never().is_none(), "no thread is free for it");
    }
}
