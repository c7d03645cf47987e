//! Times in JSON, as Label Studio writes them: `2026-01-31T12:34:56.789012Z`.
//!
//! The fraction always has six digits or is missing: some readers, such as Python's before 3.11, take no others.

use jiff::Timestamp;
use serde::Serializer;

/// A time as text, exact to the microsecond.
pub fn text(at: Timestamp) -> String {
    // Before 1970 the fraction is negative.
    let digits = if at.subsec_nanosecond().abs() < 1_000 { 0 } else { 6 };
    format!("{at:.digits$}")
}

/// Writes a field.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*at))
}

/// Writes a field that may be null.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_option<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serialize(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_has_six_digits_or_is_missing() {
        for (written, expected) in [
            ("2026-01-31T12:34:56.789012Z", "2026-01-31T12:34:56.789012Z"),
            ("2026-01-31T12:34:56.78Z", "2026-01-31T12:34:56.780000Z"),
            ("2026-01-31T12:34:56Z", "2026-01-31T12:34:56Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z"),
        ] {
            assert_eq!(text(written.parse().unwrap()), expected);
        }
    }
}
