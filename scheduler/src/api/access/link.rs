//! Resolve links: signed URLs for browsers that load an object and cannot send a token.
//!
//! Anyone who has a link can load one object of one task until the link expires. Longshore makes links only for URIs
//! that the task holds, and only for callers that can access the task.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::RequestExt;
use axum::extract::Request;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_uri::{decode_fileuri, encode_fileuri};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::{Path, UrlQuery};

/// Selects an object, with or without a resolve link.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct LinkQuery {
    /// The URI in base64, standard or URL-safe; unencoded works too.
    pub(in crate::api) fileuri: Option<String>,
    /// Only in links: the project of the task.
    project: Option<i64>,
    /// Only in links: when the link expires, in seconds since 1970.
    expires: Option<i64>,
    /// Only in links: the signature.
    signature: Option<String>,
}

/// Makes a link to an object of a task. The link names the project, so that requests with links can be counted by
/// project without a database query.
///
/// # Errors
/// The signature cannot be computed.
pub(in crate::api) fn make_link(state: &ApiState, project: i64, task: i64, uri: &str) -> ApiResult<String> {
    let expires = expiry(now(), state.resolve.link_lifetime);
    let signature = URL_SAFE_NO_PAD.encode(state.sealer.sign(&signed_text(project, task, uri, expires))?);
    let (start, uri) = (&state.resolve.public_url, encode_fileuri(uri));
    Ok(format!("{start}/tasks/{task}/resolve/?fileuri={uri}&project={project}&expires={expires}&signature={signature}"))
}

/// A valid link: Longshore made it for the task and the URI of its request, and it has not expired.
///
/// Only [`VerifiedLink::of`] makes one, so a handler that uses its fields can serve only what was signed.
#[derive(Debug, Clone)]
pub(in crate::api) struct VerifiedLink {
    project: i64,
    task: i64,
    uri: String,
}

impl VerifiedLink {
    /// The link of a request to `/tasks/{id}/…`, or `None` if the request has no signature. Makes no database query.
    ///
    /// # Errors
    /// Longshore did not make this link, or it has expired.
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
        if !state.sealer.has_signed(&signed_text(project, task, &uri, expires), &signature) {
            return Err(invalid_link());
        }
        if expires <= now() {
            return Err(refused("expired_link", "This link has expired. Load the task again to get a new one."));
        }
        Ok(Some(Self { project, task, uri }))
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
    refused("invalid_link", "Longshore did not make this link. Load the task again to get a valid one.")
}

fn refused(code: &'static str, detail: &str) -> ApiError {
    ApiError::Route { status: StatusCode::FORBIDDEN, code, detail: detail.to_owned() }
}

/// What a link's signature covers. The URI comes last, because it may hold line breaks.
fn signed_text(project: i64, task: i64, uri: &str, expires: i64) -> String {
    format!("link\n{project}\n{task}\n{expires}\n{uri}")
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
        assert_ne!(signed_text(7, 1, "s3://b/k", 23), signed_text(7, 12, "s3://b/k", 3));
        assert_ne!(signed_text(7, 1, "s3://b/k", 2), signed_text(71, 1, "s3://b/k", 2));
        assert_ne!(signed_text(7, 1, "s3://b/k", 2), signed_text(7, 1, "2\ns3://b/k", 2));
    }
}
