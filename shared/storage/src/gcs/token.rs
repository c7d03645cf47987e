//! Bearer tokens as they are handed out.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

use crate::wire::Fresh;

/// The longest that the service grants unless an administrator allows more. A longer life is not believed, or what is
/// kept of an account would never end.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Larger ones are no tokens: those of the service have some hundred bytes or a few thousand.
const LARGEST: usize = 8 * 1024;

/// The value of an `Authorization` header for a token that lives this many seconds, of which at most an hour counts.
/// `None` for a text that is too long, or that no header can hold.
pub(super) fn bearer(token: &str, seconds: u64) -> Option<Fresh<HeaderValue>> {
    if token.len() > LARGEST {
        return None;
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(Fresh { value: header, end: Some(SystemTime::now() + Duration::from_secs(seconds).min(LONGEST)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_said_to_live_for_ever_ends_after_an_hour() {
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
