//! The route that resolves all URIs of a document in one request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, stream};
use longshore_db::resolve::{Candidate, Holder};
use longshore_model::FailureReason;
use longshore_storage::{ErrorKind, ObjectBody, Op, StorageError};
use longshore_uri::ObjectUri;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::links::ReplacementBudget;
use super::search::{check_size, data_of, held_of, uris_of};
use super::{choose, content, decode, source};
use crate::api::ApiState;
use crate::api::access::{Caller, LinkTarget, Policy, Role, Routes, make_link};
use crate::api::answer::Answer;
use crate::api::error::{ApiError, ApiResult, ErrorBody};
use crate::api::extract::Json;
use crate::api::offload::Stop;

/// The most bytes of an object that is inlined in a document. Base64 makes it a third larger.
const LARGEST_INLINED: u64 = 1024 * 1024;

/// The most bytes of all objects that are inlined in one document.
const MOST_INLINED_BYTES: usize = 16 * 1024 * 1024;

/// The most bytes that replace URIs in one answer, because a document may name one object a million times. It is enough
/// for all inlined objects once, in base64.
const MOST_REPLACED_BYTES: usize = 32 * 1024 * 1024;

/// The most objects of a document that may be inlined.
const MOST_INLINED: usize = 100;

/// Concurrent reads of objects for one request.
const READS: usize = 8;

/// Time limit for reading one object. A small one takes well under a second, and a page waits for all of them.
const READ_TIME: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Routes {
    Routes::default()
        // Role `read`, because it changes nothing. It is a POST because documents are too long for a query.
        .route(Policy::from(Role::Read).with_large_body(), routes!(resolve_document))
}

/// What replaces URIs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// A presigned URL where the storage's `presign` is on, otherwise a link to `/tasks/{id}/resolve`.
    #[default]
    Presign,
    /// A `data:` URL with the content of the object as a browser shows it, without its `Content-Encoding`, for up to 100 objects of at most 1 MiB each and 16 MiB together.
    /// For other objects, the same as `presign`.
    Base64,
}

/// A document of a task, and what replaces its URIs.
#[derive(Debug, Deserialize, ToSchema)]
struct ResolveRequest {
    /// The task that holds the URIs. Other URIs in the document do not change.
    task: i64,
    /// Any JSON, such as the task with its annotations; the task's own data by default.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    document: Option<Box<RawValue>>,
    #[serde(default)]
    mode: Mode,
}

/// The document with its URIs replaced. The rest of it is unchanged.
#[derive(Debug, Serialize, ToSchema)]
struct ResolvedDocument {
    task: i64,
    #[schema(value_type = Object)]
    document: Box<RawValue>,
    /// Distinct URIs that were replaced.
    resolved: usize,
    /// How many of them were replaced by `data:` URLs.
    inlined: usize,
    /// The URIs that were not replaced.
    left: Vec<UnresolvedUri>,
}

/// A URI that was not replaced.
#[derive(Debug, Serialize, ToSchema)]
struct UnresolvedUri {
    uri: String,
    /// Why: `uri_not_held`, `no_storage`, or the code of the storage's error.
    code: &'static str,
}

/// The text that replaces a URI, or the code of the reason why there is none.
type Replacement = Result<(String, ReplacementForm), &'static str>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplacementForm {
    Url,
    Inlined { bytes: usize },
}

/// Resolves all URIs in a document, at any depth and also in HTML.
///
/// A URI is resolved only if the task holds it and an import storage of the task's project has its bucket.
#[utoipa::path(
    post, path = "/api/resolve", operation_id = "resolve_document", tag = "resolve", request_body = ResolveRequest,
    responses((status = 200, body = ResolvedDocument), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn resolve_document(
    State(state): State<ApiState>,
    caller: Caller,
    Json(request): Json<ResolveRequest>,
) -> ApiResult<Answer> {
    let client = state.db.client().await?;
    let found = source::task(&state, &client, request.task, None, true).await?;
    drop(client);
    let named = format!("task {}", request.task);
    let (mut task, storages) = caller.visible(found, |(task, _)| task.project_id, named)?;
    let data_bytes = check_size(&task)?;
    let own_key = task.storage_key.clone();
    let sent = request.document.map(|document| Arc::new(String::from(Box::<str>::from(document))));
    let document_bytes = sent.as_ref().map_or(data_bytes, |sent| sent.len());
    // Before memory is reserved, so that a document with too many URIs is refused first.
    let asked = match &sent {
        Some(sent) => Some(uris_of(&state, sent, own_key.clone()).await?),
        None => None,
    };
    let replaced = if request.mode == Mode::Base64 { usize::MAX } else { document_bytes.saturating_mul(8) };
    // The data as Postgres sent it and as text; the document as sent, rewritten, and in the answer.
    let needed = 3 * data_bytes + 3 * document_bytes + 2 * replaced.min(MOST_REPLACED_BYTES);
    let reserved = state.memory.reserve(&caller.name, needed).await?;
    let data = Arc::new(data_of(&state, &mut task).await?);
    let (asked, held) = match asked {
        Some(asked) => held_of(&state, &data, own_key.clone(), asked).await?,
        None => {
            let asked = uris_of(&state, &data, own_key.clone()).await?;
            (asked.clone(), asked)
        }
    };

    let inlining = if request.mode == Mode::Base64 { MOST_INLINED } else { 0 };
    let resolver = UriResolver { state: &state, task: &task, storages: &storages, token: caller.id };
    let mut spent = 0;
    let mut replacements = BTreeMap::new();
    let each = asked.into_iter().enumerate().map(|(index, uri)| {
        let (resolver, is_held) = (&resolver, held.contains(&uri));
        async move {
            let result = if is_held { resolver.resolve(&uri, index < inlining).await } else { Err("uri_not_held") };
            (uri, result)
        }
    });
    let mut each = stream::iter(each).buffered(READS);
    while let Some((uri, mut result)) = each.next().await {
        if let Ok((_, ReplacementForm::Inlined { bytes })) = result {
            spent += bytes;
            if spent > MOST_INLINED_BYTES {
                result = resolver.resolve(&uri, false).await;
            }
        }
        replacements.insert(uri, result);
    }
    drop(each);
    let document = sent.unwrap_or(data);
    let write = move |stop: &Stop| {
        let resolved = answer(task.id, &document, own_key.as_deref(), &replacements, stop)?;
        drop(document);
        let expected = resolved.document.get().len() + 256 * replacements.len();
        Answer::write(&resolved, expected, reserved)
    };
    state.offload.run(document_bytes, write).await
}

fn answer(
    task: i64,
    document: &str,
    own_key: Option<&str>,
    replacements: &BTreeMap<String, Replacement>,
    stop: &Stop,
) -> ApiResult<ResolvedDocument> {
    let mut budget = ReplacementBudget::new(MOST_REPLACED_BYTES);
    let text = |uri: &str| {
        if budget.is_spent() || stop.is_set() {
            return None;
        }
        let (text, _) = replacements.get(uri)?.as_ref().ok()?;
        budget.take(text).then(|| text.clone())
    };
    let document = longshore_uri::rewrite(document, own_key, text).into_owned();
    if budget.is_spent() {
        let detail = format!(
            "The texts that replace the URIs have more than {MOST_REPLACED_BYTES} bytes. Send a smaller document."
        );
        return Err(ApiError::unreadable("too_many_uris", detail));
    }
    let forms = replacements.values().filter_map(|result| result.as_ref().ok().map(|(_, form)| form));
    let left = replacements
        .iter()
        .filter_map(|(uri, result)| Some(UnresolvedUri { uri: uri.clone(), code: result.as_ref().err()? }));
    Ok(ResolvedDocument {
        task,
        document: RawValue::from_string(document).map_err(ApiError::internal)?,
        resolved: forms.clone().count(),
        inlined: forms.filter(|form| **form != ReplacementForm::Url).count(),
        left: left.collect(),
    })
}

/// Resolves the URIs of one task.
struct UriResolver<'a> {
    state: &'a ApiState,
    task: &'a Holder,
    storages: &'a [Candidate],
    /// The ID of the token that links are made for.
    token: i64,
}

