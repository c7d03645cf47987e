//! Who credentials belong to, and how long such an answer of Label Studio is used.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;

/// What Label Studio says of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// They belong to the user with this ID.
    User(i64),
    /// They belong to no active user.
    Unknown,
    /// Label Studio knows them, and refuses to name the user.
    Refused,
    /// The user was removed from the organization, so that Label Studio hides the name.
    Removed,
}

/// How long an answer is used. With a longer time, a user who has signed out or was deactivated would keep access for
/// longer; with a much shorter one, scrolling through images would ask Label Studio again and again.
const LIFETIME: Duration = Duration::from_secs(30);

/// How long a refusal is used. With a longer time, a user who was let in again, or a token that was just made, would be
/// refused for longer.
const REFUSED_LIFETIME: Duration = Duration::from_secs(5);

/// How long this answer for these credentials is used.
pub(super) fn lifetime_of(identity: Identity, headers: &HeaderMap, now: Timestamp) -> Duration {
    match identity {
        Identity::User(_) => lifetime(headers, now),
        Identity::Unknown | Identity::Refused => REFUSED_LIFETIME,
        // Such a user may be let in again at any time.
        Identity::Removed => Duration::ZERO,
    }
}

/// How long an answer for these credentials is used: not beyond the end of a token that states it.
pub(super) fn lifetime(headers: &HeaderMap, now: Timestamp) -> Duration {
    let Some(end) = headers.get(header::AUTHORIZATION).and_then(|value| expiry(value.to_str().ok()?)) else {
        return LIFETIME;
    };
    let left = u64::try_from(end.saturating_sub(now.as_second())).unwrap_or_default();
    LIFETIME.min(Duration::from_secs(left))
}

/// The end of a Bearer token (RFC 7519, `exp`) in seconds since 1970. The signature is not checked: Label Studio does
/// that, and the end only shortens the time in the cache.
fn expiry(authorization: &str) -> Option<i64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    // As Label Studio splits it: a tab separates, too.
    let mut words = authorization.split_ascii_whitespace();
    let (scheme, token) = (words.next()?, words.next()?);
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Some(serde_json::from_slice::<Claims>(&claims).ok()?.exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(claims: &str) -> String {
        format!("Bearer e30.{}.signature", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn an_answer_is_used_for_half_a_minute_and_never_beyond_the_end_of_a_token() {
        let now = Timestamp::from_second(1_000).unwrap();
        let lifetime = |value: &str| {
            lifetime(&HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]), now).as_secs()
        };
        assert_eq!(lifetime(&bearer(r#"{"exp": 1010, "user_id": 1}"#)), 10);
        assert_eq!(lifetime(&bearer(r#"{"exp": 1300}"#)), 30);
        assert_eq!(lifetime(&bearer(r#"{"exp": 999}"#)), 0);
        assert_eq!(lifetime(&bearer(r#"{"exp": 1010}"#).replace(' ', "\t")), 10, "as Label Studio splits it");
        assert_eq!(lifetime(&bearer(r#"{"exp": 1010}"#).replace(' ', " \t ")), 10);
        for other in ["Token abc", "Bearer", "Bearer abc", &bearer("{}"), &bearer("no JSON")] {
            assert_eq!(lifetime(other), 30, "{other}");
        }
    }

    #[test]
    fn that_credentials_are_unknown_is_soon_asked_again() {
        let (headers, now) = (HeaderMap::new(), Timestamp::now());
        let lifetimes =
            [(Identity::User(7), 30), (Identity::Unknown, 5), (Identity::Refused, 5), (Identity::Removed, 0)];
        for (identity, seconds) in lifetimes {
            assert_eq!(lifetime_of(identity, &headers, now).as_secs(), seconds, "{identity:?}");
        }
    }
}
