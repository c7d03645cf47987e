//! Times and durations on the command line.

use jiff::{SignedDuration, Timestamp};

/// Seconds of a duration such as `90d`.
pub(crate) fn lifetime(text: &str) -> Result<u64, String> {
    let units = [("d", 24 * 3_600), ("h", 3_600), ("m", 60), ("s", 1)];
    let read = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    read.ok_or_else(|| "write a whole number and d, h, m or s, such as 90d".to_owned())
}

/// A time: `2026-03-01T00:00:00Z`, a day (its start in UTC), or how long ago, such as `2h`.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    at(text, Timestamp::now())
}

fn at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let ago = || {
        let seconds = i64::try_from(lifetime(text).ok()?).ok()?;
        now.checked_sub(SignedDuration::from_secs(seconds)).ok()
    };
    let read = text.parse().ok().or_else(|| format!("{text}T00:00:00Z").parse().ok()).or_else(ago);
    read.ok_or_else(|| {
        "write a time such as 2026-03-01T00:00:00Z, a day such as 2026-03-01, or 2h for two hours ago".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_with_a_unit() {
        assert_eq!(
            ["90d", "12h", "30m", "5s"].map(|text| lifetime(text).ok()),
            [7_776_000, 43_200, 1_800, 5].map(Some)
        );
        for wrong in ["", "90", "d", "1.5d", "-1d", "1w", "99999999999999999999d"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_a_timestamp_a_day_or_how_long_ago() {
        let now: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
            ("2026-03-01T10:00:00+02:00", "2026-03-01T08:00:00Z"),
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("2h", "2026-03-01T23:00:00Z"),
            ("1d", "2026-03-01T01:00:00Z"),
        ] {
            assert_eq!(at(text, now).map(|at| at.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "99999999999999d", "7"] {
            assert!(at(wrong, now).is_err(), "{wrong}");
        }
    }
}
