//! Which numbers the database and Label Studio can hold.

/// Limits of Postgres's `numeric`: digits before the decimal point, and after it.
const MAX_WHOLE_DIGITS: i64 = 131_072;
const MAX_FRACTION_DIGITS: i64 = 16_383;

/// The most digits of a whole number that Python reads: `sys.int_info.default_max_str_digits`.
const MAX_PYTHON_DIGITS: i64 = 4_300;

/// Which numbers may be in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// All that the database can hold.
    OfDatabase,
    /// Those that Label Studio reads, too: one row with another number would make its lists of tasks fail.
    OfPython,
}

/// Whether the database can hold a number with this many digits before and after its point, and this exponent. Leading
/// zeros count as digits here, so a few numbers near the limit are refused too.
pub(super) fn is_for_database(whole: i64, fraction: i64, exponent: i64) -> bool {
    let too_big = exponent.saturating_add(whole) > MAX_WHOLE_DIGITS;
    let too_fine = fraction.saturating_sub(exponent) > MAX_FRACTION_DIGITS;
    !(too_big || too_fine)
}

/// Whether Python reads a JSON number with this many digits before its point as a finite one.
pub(super) fn is_for_python(number: &[u8], is_double: bool, whole: i64) -> bool {
    if !is_double {
        return whole <= MAX_PYTHON_DIGITS;
    }
    let number = str::from_utf8(number).ok().and_then(|number| number.parse::<f64>().ok());
    number.is_some_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_python_cannot_read_are_found() {
        let doubles = [("1e308", true), ("1.5", true), ("-1e308", true), ("1e309", false), ("1e5000", false)];
        for (number, is_read) in doubles {
            assert_eq!(is_for_python(number.as_bytes(), true, 1), is_read, "{number}");
        }
        assert!(is_for_python(b"", false, 4_300) && !is_for_python(b"", false, 4_301));
    }
}
