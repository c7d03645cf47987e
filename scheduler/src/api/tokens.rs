//! Tokens: made, listed and removed by admins who see every project.

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

/// Random bytes of a token: 160 bits, and as hex as long as Label Studio's.
const TOKEN_BYTES: usize = 20;

/// As long as a storage's title may be.
const MAX_NAME: usize = 256;

/// Projects of one token. They are read with every request of the token and stand in the audit; more is a token that
/// may as well see all.
const MAX_PROJECTS: usize = 1_000;

pub(super) fn routes() -> Routes {
    Routes::default().route(Role::Admin, routes!(list, create)).route(Role::Admin, routes!(delete))
}

/// A token, without the token.
#[derive(Debug, Serialize, ToSchema)]
struct TokenBody {
    id: i64,
    name: String,
    #[schema(value_type = Role)]
    role: String,
    /// Projects it may touch; null is all.
    projects: Option<Vec<i64>>,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

/// A new token. It is shown this once.
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

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
struct NewToken {
    name: String,
    role: Role,
    /// Projects it may touch; left out or null is all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<i64>>)]
    projects: Option<IdList<MAX_PROJECTS>>,
    #[serde(default)]
    form: Form,
}

/// What a token looks like; it is as good in either form.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// 40 hexadecimal digits.
    #[default]
    Plain,
    /// Like a JWT, which Label Studio's client sends as `Bearer`.
    Jwt,
}

/// Lists tokens by ID. `Link` has the URL of those that do not fit into 16 MiB.
#[utoipa::path(
    get, path = "/api/tokens", operation_id = "tokens_list", tag = "tokens", params(AfterQuery),
    responses((status = 200, body = [TokenBody]), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    UrlQuery(query): UrlQuery<AfterQuery>,
) -> ApiResult<Answer> {
    check(&caller)?;
    let (state, caller) = (&state, &caller);
    let read = |most| async move { Ok(tokens::list(&state.db.client().await?, query.after.unwrap_or(0), most).await?) };
    let show = |rows: Bounded<TokenRow>| {
        let next = rows.rows.last().filter(|_| rows.is_cut).map(|row| format!("/api/tokens?after={}", row.id));
        (rows.rows.into_iter().map(TokenBody::from).collect::<Vec<_>>(), next)
    };
    Answer::list(state, caller, read, show).await
}

/// Makes a token and shows it this once.
#[utoipa::path(
    post, path = "/api/tokens", operation_id = "tokens_create", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = CreatedToken), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> ApiResult<(StatusCode, Json<CreatedToken>)> {
    check(&caller)?;
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.contains('\0') {
        return Err(ApiError::invalid("name", format!("Give it a name of 1 to {MAX_NAME} characters.")));
    }
    if new.projects.as_ref().is_some_and(IdList::is_too_long) {
        return Err(ApiError::invalid("projects", format!("Name at most {MAX_PROJECTS} projects, or none for all.")));
    }
    let secret = rand::random::<[u8; TOKEN_BYTES]>();
    let token = match new.form {
        Form::Plain => secret.iter().map(|byte| format!("{byte:02x}")).collect(),
        Form::Jwt => personal_tokens::in_form(&secret),
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

/// Removes a token, which ends its use at once; another scheduler may let it pass for a second more.
#[utoipa::path(
    delete, path = "/api/tokens/{id}", operation_id = "tokens_delete", tag = "tokens", params(("id" = i64, Path)),
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody))
)]
async fn delete(State(state): State<ApiState>, caller: Caller, Path(id): Path<i64>) -> ApiResult<StatusCode> {
    check(&caller)?;
    let mut client = state.db.client().await?;
    let tx = client.transaction().await.map_err(Error::from)?;
    let row = tokens::delete(&tx, id).await?.ok_or_else(|| ApiError::not_found(format!("token {id}")))?;
    let detail = serde_json::json!({"token": row.id, "name": row.name});
    audit::write(&tx, &audit::Entry { detail, ..caller.did("token.delete") }).await?;
    let committed = tx.commit().await.map_err(Error::from);
    // Also after an error: the commit may have succeeded.
    state.tokens.forget();
    committed?;
    Ok(StatusCode::NO_CONTENT)
}

/// A caller who is limited to projects could otherwise make a token that is not.
fn check(caller: &Caller) -> ApiResult<()> {
    if caller.scope().is_some() {
        return Err(ApiError::forbidden("A token that is limited to projects cannot manage tokens."));
    }
    Ok(())
}
