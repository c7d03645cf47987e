//! The audit route: admins with access to all projects read who changed what.

use axum::extract::State;
use jiff::Timestamp;
use longshore_db::Bounded;
use longshore_db::audit::{self, AuditFilter, AuditRow};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::ApiState;
use super::access::{Caller, Role, Routes};
use super::answer::Answer;
use super::client_address::AuditedAddress;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::UrlQuery;
use super::query::{AuditQuery, AuditSource};

/// Entries per page by default.
const DEFAULT_LIMIT: i64 = 100;

/// Larger pages would be slow, and a client gains nothing over several quick ones.
const MAX_LIMIT: i64 = 1_000;

/// Characters of an action. The longest one has 19.
const MAX_ACTION: usize = 64;

pub(super) fn routes() -> Routes {
    Routes::default().route(Role::Admin, routes!(list))
}

/// One page of audit entries, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct AuditList {
    audit: Vec<AuditBody>,
    /// Send it as `before` to get the next page; null on the last page. A page has at most 16 MiB.
    next_before: Option<i64>,
}

/// An audit entry.
#[derive(Debug, Serialize, ToSchema)]
struct AuditBody {
    id: i64,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    at: Timestamp,
    #[schema(value_type = AuditSource)]
    source: String,
    /// The ID of the token that was used; null if there was none.
    token: Option<i64>,
    /// The name of the token; null if there was none.
    token_name: Option<String>,
    /// The role of the database for `sql`, the user of the broker for `amqp`; otherwise null.
    actor: Option<String>,
    /// The address of the caller; of denied requests over IPv6, its network, such as `2001:db8::/64`. Null if unknown.
    address: Option<String>,
    /// What was done.
    action: String,
    project: Option<i64>,
    storage: Option<i64>,
    sync: Option<i64>,
    /// Further details. For `request.denied`: `code`, `reason`, `count`, and `since` when.
    #[schema(value_type = Object)]
    detail: Value,
}

impl From<AuditRow> for AuditBody {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            at: row.at,
            source: row.source,
            token: row.token_id,
            token_name: row.token,
            actor: row.actor,
            address: row.address,
            action: row.action,
            project: row.project_id,
            storage: row.storage_id,
            sync: row.sync_id,
            detail: row.detail,
        }
    }
}

/// Lists audit entries, newest first. Needs an admin token for all projects.
#[utoipa::path(
    get, path = "/api/audit", operation_id = "audit_list", tag = "audit", params(AuditQuery),
    responses((status = 200, body = AuditList), (status = 403, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<AuditQuery>,
) -> ApiResult<Answer> {
    caller.check_all_projects("read the audit")?;
    let is_word = |text: &String| text.len() <= MAX_ACTION && text.bytes().all(|byte| byte.is_ascii_graphic());
    if query.action.as_ref().is_some_and(|action| !is_word(action)) {
        return Err(ApiError::unreadable("invalid_query", "`action` must be a word such as `storage.update`."));
    }
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let filter = AuditFilter {
        action: query.action.as_deref(),
        source: query.source.map(AuditSource::as_str),
        token: query.token,
        addresses: query.address.as_ref().map(AuditedAddress::texts),
        project: query.project,
        storage: query.storage,
        sync: query.sync,
        // Postgres knows no times as early as a caller may send.
        since: query.since.map(|since| since.max(Timestamp::UNIX_EPOCH)),
        until: query.until.map(|until| until.max(Timestamp::UNIX_EPOCH)),
        before: query.before,
    };
    let (state, caller, filter) = (&state, &caller, &filter);
    let read = |most| async move { Ok(audit::list(&state.db.client().await?, filter, limit + 1, most).await?) };
    let show = |mut rows: Bounded<AuditRow>| {
        let has_more = i64::try_from(rows.rows.len()).is_ok_and(|count| count > limit);
        if has_more {
            rows.rows.pop();
        }
        let list = AuditList {
            next_before: rows.rows.last().filter(|_| has_more || rows.is_cut).map(|row| row.id),
            audit: rows.rows.into_iter().map(AuditBody::from).collect(),
        };
        (list, None)
    };
    Answer::list(state, caller, read, show).await
}
