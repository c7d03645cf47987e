//! Who calls, what their role allows, and which projects they see.

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use longshore_db::audit;
use longshore_db::tokens::{self, TokenDigest};
use longshore_model::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiState;
use super::error::{ApiError, ApiResult};
use super::resolve::CheckedLink;

/// What a token may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Look at everything but tokens.
    Read,
    /// Start, cancel and retry syncs, decide about quarantine, annotate.
    Sync,
    /// Configure projects, storages and tokens.
    Admin,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Sync => "sync",
            Self::Admin => "admin",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Read, Self::Sync, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

/// The routes that need another role than their method says: reading `read`, everything else `admin`.
const EXCEPTIONS: &[(Method, &str, Role)] = &[
    (Method::POST, "/api/storages/{kind}/{id}/sync", Role::Sync),
    (Method::POST, "/api/storages/export/{kind}/{id}/sync", Role::Sync),
    (Method::POST, "/api/syncs/{id}/cancel", Role::Sync),
    (Method::POST, "/api/syncs/{id}/retry", Role::Sync),
    (Method::POST, "/api/quarantine/replay", Role::Sync),
    (Method::POST, "/api/quarantine/discard", Role::Sync),
    (Method::POST, "/api/quarantine/{id}/replay", Role::Sync),
    (Method::POST, "/api/quarantine/{id}/discard", Role::Sync),
    (Method::POST, "/api/tasks/{id}/annotations", Role::Sync),
    (Method::PATCH, "/api/annotations/{id}", Role::Sync),
    (Method::DELETE, "/api/annotations/{id}", Role::Sync),
    (Method::GET, "/api/tokens", Role::Admin),
    // It changes nothing: its document is in the body for its length.
    (Method::POST, "/api/resolve", Role::Read),
];

/// The role that a route needs, by method and template.
fn needed(method: &Method, route: &str) -> Role {
    let exception = EXCEPTIONS.iter().find(|(of, template, _)| of == method && *template == route);
    match (exception, method) {
        (Some((_, _, role)), _) => *role,
        (None, &Method::GET | &Method::HEAD | &Method::OPTIONS) => Role::Read,
        (None, _) => Role::Admin,
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The token's ID.
    pub(crate) id: i64,
    digest: TokenDigest,
    /// The token's name.
    pub(crate) name: String,
    projects: Option<Vec<i64>>,
}

impl Caller {
    /// The projects this caller sees; `None` is all.
    pub(crate) fn scope(&self) -> Option<&[i64]> {
        self.projects.as_deref()
    }

    /// The same caller with what its token may do now; `None` if the token is deleted. For work that lasts.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(super) async fn again(&self, state: &ApiState) -> ApiResult<Option<Self>> {
        let row = state.tokens.find(&state.system, self.digest).await?;
        let same = row.filter(|row| row.id == self.id);
        Ok(same.map(|row| Self { name: row.name, projects: row.projects, ..self.clone() }))
    }

    /// Whether a project is this caller's to see.
    pub(crate) fn sees(&self, project: i64) -> bool {
        self.scope().is_none_or(|projects| projects.contains(&project))
    }

    /// An entry for the audit, in this caller's name.
    pub(crate) fn did(&self, action: &'static str) -> audit::Entry<'_> {
        audit::Entry { token: Some(&self.name), action, ..audit::Entry::default() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Missing only if a route was added outside the authenticated part of the router.
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::Unauthorized(MISSING))
    }
}

/// Who calls; `None` if a link that was checked stands in place of a token.
pub(super) struct MaybeCaller(pub(super) Option<Caller>);

impl<S: Send + Sync> FromRequestParts<S> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>().cloned();
        if caller.is_none() && parts.extensions.get::<CheckedLink>().is_none() {
            // Only if a route was added outside the authenticated part of the router.
            return Err(ApiError::Unauthorized(MISSING));
        }
        Ok(Self(caller))
    }
}

pub(super) const MISSING: &str = "Authentication credentials were not provided.";