impl UriResolver<'_> {
    async fn resolve(&self, uri: &str, inline: bool) -> Replacement {
        let Some(parsed) = ObjectUri::parse(uri) else { return Err("no_storage") };
        let key = self.state.resolve.key(&parsed);
        let chosen = choose::choose(self.storages, &parsed, &key, self.task.storage_id).ok_or("no_storage")?;
        let resolved = async {
            let storage = self.state.open_storages.get(self.state, chosen)?;
            if inline {
                let read = timeout(READ_TIME, storage.get(&key, None, LARGEST_INLINED)).await.unwrap_or_else(|_| {
                    Err(StorageError::new(Op::Get, ErrorKind::Unavailable, FailureReason::Unavailable))
                });
                match read {
                    Ok(object) => {
                        if let Some(inlined) = self.inlined(object, &key).await? {
                            return Ok(inlined);
                        }
                    }
                    Err(error) if error.reason == FailureReason::TooLarge => {}
                    Err(error) => return Err(ApiError::Storage(error)),
                }
            }
            let url = match choose::presigned(storage.as_ref(), &chosen.settings, &key).await? {
                Some(url) => url.expose().to_owned(),
                None => {
                    let (project, task) = (self.task.project_id, self.task.id);
                    make_link(self.state, LinkTarget { project, task, uri, token: self.token })?
                }
            };
            Ok((url, ReplacementForm::Url))
        };
        resolved.await.map_err(|error: ApiError| error.code())
    }

    /// The object as a `data:` URL, with the bytes that a browser would see. `None` if they are too many, or in an
    /// encoding that only browsers decode.
    async fn inlined(&self, object: ObjectBody, key: &str) -> ApiResult<Option<(String, ReplacementForm)>> {
        let content_type = content::of(object.content_type.as_deref(), key);
        let content_type = content_type.to_str().unwrap_or("application/octet-stream");
        let encoding = object.content_encoding.filter(|encoding| decode::is_encoded(Some(encoding)));
        let bytes = match encoding {
            None => object.bytes,
            Some(encoding) => {
                let bytes = object.bytes;
                let most = usize::try_from(LARGEST_INLINED).unwrap_or(usize::MAX);
                let decode = move |_: &Stop| Ok(decode::decode(&bytes, &encoding, LARGEST_INLINED));
                let Ok(decoded) = self.state.offload.run(most, decode).await? else { return Ok(None) };
                decoded
            }
        };
        let url = format!("data:{content_type};base64,{}", STANDARD.encode(&bytes));
        Ok(Some((url, ReplacementForm::Inlined { bytes: bytes.len() })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One object that is named this many times.
    fn answered(times: usize) -> ApiResult<ResolvedDocument> {
        let replacement = Ok(("x".repeat(1024 * 1024), ReplacementForm::Inlined { bytes: 0 }));
        let document = serde_json::to_string(&vec!["s3://b/1"; times]).unwrap();
        answer(1, &document, None, &BTreeMap::from([("s3://b/1".to_owned(), replacement)]), &Stop::default())
    }

    #[test]
    fn an_object_that_a_document_names_repeatedly_counts_each_time() {
        assert_eq!(answered(32).unwrap().document.get().len(), 32 * (1024 * 1024 + 3) + 1);
        assert_eq!(answered(33).unwrap_err().code(), "too_many_uris");
    }
}
