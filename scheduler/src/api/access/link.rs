//! Resolve links: signed URLs for browsers that load an object and cannot send a token.
//!
//! Anyone who has a link can load one object of one task until the link expires, or until the token that it was made for
//! is deleted, expires or loses the project. Longshore makes links only for URIs that the task holds, and only for
//! callers that can access the task.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::RequestExt;
use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_uri::{decode_fileuri, encode_fileuri};
use serde::Deserialize;
use utoipa::IntoParams;

use super::known_tokens::TokenKey;
use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult, Denial, TokenName};
use crate::api::extract::{Path, UrlQuery};

/// Selects an object, with or without a resolve link.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct LinkQuery {
    /// The URI in base64, standard or URL-safe; unencoded works too.
    pub(in crate::api) fileuri: Option<String>,
    /// Only in links: the project of the task.
    project: Option<i64>,
    /// Only in links: the token that the link was made for.
    token: Option<i64>,
    /// Only in links: when the link expires, in seconds since 1970.
    expires: Option<i64>,
    /// Only in links: the signature.
    signature: Option<String>,
}

/// What a link opens, and for whom.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct LinkTarget<'a> {
    /// The project of the task. It is in the link, so that requests with links can be counted by project without a
    /// database query.
    pub(in crate::api) project: i64,
    pub(in crate::api) task: i64,
    pub(in crate::api) uri: &'a str,
    /// The ID of the token that the link is made for.
    pub(in crate::api) token: i64,
}

/// Makes a link to an object of a task.
///
/// # Errors
/// The signature cannot be computed.
pub(in crate::api) fn make_link(state: &ApiState, target: LinkTarget<'_>) -> ApiResult<String> {
    let expires = expiry(now(), state.resolve.link_lifetime);
    let signature = URL_SAFE_NO_PAD.encode(state.sealer.sign(&signed_text(target, expires))?);
    let LinkTarget { project, task, uri, token } = target;
    let (start, uri) = (&state.resolve.public_url, encode_fileuri(uri));
    Ok(format!(
        "{start}/tasks/{task}/resolve/?fileuri={uri}&project={project}&token={token}&expires={expires}&signature={signature}"
    ))
}

/// A valid link: Longshore made it for the task and the URI of its request, it has not expired, and its token can still
/// access the project.
///
/// Only [`VerifiedLink::of`] makes one, so a handler that uses its fields can serve only what was signed.
#[derive(Debug, Clone)]
pub(in crate::api) struct VerifiedLink {
    project: i64,
    task: i64,
    uri: String,
    token: TokenName,
}

impl VerifiedLink {
    /// The link of a request to `/tasks/{id}/…`, or `None` if the request has no signature. The token is usually cached,
    /// so that many links need one database query per second.
    ///
    /// # Errors
    /// Longshore did not make this link, or it has expired; its token was deleted, has expired or lost the project; the
    /// database is unavailable.
    pub(super) async fn of(state: &ApiState, request: &mut Request) -> ApiResult<Option<Self>> {
        if !request.uri().query().is_some_and(|query| query.contains("signature=")) {
            return Ok(None);
        }
        let task = request.extract_parts::<Path<i64>>().await;
        let query = request.extract_parts::<UrlQuery<LinkQuery>>().await;
        // Longshore makes no links that it cannot read.
        let (Ok(Path(task)), Ok(UrlQuery(query))) = (task, query) else { return Err(invalid_link()) };
        let uri = query.fileuri.as_deref().and_then(decode_fileuri).ok_or_else(invalid_link)?;
        let (project, expires) = (query.project.unwrap_or_default(), query.expires.unwrap_or_default());
        let signature = URL_SAFE_NO_PAD.decode(query.signature.unwrap_or_default()).unwrap_or_default();
        let target = LinkTarget { project, task, uri: &uri, token: query.token.unwrap_or_default() };
        if !state.sealer.has_signed(&signed_text(target, expires), &signature) {
            return Err(invalid_link());
        }
        // Only now, so that guessed links need no look-up.
        let row = state.tokens.find(&state.system, TokenKey::Id(target.token)).await?;
        let name = row.as_ref().map(|row| TokenName { id: row.id, name: row.name.clone() });
        if expires <= now() {
            let detail = "This link has expired. Load the task again to get a new one.";
            return Err(of(name, ApiError::denied(Denial::ExpiredLink, detail)));
        }
        let sees = |projects: &Vec<i64>| projects.contains(&project);
        let valid = row.filter(|row| !row.is_expired() && row.projects.as_ref().is_none_or(sees));
        match (valid, name) {
            (Some(_), Some(token)) => Ok(Some(Self { project, task, uri, token })),
            (_, name) => Err(of(name, ended_link())),
        }
    }

    /// The token that the link was made for.
    pub(super) fn token_name(&self) -> TokenName {
        self.token.clone()
    }

    /// The project of the task.
    pub(in crate::api) fn project(&self) -> i64 {
        self.project
    }

    /// The task whose data holds the URI.
    pub(in crate::api) fn task(&self) -> i64 {
        self.task
    }

    /// The URI of the object.
    pub(in crate::api) fn uri(&self) -> &str {
        &self.uri
    }
}

fn invalid_link() -> ApiError {
    let detail = "Longshore did not make this link. Load the task again to get a valid one.";
    ApiError::denied(Denial::InvalidLink, detail)
}

fn ended_link() -> ApiError {
    let detail = "The token that this link was made for was deleted, has expired or can no longer access the project. \
                  Load the task again to get a new link.";
    ApiError::denied(Denial::EndedLink, detail)
}

fn of(name: Option<TokenName>, error: ApiError) -> ApiError {
    match name {
        Some(name) => error.of(name),
        None => error,
    }
}

/// What a link's signature covers. The URI comes last, because it may hold line breaks. The first word differs from the
/// one of links without a token, which earlier versions made.
fn signed_text(target: LinkTarget<'_>, expires: i64) -> String {
    let LinkTarget { project, task, uri, token } = target;
    format!("token link\n{project}\n{task}\n{token}\n{expires}\n{uri}")
}

/// When a link made `now` expires. Rounded up to a multiple of the lifetime, so that repeated requests give the same
/// URL and browsers can cache its object.
fn expiry(now: i64, lifetime: Duration) -> i64 {
    let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX).max(1);
    (now / lifetime + 2).saturating_mul(lifetime)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_valid_for_one_to_two_lifetimes_and_stays_the_same_for_one() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(expiry(7_200, hour), 14_400);
        assert_eq!(expiry(10_799, hour), 14_400);
        assert_eq!(expiry(10_800, hour), 18_000);
        assert_eq!(expiry(5, Duration::ZERO), 7);
    }

    #[test]
    fn no_two_links_have_the_same_signed_text() {
        let text = |project, task, token, uri, expires| signed_text(LinkTarget { project, task, uri, token }, expires);
        assert_ne!(text(7, 1, 4, "s3://b/k", 23), text(7, 12, 4, "s3://b/k", 3));
        assert_ne!(text(7, 1, 4, "s3://b/k", 2), text(71, 1, 4, "s3://b/k", 2));
        assert_ne!(text(7, 1, 4, "s3://b/k", 2), text(7, 1, 4, "2\ns3://b/k", 2));
        assert_ne!(text(7, 1, 42, "s3://b/k", 3), text(7, 1, 4, "s3://b/k", 23));
    }
}
