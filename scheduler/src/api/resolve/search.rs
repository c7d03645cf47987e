//! Searches URIs in the data of tasks. Memory is reserved before data is read, and other threads than those that serve
//! requests search it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use longshore_db::resolve::Holder;
use longshore_uri::visit;

use super::source;
use crate::api::ApiState;
use crate::api::answer::LARGEST_TEXT;
use crate::api::error::{ApiError, ApiResult};
use crate::api::offload::Stop;

/// The most different URIs in one document. Tasks with more are not useful to people.
const MOST_URIS: usize = 10_000;

/// Whether a task's data holds a URI. The search ends at the URI, or when the client hangs up.
pub(super) async fn holds(state: &ApiState, caller: &str, task: &mut Holder, uri: &str) -> ApiResult<bool> {
    let bytes = check_size(task)?;
    // The data as Postgres sent it, and as text.
    let reserved = state.memory.reserve(caller, if task.data.is_some() { 0 } else { 3 * bytes }).await?;
    let data = data_of(state, task).await?;
    let (own_key, uri) = (task.storage_key.clone(), uri.to_owned());
    let search = move |stop: &Stop| {
        let searched = visit(&data, own_key.as_deref(), |found| {
            if found == uri {
                ControlFlow::Break(true)
            } else if stop.is_set() {
                ControlFlow::Break(false)
            } else {
                ControlFlow::Continue(())
            }
        });
        drop(reserved);
        Ok(searched == ControlFlow::Break(true))
    };
    state.offload.run(bytes, search).await
}

/// The size of a task's data in bytes. Refuses data that is too large to be read.
pub(super) fn check_size(task: &Holder) -> ApiResult<usize> {
    match task.data_bytes.unwrap_or_default() {
        bytes if bytes > LARGEST_TEXT => Err(ApiError::task_too_large()),
        bytes => Ok(usize::try_from(bytes).unwrap_or_default()),
    }
}

/// The data of a task. Small data was read with the task; large data is read now.
pub(super) async fn data_of(state: &ApiState, task: &mut Holder) -> ApiResult<String> {
    if let Some(data) = task.data.take() {
        return Ok(data);
    }
    let client = state.db.client().await?;
    source::data(state, &client, task.id).await?.ok_or_else(|| ApiError::not_found(format!("task {}", task.id)))
}

/// The URIs in a document.
pub(super) async fn uris_of(
    state: &ApiState,
    document: &Arc<String>,
    own_key: Option<String>,
) -> ApiResult<BTreeSet<String>> {
    let document = Arc::clone(document);
    let bytes = document.len();
    let search = move |stop: &Stop| {
        let mut uris = BTreeSet::new();
        let counted = visit(&document, own_key.as_deref(), |uri| {
            if !uris.contains(uri) {
                uris.insert(uri.to_owned());
            }
            if uris.len() > MOST_URIS || stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if counted.is_continue() { Ok(uris) } else { Err(too_many_uris()) }
    };
    state.offload.run(bytes, search).await
}

/// The requested URIs, and those of them that a task's data holds. The whole data is searched only if one is missing.
pub(super) async fn held_of(
    state: &ApiState,
    data: &Arc<String>,
    own_key: Option<String>,
    asked: BTreeSet<String>,
) -> ApiResult<(BTreeSet<String>, BTreeSet<String>)> {
    let data = Arc::clone(data);
    let bytes = data.len();
    let search = move |stop: &Stop| {
        let mut held = BTreeSet::new();
        // Stopped early or not, the result is complete.
        let _searched: ControlFlow<()> = visit(&data, own_key.as_deref(), |uri| {
            if asked.contains(uri) && !held.contains(uri) {
                held.insert(uri.to_owned());
            }
            if held.len() == asked.len() || stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        Ok((asked, held))
    };
    state.offload.run(bytes, search).await
}

fn too_many_uris() -> ApiError {
    let detail = format!("The document holds more than {MOST_URIS} different URIs. Send a smaller document.");
    ApiError::unreadable("too_many_uris", detail)
}
