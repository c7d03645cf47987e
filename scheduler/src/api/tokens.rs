//! The token routes: admins with access to all projects create, list and delete tokens.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use longshore_db::tokens::{self, TokenRow};
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

/// The most projects of one token. They are read with every request of the token and written to the audit. A token that
/// needs more can be one for all projects.
const MAX_PROJECTS: usize = 1_000;

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
    check_access(&caller)?;
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
    check_access(&caller)?;
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.contains('\0') {
        return Err(ApiError::invalid("name", format!("The name must have 1 to {MAX_NAME} characters.")));
    }
    if new.projects.as_ref().is_some_and(IdList::is_too_long) {
        return Err(ApiError::invalid("projects", format!("Send at most {MAX_PROJECTS} projects, or null for all.")));
    }
    let secret = rand::random::<[u8; TOKEN_BYTES]>();
    let token = match new.form {
        TokenForm::Plain => secret.iter().map(|byte| format!("{byte:02x}")).collect(),
        TokenForm::Jwt => personal_tokens::jwt_text(&secret),
    };
    let secret = Secret::new(token.as_str());
    let projects = new.projects.as_ref().map(IdList::as_slice);
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = tokens::insert(&tx, name, &secret, new.role.as_str(), projects).await?;
    let detail = serde_json::json!({"token": row.id, "name": row.name, "role": row.role, "projects": row.projects});
    audit::write(&tx, &audit::Entry { detail, ..caller.did("token.create") }).await?;
    tx.commit().await.map_err(Error::from)?;
    Ok((StatusCode::CREATED, Json(CreatedToken { row: row.into(), token })))
}

/// Deletes a token. It stops working immediately; other schedulers may accept it for one more second.
#[utoipa::path(
    delete, path = "/api/tokens/{id}", operation_id = "tokens_delete", tag = "tokens", params(("id" = i64, Path)),
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<StatusCode> {
    check_access(&caller)?;
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

/// Refuses callers that are limited to some projects: they could create a token that is not limited.
fn check_access(caller: &Caller) -> ApiResult<()> {
    if caller.scope().is_some() {
        return Err(ApiError::forbidden(
            "A token that is limited to some projects cannot manage tokens. Use a token for all projects.",
        ));
    }
    Ok(())
}