/// Lets a request pass whose token has the role that its route needs, or that brings a good link.
pub(crate) async fn authenticate(
    State(state): State<ApiState>,
    route: MatchedPath,
    mut request: Request,
    next: Next,
) -> ApiResult<Response> {
    let Some(token) = token_of(request.headers()) else {
        // Before it takes a place: requests without a valid signature must not keep others out.
        let link = CheckedLink::of(&state, &route, &mut request).await?.ok_or(ApiError::Unauthorized(MISSING))?;
        request.extensions_mut().insert(link);
        return Ok(next.run(request).await);
    };
    let digest = tokens::digest(&token);
    let row = state.tokens.find(&state.system, digest).await?.ok_or(ApiError::Unauthorized("Invalid token."))?;
    let role = Role::of(&row.role).ok_or_else(|| ApiError::internal("a token has an unknown role"))?;
    let needed = needed(request.method(), route.as_str());
    if role < needed {
        return Err(ApiError::forbidden(format!(
            "This needs a token with role {}; \"{}\" has role {}.",
            needed.as_str(),
            row.name,
            role.as_str()
        )));
    }
    request.extensions_mut().insert(Caller { id: row.id, digest, name: row.name, projects: row.projects });
    Ok(next.run(request).await)
}

/// The token of a request: `X-Api-Key`, which goes first, or `Authorization: Token` or `Bearer`.
fn token_of(headers: &HeaderMap) -> Option<Secret> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let token = text(header::HeaderName::from_static("x-api-key")).or_else(|| {
        let (scheme, token) = text(header::AUTHORIZATION)?.split_once(' ')?;
        ["token", "bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(token)
    })?;
    let token = token.trim();
    (!token.is_empty()).then(|| Secret::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn a_token_comes_in_any_of_three_ways() {
        for (name, value) in [("authorization", "Token abc"), ("authorization", "bearer abc"), ("x-api-key", "abc")] {
            assert_eq!(token_of(&headers(name, value)), Some(Secret::new("abc")), "{name}: {value}");
        }
        for (name, value) in [("authorization", "Basic abc"), ("authorization", "abc"), ("authorization", "Token ")] {
            assert_eq!(token_of(&headers(name, value)), None, "{name}: {value}");
        }
    }

    #[test]
    fn reading_needs_read_syncing_needs_sync_and_configuring_needs_admin() {
        assert_eq!(needed(&Method::GET, "/api/storages/{kind}"), Role::Read);
        assert_eq!(needed(&Method::POST, "/api/storages/{kind}/{id}/sync"), Role::Sync);
        assert_eq!(needed(&Method::POST, "/api/storages/{kind}"), Role::Admin);
        assert_eq!(needed(&Method::DELETE, "/api/storages/export/{kind}/{id}"), Role::Admin);
        assert_eq!(needed(&Method::GET, "/api/tokens"), Role::Admin);
        assert!(Role::Read < Role::Sync && Role::Sync < Role::Admin);
    }

    #[test]
    fn every_exception_speaks_of_a_route_that_exists() {
        let document = super::super::openapi::document();
        for (method, template, _) in EXCEPTIONS {
            let item = document.paths.paths.get(*template).unwrap_or_else(|| panic!("no route {template}"));
            let exists = match *method {
                Method::GET => item.get.is_some(),
                Method::POST => item.post.is_some(),
                Method::PATCH => item.patch.is_some(),
                Method::DELETE => item.delete.is_some(),
                _ => false,
            };
            assert!(exists, "{template} does not take {method}");
        }
    }

    #[test]
    fn a_caller_sees_the_projects_of_the_token_alone() {
        let digest = tokens::digest(&Secret::new("t"));
        let caller = |projects| Caller { id: 1, digest, name: "t".to_owned(), projects };
        assert!(caller(None).sees(1));
        assert!(caller(Some(vec![1, 2])).sees(2));
        assert!(!caller(Some(vec![1, 2])).sees(3));
        assert!(!caller(Some(vec![])).sees(1));
    }
}
