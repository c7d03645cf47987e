//! Bearer tokens from a token server.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

use crate::wire::ExpiringValue;

/// The longest lifetime that Google grants unless an administrator allows more. A longer one counts as an hour, or an
/// unused account would never be dropped from memory.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Bytes. Google's tokens have some hundred bytes to a few thousand; a larger text is not a token.
const LARGEST: usize = 8 * 1024;

/// The value of an `Authorization` header, for a token that is valid for `seconds`, of which at most an hour counts.
/// `None` if the token is too long or cannot be in a header.
pub(super) fn bearer(token: &str, seconds: u64) -> Option<ExpiringValue<HeaderValue>> {
    if token.len() > LARGEST {
        return None;
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(ExpiringValue { value: header, end: Some(SystemTime::now() + Duration::from_secs(seconds).min(LONGEST)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_an_unlimited_lifetime_ends_after_an_hour() {
        let left = |seconds| {
            let end = bearer("a", seconds).unwrap().end.unwrap();
            end.duration_since(SystemTime::now()).unwrap().as_secs_f64().round()
        };
        assert_eq!([left(60), left(u64::MAX)], [60.0, 3_600.0]);
    }

    #[test]
    fn a_token_of_more_than_8_kib_is_refused() {
        assert!(bearer(&"a".repeat(LARGEST), 1).is_some());
        assert!(bearer(&"a".repeat(LARGEST + 1), 1).is_none());
    }

    #[test]
    fn a_token_is_one_line_and_is_not_shown() {
        assert!(bearer("line\nbreak", 1).is_none());
        let token = bearer("a", 1).unwrap().value;
        assert_eq!(token, "Bearer a");
        assert!(format!("{token:?}").contains("Sensitive"));
    }
}
