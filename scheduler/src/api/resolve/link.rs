//! Links: a URL with its own proof, for browsers that load an image and cannot send a token.
//!
//! A link gives one object of one task until it expires, and whoever has it may use it. It is made only
//! for a URI that the task holds, by and for a caller who may see the task.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use longshore_model::uri::encode_fileuri;

use crate::api::ApiState;
use crate::api::error::{ApiError, ApiResult};

/// A link to an object of a task.
pub(super) fn make(state: &ApiState, task: i64, uri: &str) -> ApiResult<String> {
    let expires = expiry(now(), state.resolve.link_lifetime);
    let signature = URL_SAFE_NO_PAD.encode(state.sealer.sign(&signed(task, uri, expires))?);
    let (start, uri) = (&state.resolve.public_url, encode_fileuri(uri));
    Ok(format!("{start}/tasks/{task}/resolve/?fileuri={uri}&expires={expires}&signature={signature}"))
}

/// Checks that a link was made here, for this very object, and is still good.
pub(super) fn check(
    state: &ApiState,
    task: i64,
    uri: &str,
    expires: Option<i64>,
    signature: Option<&str>,
) -> ApiResult<()> {
    let expires = expires.unwrap_or_default();
    let signature = URL_SAFE_NO_PAD.decode(signature.unwrap_or_default()).unwrap_or_default();
    if !state.sealer.has_signed(&signed(task, uri, expires), &signature) {
        return Err(refused("invalid_link", "This link is not one that Longshore has made."));
    }
    if expires <= now() {
        return Err(refused("expired_link", "This link has expired: ask for the task again."));
    }
    Ok(())
}

fn refused(code: &'static str, detail: &str) -> ApiError {
    ApiError::Route { status: StatusCode::FORBIDDEN, code, detail: detail.to_owned() }
}

/// What a link's signature is for. The URI comes last: it may hold anything.
fn signed(task: i64, uri: &str, expires: i64) -> String {
    format!("link\n{task}\n{expires}\n{uri}")
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
        assert_ne!(signed(1, "s3://b/k", 23), signed(12, "s3://b/k", 3));
        assert_ne!(signed(1, "s3://b/k", 2), signed(1, "2\ns3://b/k", 2));
    }
}
