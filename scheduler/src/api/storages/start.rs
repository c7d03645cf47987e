//! The request that starts a sync.

use axum::http::HeaderMap;
use longshore_model::{ExportMode, ExportOptions, MAX_EXPORT_TASKS, MAX_IDEMPOTENCY_KEY};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use crate::api::error::{ApiError, ApiResult};
use crate::api::id_list::IdList;

/// The header with the idempotency key.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The options of a new sync.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct StartSync {
    /// Two requests with the same key for one storage start only one sync, even if days are between them.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// Export only: which annotations to export.
    #[serde(default, deserialize_with = "options")]
    pub(super) options: Option<ExportOptions>,
}

/// Reads options. Keeps at most one task ID more than allowed, which is enough to refuse the list.
fn options<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ExportOptions>, D::Error> {
    #[derive(Deserialize)]
    struct Sent {
        #[serde(default)]
        mode: ExportMode,
        #[serde(default)]
        tasks: IdList<MAX_EXPORT_TASKS>,
    }
    let sent = Option::<Sent>::deserialize(deserializer)?;
    Ok(sent.map(|sent| ExportOptions { mode: sent.mode, tasks: sent.tasks.into_vec() }))
}

/// The idempotency key of a request, from its header or its body.
pub(super) fn idempotency_key<'a>(headers: &'a HeaderMap, body: &'a StartSync) -> ApiResult<Option<&'a str>> {
    let header = headers
        .get(IDEMPOTENCY_KEY)
        .map(|value| value.to_str().map_err(|_| ApiError::invalid("idempotency_key", "Use printable ASCII.")))
        .transpose()?;
    let key = header.or(body.idempotency_key.as_deref()).filter(|key| !key.is_empty());
    if key.is_some_and(|key| key.len() > MAX_IDEMPOTENCY_KEY || key.contains('\0')) {
        return Err(ApiError::invalid("idempotency_key", format!("Use at most {MAX_IDEMPOTENCY_KEY} bytes.")));
    }
    Ok(key)
}

impl StartSync {
    /// The options, if the caller sent any.
    pub(super) fn options(&self) -> ApiResult<Option<&ExportOptions>> {
        if self.options.as_ref().is_some_and(|options| options.tasks.len() > MAX_EXPORT_TASKS) {
            let message = format!("Send at most {MAX_EXPORT_TASKS} task IDs, or none for all tasks.");
            return Err(ApiError::invalid("options", message));
        }
        Ok(self.options.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_keep_only_one_task_id_more_than_allowed() {
        let read = |json: &str| serde_json::from_str::<StartSync>(json).unwrap().options;
        let tasks = |count: usize| format!("{{\"options\": {{\"tasks\": [1{}]}}}}", ",1".repeat(count - 1));
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"options": null}"#), None);
        assert_eq!(read(r#"{"options": {"mode": "all"}}"#).unwrap().mode, ExportMode::All);
        assert_eq!(read(&tasks(MAX_EXPORT_TASKS)).unwrap().tasks.len(), MAX_EXPORT_TASKS);
        assert_eq!(read(&tasks(1_000_000)).unwrap().tasks.len(), MAX_EXPORT_TASKS + 1);
    }
}
