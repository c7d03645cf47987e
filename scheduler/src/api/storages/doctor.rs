//! The examination of a stored storage: every step of the way to it, and what to paste where one fails.

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

/// What an examination is told.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct Examine {
    /// Import only: whose pages fetch signed URLs, such as `https://labels.example.com`. Without it
    /// CORS is not tried.
    #[serde(default)]
    origin: Option<String>,
}

/// What an examination found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Examination {
    kind: StorageKind,
    direction: Direction,
    /// Whether no step failed.
    ok: bool,
    steps: Vec<StepBody>,
}

/// One step, in the order of the way.
#[derive(Debug, Serialize, ToSchema)]
struct StepBody {
    #[schema(example = "list")]
    step: &'static str,
    outcome: Word,
    /// What was seen, or why it was skipped.
    note: Option<String>,
    /// What is wrong, for programs: a word that does not change.
    code: Option<&'static str>,
    /// What to do about it.
    advice: Option<String>,
    /// What to paste to fix it.
    snippets: Vec<SnippetBody>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Word {
    Ok,
    Failed,
    Skipped,
}

/// A text to paste, and where it goes.
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
            Outcome::Ok { note } => (Word::Ok, Some(note), None, None, Vec::new()),
            Outcome::Skipped { why } => (Word::Skipped, Some(why.to_owned()), None, None, Vec::new()),
            Outcome::Failed { code, advice, snippets } => (Word::Failed, None, Some(code), Some(advice), snippets),
        };
        let snippets = snippets.into_iter().map(SnippetBody::from).collect();
        Self { step: step.check.as_str(), outcome, note, code, advice, snippets }
    }
}

/// Runs every check of an import storage, from its host name to the rights that a sync needs.
#[utoipa::path(
    post, path = "/{kind}/{id}/doctor", operation_id = "import_storages_doctor",
    tag = "import storages", params(("kind" = StorageKind, Path, example = "s3"), ("id" = i64, Path)),
    request_body = Option<Examine>,
    responses((status = 200, body = Examination), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
pub(super) async fn examine(
    State(state): State<ApiState>,
    Extension(direction): Extension<Direction>,
    caller: Caller,
    Path((kind, id)): Path<(String, i64)>,
    OptionalJson(body): OptionalJson<Examine>,
) -> ApiResult<Json<Examination>> {
    let origin = body.origin.as_deref().map(plain_origin).transpose()?;
    let (settings, secrets) = Collection::new(&kind, direction)?.stored(&state, &caller, id).await?;
    // Boxed: the futures of every kind and step are in it.
    let steps = Box::pin(state.stores.examine(&settings, &secrets, direction, origin)).await;
    let steps: Vec<StepBody> = steps.into_iter().map(StepBody::from).collect();
    let ok = steps.iter().all(|step| step.outcome != Word::Failed);
    Ok(Json(Examination { kind: settings.kind(), direction, ok, steps }))
}

/// An origin as browsers send it: scheme, host and port alone.
fn plain_origin(text: &str) -> ApiResult<&str> {
    let origin = text.trim().trim_end_matches('/');
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return Err(ApiError::invalid("origin", "An origin is like https://labels.example.com: no path, no user."));
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
