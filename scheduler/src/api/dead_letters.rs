//! The routes of dead letters: messages that the broker or a consumer gave up. Admins with access to all projects read
//! and delete them.
//!
//! Only one request of a deployment at a time has the queue's messages: what one reader holds, another one does not
//! see.

use std::collections::BTreeSet;

use axum::extract::State;
use jiff::Timestamp;
use longshore_broker::{Broker, DeadLetter};
use longshore_db::exclusive::{self, Exclusive};
use longshore_db::{Error, audit};
use longshore_telemetry::error_chain;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, Role, Routes};
use super::answer::Answer;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, UrlQuery};
use super::query::{DeadLetterDeletion, DeadLetterQuery};

/// Letters per page by default.
const DEFAULT_LIMIT: usize = 100;

/// The most letters of a page: an answer stays below 8 MiB.
const MAX_LIMIT: usize = 1_000;

/// Memory of a letter and of its JSON, in bytes: an excerpt of 1 KiB has up to 3 KiB as text and 6 KiB in JSON, but not
/// both.
const LETTER_BYTES: usize = 8 * 1024;

/// The most IDs of one deletion, as many as a page has.
const MAX_IDS: usize = 1_000;

/// Characters of an ID.
const ID_LENGTH: usize = 24;

/// What callers that are limited to some projects cannot do: messages are not of one project.
const MANAGE: &str = "manage dead letters";

/// Access to the queue.
pub(super) struct DeadLetters {
    broker: Broker,
    /// Requests of this process wait here, so that they hold no database connection meanwhile.
    turn: Mutex<()>,
}

impl DeadLetters {
    pub(super) fn new(broker: Broker) -> Self {
        Self { broker, turn: Mutex::default() }
    }
}

pub(super) fn routes() -> Routes {
    Routes::default().route(Role::Admin, routes!(list, delete))
}

/// One page of dead letters, oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct DeadLetterList {
    dead_letters: Vec<DeadLetterBody>,
    /// Dead letters in all.
    count: u32,
    /// Send it as `skip` to get the next page; null on the last page.
    next_skip: Option<usize>,
}

/// A message that the broker or a consumer gave up.
#[derive(Debug, Serialize, ToSchema)]
struct DeadLetterBody {
    /// Names the letter in a deletion. Copies of a message that were given up in the same second have the same ID.
    id: String,
    /// The queue that it was in; null if unknown.
    queue: Option<String>,
    /// Why it was given up: `rejected` if it cannot be read or carried out, `delivery_limit` if its consumers ended
    /// again and again, `expired` or `maxlen`; null if unknown.
    reason: Option<String>,
    /// When it was last given up; null if unknown.
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    dead_at: Option<Timestamp>,
    /// How often it was given up.
    count: u64,
    /// The user of the broker who sent it; null if the message names none.
    user: Option<String>,
    /// Bytes of its body.
    bytes: usize,
    /// The first KiB of its body.
    body: String,
}

impl From<DeadLetter> for DeadLetterBody {
    fn from(letter: DeadLetter) -> Self {
        let dead_at = letter.dead_at.and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
        Self {
            id: letter.id,
            queue: letter.queue,
            reason: letter.reason,
            dead_at,
            count: letter.count,
            user: letter.user,
            bytes: letter.bytes,
            body: letter.body,
        }
    }
}

/// The result of a deletion.
#[derive(Debug, Serialize, ToSchema)]
struct DeletedDeadLetters {
    /// Letters that were deleted.
    deleted: usize,
    /// IDs that no letter has.
    missing: BTreeSet<String>,
}

/// Lists dead letters, oldest first. They stay in the queue. Needs an admin token for all projects.
#[utoipa::path(
    get, path = "/api/dead-letters", operation_id = "dead_letters_list", tag = "dead letters", params(DeadLetterQuery),
    responses((status = 200, body = DeadLetterList), (status = 403, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<DeadLetterQuery>,
) -> ApiResult<Answer> {
    caller.check_all_projects(MANAGE)?;
    let (skip, limit) = (query.skip.unwrap_or(0), query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT));
    let turn = state.dead_letters.turn.lock().await;
    // Within the turn: a request that waits for it holds no memory.
    let reserved = state.memory.reserve(&caller.name, LETTER_BYTES * limit).await?;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    exclusive::begin(&tx, Exclusive::DeadLetters).await?;
    let page = exclusive::hold(&state.db, &tx, state.dead_letters.broker.dead_letters(skip, limit)).await??;
    tx.commit().await.map_err(Error::from)?;
    drop((client, turn));
    let list = DeadLetterList {
        next_skip: page.has_more.then(|| skip.saturating_add(page.letters.len())),
        count: page.count,
        dead_letters: page.letters.into_iter().map(DeadLetterBody::from).collect(),
    };
    state.offload.run(reserved.bytes(), move |_| Answer::write(&list, 0, reserved)).await
}

