//! The fields of an annotation that callers write, and their checks.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::error::ApiResult;
use crate::api::json_field::nullable;
use crate::api::offload::Offload;
use crate::api::results;

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

    /// The printed size of the regions in bytes.
    fn printed_bytes(&self) -> ApiResult<Option<usize>> {
        results::printed_bytes(self.result.as_deref())
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
