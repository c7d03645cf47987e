//! The token routes: admins with access to all projects create, list and delete tokens.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use longshore_db::tokens::{self, BOOTSTRAP, TokenRow};
use longshore_db::{Bounded, Error, audit};
use longshore_model::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::access::{Caller, Role, Routes};
use super::answer::Answer;
use super::error::{ApiError, ApiResult, ErrorBody};
use super::extract::{Json, Path, UrlQuery};
use super::id_list::IdList;
use super::query::AfterQuery;
use super::{ApiState, personal_tokens};

/// Random bytes of a token: 160 bits. As hex it is as long as Label Studio's tokens.
const TOKEN_BYTES: usize = 20;

/// Characters; the same limit as for the title of a storage.
const MAX_NAME: usize = 256;

/// The longest lifetime of a token, in seconds: a hundred years. A token without an end has none.
const MAX_LIFETIME: u64 = 100 * 365 * 24 * 3_600;

/// The most projects of one token. They are read with every request of the token and written to the audit. A token that
/// needs more can be one for all projects.
const MAX_PROJECTS: usize = 1_000;

/// What callers that are limited to some projects cannot do: they could create a token that is not limited.
const MANAGE: &str = "manage tokens";

pub(super) fn routes() -> Routes {
    Routes::default().route(Role::Admin, routes!(list, create)).route(Role::Admin, routes!(delete))
}

/// A token, without its secret text.
#[derive(Debug, Serialize, ToSchema)]
struct TokenBody {
    id: i64,
    name: String,
    #[schema(value_type = Role)]
    role: String,
    /// IDs of the projects that it can access; null means all.
    projects: Option<Vec<i64>>,
    #[serde(serialize_with = "longshore_model::time::serialize")]
    created_at: Timestamp,
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    last_used_at: Option<Timestamp>,
    /// When it stops working; null is never.
    #[serde(serialize_with = "longshore_model::time::serialize_option")]
    expires_at: Option<Timestamp>,
}

/// A new token. Its text is shown only in this answer.
#[derive(Serialize, ToSchema)]
struct CreatedToken {
    #[serde(flatten)]
    row: TokenBody,
    token: String,
}

impl From<TokenRow> for TokenBody {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            projects: row.projects,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
        }
    }
}

/// A token to create.
#[derive(Debug, Deserialize, ToSchema)]
struct NewToken {
    name: String,
    role: Role,
    /// IDs of the projects that it can access. Left out or null means all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<i64>>)]
    projects: Option<IdList<MAX_PROJECTS>>,
    #[serde(default)]
    form: TokenForm,
    /// When it stops working. Left out or null means never, unless `lifetime_seconds` is sent.
    #[serde(default)]
    expires_at: Option<Timestamp>,
    /// How long it works from now on, instead of `expires_at`.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_153_600_000_i64)]
    lifetime_seconds: Option<u64>,
}

/// When a new token stops working.
enum Expiry {
    Never,
    At(Timestamp),
    After(Duration),
}

impl NewToken {
    /// Checks the fields. Returns the name without spaces at its ends, and when the token stops working.
    ///
    /// # Errors
    /// A field is invalid.
    fn checked(&self) -> ApiResult<(&str, Expiry)> {
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.contains('\0') {
            return Err(ApiError::invalid("name", format!("The name must have 1 to {MAX_NAME} characters.")));
        }
        if name == BOOTSTRAP {
            let message = "This is the name of the token in LONGSHORE_TOKEN. Choose another one.";
            return Err(ApiError::invalid("name", message));
        }
        if self.projects.as_ref().is_some_and(IdList::is_too_long) {
            let message = format!("Send at most {MAX_PROJECTS} projects, or null for all.");
            return Err(ApiError::invalid("projects", message));
        }
        let expiry = match (self.expires_at, self.lifetime_seconds) {
            (None, None) => Expiry::Never,
            // Postgres knows no times as early as a caller may send.
            (Some(at), None) => Expiry::At(at.max(Timestamp::UNIX_EPOCH)),
            (None, Some(seconds)) if (1..=MAX_LIFETIME).contains(&seconds) => {
                Expiry::After(Duration::from_secs(seconds))
            }
            (None, Some(_)) => {
                let message = format!("Send 1 to {MAX_LIFETIME} seconds.");
                return Err(ApiError::invalid("lifetime_seconds", message));
            }
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid("expires_at", "Send `expires_at` or `lifetime_seconds`, not both."));
            }
        };
        Ok((name, expiry))
    }
}