/// Deletes the dead letters with these IDs, or all. Needs an admin token for all projects.
#[utoipa::path(
    delete, path = "/api/dead-letters", operation_id = "dead_letters_delete", tag = "dead letters",
    params(DeadLetterDeletion),
    responses((status = 200, body = DeletedDeadLetters), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<DeadLetterDeletion>,
) -> ApiResult<Json<DeletedDeadLetters>> {
    caller.check_all_projects(MANAGE)?;
    let ids = query.ids()?;
    let _turn = state.dead_letters.turn.lock().await;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    exclusive::begin(&tx, Exclusive::DeadLetters).await?;
    let broker = &state.dead_letters.broker;
    // The entry commits before the deletion, so that no letter is deleted without one. The transaction with the lock
    // commits last, so the entry needs another database connection; only one request at a time takes two.
    let deleted = match ids {
        None => {
            record(&state, &caller, serde_json::json!({"all": true})).await?;
            let deleted = broker.delete_all_dead_letters().await?;
            DeletedDeadLetters { deleted: usize::try_from(deleted).unwrap_or(usize::MAX), missing: BTreeSet::new() }
        }
        Some(ids) => {
            let found = exclusive::hold(&state.db, &tx, broker.find_dead_letters(&ids)).await??;
            let missing = ids.difference(&found.ids).cloned().collect();
            let deleted = found.count();
            if deleted > 0 {
                record(&state, &caller, serde_json::json!({"count": deleted, "ids": found.ids})).await?;
            }
            found.delete().await?;
            DeletedDeadLetters { deleted, missing }
        }
    };
    state.metrics.dead_letters_deleted.inc_by(deleted.deleted as u64);
    // What is deleted is deleted, even if the database lost the lock meanwhile.
    if let Err(error) = tx.commit().await {
        tracing::debug!(event = "dead_letters_lock_lost", error = error_chain(&error), "the lock had ended");
    }
    Ok(Json(deleted))
}

impl DeadLetterDeletion {
    /// The IDs to delete; `None` means all.
    ///
    /// # Errors
    /// There are neither IDs nor `all`, or both, or an ID is malformed.
    fn ids(&self) -> ApiResult<Option<BTreeSet<String>>> {
        let refused = |detail: &str| Err(ApiError::unreadable("invalid_query", detail));
        let ids = match (self.ids.as_deref(), self.all) {
            (None, true) => return Ok(None),
            (Some(ids), false) => ids,
            _ => return refused("Send `ids`, or `all=true`."),
        };
        let ids: BTreeSet<String> = ids.split(',').take(MAX_IDS + 1).map(|id| id.trim().to_owned()).collect();
        let is_id = |id: &String| id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if ids.len() > MAX_IDS || !ids.iter().all(is_id) {
            return refused("Send up to 1,000 IDs of dead letters, with commas between them.");
        }
        Ok(Some(ids))
    }
}

async fn record(state: &ApiState, caller: &Caller, detail: serde_json::Value) -> ApiResult<()> {
    let entry = audit::Entry { detail, ..caller.did("dead_letters.delete") };
    Ok(audit::write(&state.db.client().await?, &entry).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_names_letters_or_all() {
        let ids = |ids: Option<&str>, all| DeadLetterDeletion { ids: ids.map(str::to_owned), all }.ids();
        let id = "0123456789abcdef01234567";
        assert_eq!(ids(Some(id), false).unwrap(), Some(BTreeSet::from([id.to_owned()])));
        assert_eq!(ids(None, true).unwrap(), None);
        for (text, all) in [(None, false), (Some(id), true), (Some(""), false), (Some("1,2"), false)] {
            assert!(ids(text, all).is_err(), "{text:?} {all}");
        }
    }
}
