//! Checks the token or the resolve link of a request.

use axum::Extension;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use longshore_db::host::HostKind;
use longshore_model::Secret;

use super::caller::Caller;
use super::host_credentials::HostCredentials;
use super::host_user::HostUser;
use super::link::VerifiedLink;
use super::policy::Policy;
use crate::api::ApiState;
use crate::api::client_address::ClientAddress;
use crate::api::error::{ApiError, ApiResult, DeniedAccess, TokenName};

/// The verified credentials of a request. Handlers that accept resolve links extract it; others extract a [`Caller`].
#[derive(Debug, Clone)]
pub(in crate::api) enum Access {
    Token(Caller),
    Link(VerifiedLink),
    /// A user of Label Studio. What the user may do is not known yet.
    HostUser(HostUser),
}

impl Access {
    /// Verifies the credentials of a request: its token if there is one, otherwise its link if the route accepts links.
    /// A token, and the token that a link was made for, need at most one database query per second.
    ///
    /// # Errors
    /// The request has neither; the token is unknown or has expired, or its role is not enough; the link is not valid
    /// for this request; the database is unavailable.
    async fn verify(
        state: &ApiState,
        policy: Policy,
        address: ClientAddress,
        request: &mut Request,
    ) -> ApiResult<Self> {
        let token = token_of(request.headers());
        let host = state.host_access.as_ref().filter(|_| policy.takes_host_user);
        // Longshore does not know the token of such a user: each look-up would delay those of others.
        if token.is_some()
            && let Some(host) = host
            && let Ok(Some(credentials)) = HostCredentials::of(request.method(), request.headers())
            && let Some(user) = host.known_user(credentials, address).await
        {
            return Ok(Self::HostUser(user));
        }
        let verified = match &token {
            Some(token) => Some(Caller::verify(state, token, policy.role, address).await),
            None => None,
        };
        // Before the cookie, which a browser sends along with each link.
        if policy.takes_link
            && token.is_none()
            && let Some(link) = VerifiedLink::of(state, request).await?
        {
            return Ok(Self::Link(link));
        }
        if let Some(host) = host
            && verified.as_ref().is_none_or(|verified| verified.as_ref().is_err_and(ApiError::is_unknown_token))
            && let Some(credentials) = HostCredentials::of(request.method(), request.headers())?
        {
            return host.user(credentials, address).await.map(Self::HostUser);
        }
        verified.ok_or_else(ApiError::no_token)?.map(Self::Token)
    }

    /// The token.
    ///
    /// # Errors
    /// The request has none.
    pub(in crate::api) fn caller(&self) -> ApiResult<&Caller> {
        match self {
            Self::Token(caller) => Ok(caller),
            Self::Link(_) | Self::HostUser(_) => Err(ApiError::no_token()),
        }
    }

    fn token_name(&self) -> TokenName {
        match self {
            Self::Token(caller) => caller.token_name(),
            Self::Link(link) => link.token_name(),
            Self::HostUser(user) => TokenName { id: 0, name: user.name.clone() },
        }
    }
}

/// Lets a request pass if its token or link satisfies the policy of its route, before it takes a slot: requests without
/// valid credentials must not take slots from others. Counts requests that are denied, here or by their handler.
pub(in crate::api) async fn authenticate(
    State(state): State<ApiState>,
    Extension(policy): Extension<Policy>,
    Extension(address): Extension<ClientAddress>,
    mut request: Request,
    next: Next,
) -> Response {
    let (answer, token) = match Access::verify(&state, policy, address, &mut request).await {
        Ok(access) => {
            let token = access.token_name();
            // Only now: strangers learn nothing of the host.
            let answer = match policy.host_owned.filter(|_| state.host == HostKind::LabelStudio) {
                Some(owned) => owned.refusal().into_response(),
                None => {
                    request.extensions_mut().insert(access);
                    next.run(request).await
                }
            };
            (answer, Some(token))
        }
        Err(error) => (error.into_response(), None),
    };
    if let Some(denied) = answer.extensions().get::<DeniedAccess>() {
        let denied = DeniedAccess { token: denied.token.clone().or(token), ..denied.clone() };
        state.denials.count(address, &denied);
    }
    answer
}

impl<S: Send + Sync> FromRequestParts<S> for Access {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Missing only if a route is outside the authenticated part of the router.
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::no_token)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Access::from_request_parts(parts, state).await? {
            Access::Token(caller) => Ok(caller),
            // The route accepts links or users, but the handler does not. They must not replace a token.
            Access::Link(_) | Access::HostUser(_) => Err(ApiError::no_token()),
        }
    }
}

/// The token of a request, from `X-Api-Key`, or else from `Authorization: Token` or `Bearer`.
fn token_of(headers: &HeaderMap) -> Option<Secret> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let token = text(HeaderName::from_static("x-api-key")).or_else(|| {
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
        HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn a_token_can_be_sent_in_three_ways() {
        for (name, value) in [("authorization", "Token abc"), ("authorization", "bearer abc"), ("x-api-key", "abc")] {
            assert_eq!(token_of(&headers(name, value)), Some(Secret::new("abc")), "{name}: {value}");
        }
        for (name, value) in [("authorization", "Basic abc"), ("authorization", "abc"), ("authorization", "Token ")] {
            assert_eq!(token_of(&headers(name, value)), None, "{name}: {value}");
        }
    }
}