/// The format of a token's text. It makes no difference to Longshore.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TokenForm {
    /// 40 hexadecimal digits.
    #[default]
    Plain,
    /// The format of a JWT, which Label Studio's client sends as `Bearer`.
    Jwt,
}

/// Lists tokens by ID, at most 16 MiB. Header `Link` has the URL of the next ones.
#[utoipa::path(
    get, path = "/api/tokens", operation_id = "tokens_list", tag = "tokens", params(AfterQuery),
    responses((status = 200, body = [TokenBody]), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<AfterQuery>,
) -> ApiResult<Answer> {
    caller.check_all_projects(MANAGE)?;
    let (state, caller) = (&state, &caller);
    let read = |most| async move { Ok(tokens::list(&state.db.client().await?, query.after.unwrap_or(0), most).await?) };
    let show = |rows: Bounded<TokenRow>| {
        let next = rows.rows.last().filter(|_| rows.is_cut).map(|row| format!("/api/tokens?after={}", row.id));
        (rows.rows.into_iter().map(TokenBody::from).collect::<Vec<_>>(), next)
    };
    Answer::list(state, caller, read, show).await
}

/// Creates a token. Its text is shown only in this answer.
#[utoipa::path(
    post, path = "/api/tokens", operation_id = "tokens_create", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = CreatedToken), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    caller.check_all_projects(MANAGE)?;
    let (name, expiry) = new.checked()?;
    let projects = new.projects.as_ref().map(IdList::as_slice);
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let expires_at = match expiry {
        Expiry::Never => None,
        Expiry::At(at) => Some(at),
        Expiry::After(lifetime) => Some(tokens::expiry_after(&tx, lifetime).await?),
    };
    let secret = rand::random::<[u8; TOKEN_BYTES]>();
    let token = match new.form {
        TokenForm::Plain => secret.iter().map(|byte| format!("{byte:02x}")).collect(),
        TokenForm::Jwt => personal_tokens::jwt_text(&secret, expires_at),
    };
    let secret = Secret::new(token.as_str());
    let row = tokens::insert(&tx, name, &secret, new.role.as_str(), projects, expires_at).await?;
    if row.is_expired() {
        // The transaction ends without a commit.
        return Err(ApiError::invalid("expires_at", "This time is past. Send a later one."));
    }
    let detail = serde_json::json!({
        "token": row.id, "name": row.name, "role": row.role, "projects": row.projects,
        "expires_at": row.expires_at.map(longshore_model::time::text),
    });
    audit::write(&tx, &audit::Entry { detail, ..caller.did("token.create") }).await?;
    tx.commit().await.map_err(Error::from)?;
    Ok((StatusCode::CREATED, Json(CreatedToken { row: row.into(), token })))
}

/// Deletes a token. It never works again; other schedulers may accept it for one more second. Resolve links that were
/// made for it end with it.
#[utoipa::path(
    delete, path = "/api/tokens/{id}", operation_id = "tokens_delete", tag = "tokens", params(("id" = i64, Path)),
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<StatusCode> {
    caller.check_all_projects(MANAGE)?;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = tokens::delete(&tx, id).await?.ok_or_else(|| ApiError::not_found(format!("token {id}")))?;
    let detail = serde_json::json!({"token": row.id, "name": row.name});
    audit::write(&tx, &audit::Entry { detail, ..caller.did("token.delete") }).await?;
    let committed = tx.commit().await.map_err(Error::from);
    // Also after an error, because the commit may have succeeded.
    state.tokens.forget();
    committed?;
    Ok(StatusCode::NO_CONTENT)
}
