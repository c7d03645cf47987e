//! The doctor route: runs all checks of a stored storage, and returns text to paste where one fails.

use axum::Extension;
use axum::extract::State;
use longshore_model::{Direction, StorageKind};
use longshore_storage::{Outcome, Snippet, Step};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::collection::Collection;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::{ApiError, ApiResult, ErrorBody};
use crate::api::extract::{Json, OptionalJson, Path};

/// The options of an examination.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct ExaminationRequest {
    /// Import only: the site whose pages load presigned URLs, such as `https://labels.example.com`. Without it,
    /// CORS is not checked.
    #[serde(default)]
    origin: Option<String>,
}

/// The results of an examination.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Examination {
    kind: StorageKind,
    direction: Direction,
    /// Whether no step failed.
    ok: bool,
    steps: Vec<StepBody>,
}

/// The result of one check, in the order of the checks.
#[derive(Debug, Serialize, ToSchema)]
struct StepBody {
    #[schema(example = "list")]
    step: &'static str,
    outcome: StepOutcome,
    /// What the check found, or why it was skipped; null for a failure or a warning.
    note: Option<String>,
    /// The stable code of the failure or the warning, for programs; otherwise null.
    code: Option<&'static str>,
    /// What to do about a failure or a warning; otherwise null.
    advice: Option<String>,
    /// Text to paste to fix it.
    snippets: Vec<SnippetBody>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StepOutcome {
    Ok,
    Warning,
    Failed,
    Skipped,
}

/// A text to paste. The title says where.
#[derive(Debug, Serialize, ToSchema)]
struct SnippetBody {
    title: &'static str,
    text: String,
}

impl From<Snippet> for SnippetBody {
    fn from(Snippet { title, text }: Snippet) -> Self {
        Self { title, text }
    }
}

impl From<Step> for StepBody {
    fn from(step: Step) -> Self {
        let (outcome, note, code, advice, snippets) = match step.outcome {
            Outcome::Ok { note } => (StepOutcome::Ok, Some(note), None, None, Vec::new()),
            Outcome::Skipped { why } => (StepOutcome::Skipped, Some(why.to_owned()), None, None, Vec::new()),
            Outcome::Warning { code, advice } => {
                (StepOutcome::Warning, None, Some(code), Some(advice.to_owned()), Vec::new())
            }
            Outcome::Failed { code, advice, snippets } => {
                (StepOutcome::Failed, None, Some(code), Some(advice), snippets)
            }
        };
        let snippets = snippets.into_iter().map(SnippetBody::from).collect();
        Self { step: step.check.as_str(), outcome, note, code, advice, snippets }
    }
}

/// Runs every check of an import storage, from its host name to the rights that a sync needs.
#[utoipa::path(
    post, path = "/{kind}/{id}/doctor", operation_id = "import_storages_doctor",
    tag = "import storages", params(("kind" = StorageKind, Path, example = "s3"), ("id" = i64, Path)),
    request_body = Option<ExaminationRequest>,
    responses((status = 200, body = Examination), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub(super) async fn examine(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
    OptionalJson(body): OptionalJson<ExaminationRequest>,
) -> ApiResult<Json<Examination>> {
    let origin = body.origin.as_deref().map(plain_origin).transpose()?;
    let stored = Collection::new(&state, &kind, direction)?.stored(&state, &caller, id).await?;
    let (project, settings) = (stored.fields.project_id, &stored.fields.settings);
    // Boxed because it is large: it contains the futures of every kind and step.
    let steps = Box::pin(state.stores.examine(project, settings, &stored.secrets, direction, origin)).await;
    let steps: Vec<StepBody> = steps.into_iter().map(StepBody::from).collect();
    let ok = steps.iter().all(|step| step.outcome != StepOutcome::Failed);
    Ok(Json(Examination { kind: settings.kind(), direction, ok, steps }))
}

/// An origin as browsers send it: only scheme, host and port.
fn plain_origin(text: &str) -> ApiResult<&str> {
    let origin = text.trim().trim_end_matches('/');
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return Err(ApiError::invalid(
            "origin",
            "Send an origin such as https://labels.example.com, without a path or a user.",
        ));
    }
    Ok(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(plain_origin(" https://labels.example.com/ ").unwrap(), "https://labels.example.com");
        assert_eq!(plain_origin("http://[::1]:8080").unwrap(), "http://[::1]:8080");
        for text in
            ["", "labels.example.com", "https://", "https://a/b", "https://a b", "https://u@h", "null", "ftp://h"]
        {
            assert!(plain_origin(text).is_err(), "{text}");
        }
    }
}
