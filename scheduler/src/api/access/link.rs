//! Links: a URL with its own proof, for browsers that load an image and cannot send a token.
//!
//! A link gives one object of one task until it expires, and whoever has it may use it. It is made only
//! for a URI that the task holds, by and for a caller who may see the task.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::RequestExt;
use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_model::uri::encode_fileuri;

use super::query::LinkQuery;
use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::{Path, UrlQuery};

/// The routes that take a link in place of a token.
const LINKED: &[&str] = &["/tasks/{id}/resolve", "/tasks/{id}/presign"];

/// A link to an object of a task. It names the project, so that those who open it are counted without a query.
pub(super) fn make(state: &ApiState, project: i64, task: i64, uri: &str) -> ApiResult<String> {
    let expires = expiry(now(), state.resolve.link_lifetime);
    let signature = URL_SAFE_NO_PAD.encode(state.sealer.sign(&signed(project, task, uri, expires))?);
    let (start, uri) = (&state.resolve.public_url, encode_fileuri(uri));
    Ok(format!("{start}/tasks/{task}/resolve/?fileuri={uri}&project={project}&expires={expires}&signature={signature}"))
}

/// A link that was made here, for the very object that is asked for, and is still good. Found among the extensions
/// of its request.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct CheckedLink {
    /// The project of its task.
    pub(in crate::api) project: i64,
}

impl CheckedLink {
    /// The link that a request brings, or `None` if it brings none. Asks nothing of the database.
    ///
    /// # Errors
    /// It is not good.
    pub(in crate::api) async fn of(
        state: &ApiState,
        route: &MatchedPath,
        request: &mut Request,
    ) -> ApiResult<Option<Self>> {
        let is_signed = request.uri().query().is_some_and(|query| query.contains("signature="));
        if !is_signed || !LINKED.contains(&route.as_str()) {
            return Ok(None);
        }
        let Path(task) = request.extract_parts::<Path<i64>>().await?;
        let UrlQuery(query) = request.extract_parts::<UrlQuery<LinkQuery>>().await?;
        let uri = super::read(query.fileuri.as_deref())?;
        let (project, expires) = (query.project.unwrap_or_default(), query.expires.unwrap_or_default());
        let signature = URL_SAFE_NO_PAD.decode(query.signature.unwrap_or_default()).unwrap_or_default();
        if !state.sealer.has_signed(&signed(project, task, &uri, expires), &signature) {
            return Err(refused("invalid_link", "This link is not one that Longshore has made."));
        }
        if expires <= now() {
            return Err(refused("expired_link", "This link has expired: ask for the task again."));
        }
        Ok(Some(Self { project }))
    }
}

fn refused(code: &'static str, detail: &str) -> ApiError {
    ApiError::Route { status: StatusCode::FORBIDDEN, code, detail: detail.to_owned() }
}

/// What a link's signature is for. The URI comes last: it may hold anything.
fn signed(project: i64, task: i64, uri: &str, expires: i64) -> String {
    format!("link\n{project}\n{task}\n{expires}\n{uri}")
}

/// The second next full lifetime: links made soon after each other are the same, so that a browser has
/// the image already.
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
    fn a_link_is_good_for_one_to_two_lifetimes_and_stays_the_same_for_one() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(expiry(7_200, hour), 14_400);
        assert_eq!(expiry(10_799, hour), 14_400);
        assert_eq!(expiry(10_800, hour), 18_000);
        assert_eq!(expiry(5, Duration::ZERO), 7);
    }

    #[test]
    fn nothing_signed_reads_as_something_else() {
        assert_ne!(signed(7, 1, "s3://b/k", 23), signed(7, 12, "s3://b/k", 3));
        assert_ne!(signed(7, 1, "s3://b/k", 2), signed(71, 1, "s3://b/k", 2));
        assert_ne!(signed(7, 1, "s3://b/k", 2), signed(7, 1, "2\ns3://b/k", 2));
    }
}
