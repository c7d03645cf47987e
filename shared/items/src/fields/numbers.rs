//! Numbers and IDs, also as texts that Python reads as numbers.

use std::borrow::Cow;

use longshore_model::python;

use super::Scalar;
use crate::values::given;

/// The most characters of a text that is read as a number.
const MAX_CHARACTERS: usize = 1_000;

/// A finite number, also as a boolean. Label Studio stores what is not finite, too, and then cannot show the task.
pub(crate) fn double(member: Option<&str>) -> Result<Option<f64>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let number: Option<f64> = match Scalar::of(json) {
        Scalar::Truth(truth) => Some(f64::from(u8::from(truth))),
        Scalar::Number(number) => number.parse().ok(),
        Scalar::Text(text) => short(&text).and_then(digits).and_then(|digits| digits.parse().ok()),
        Scalar::Other => None,
    };
    number.filter(|number| number.is_finite()).map(Some).ok_or(json)
}

/// A whole number in the range of its column, with or without zeros after its point.
pub(crate) fn whole<T: TryFrom<i64>>(member: Option<&str>) -> Result<Option<T>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let number = match Scalar::of(json) {
        // As Python prints it: a large one has an exponent then.
        Scalar::Number(number) => integer(without_zeros(&python::text(number))),
        Scalar::Text(text) => short(&text).map(without_zeros).and_then(integer),
        Scalar::Truth(_) | Scalar::Other => None,
    };
    number.and_then(|number| T::try_from(number).ok()).map(Some).ok_or(json)
}

/// The ID of a row, in the range of its column. Of a number with a fraction, the part before the point counts. An empty
/// text is null.
pub(crate) fn key<T: TryFrom<i64>>(member: Option<&str>) -> Result<Option<T>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let id = match Scalar::of(json) {
        Scalar::Text(text) if text.is_empty() => return Ok(None),
        Scalar::Text(text) => integer(&text),
        Scalar::Number(number) if number.contains(['.', 'e', 'E']) => {
            let number: Option<f64> = number.parse().ok();
            number.and_then(|number| format!("{:.0}", number.trunc()).parse().ok())
        }
        Scalar::Number(number) => integer(number),
        Scalar::Truth(_) | Scalar::Other => None,
    };
    id.and_then(|id| T::try_from(id).ok()).map(Some).ok_or(json)
}

fn short(text: &str) -> Option<&str> {
    (text.chars().nth(MAX_CHARACTERS).is_none()).then_some(text)
}

/// The text without a point that only zeros and blanks follow.
fn without_zeros(text: &str) -> &str {
    python::trim_end(text).trim_end_matches('0').strip_suffix('.').unwrap_or(text)
}

/// A whole number, as Python's `int` reads it.
fn integer(text: &str) -> Option<i64> {
    digits(text)?.parse().ok()
}

/// A number's text without blanks around it, and without underscores, which may be between two digits.
fn digits(text: &str) -> Option<Cow<'_, str>> {
    // Unlike `strip`, `int` and `float` do not take the separators of ASCII for blanks.
    let text = text.trim();
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let is_between = |at: usize| is_digit(at.wrapping_sub(1)) && is_digit(at + 1);
    let is_number = text.match_indices('_').all(|(at, _)| is_between(at));
    is_number.then(|| Cow::Owned(text.replace('_', "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_is_what_python_reads_as_a_finite_number() {
        for (json, number) in [
            ("1.5", 1.5),
            ("true", 1.0),
            ("false", 0.0),
            (r#"" 2.5""#, 2.5),
            (r#""\t1e3\n""#, 1e3),
            (r#""\u00a01.""#, 1.0),
            (r#""+.5""#, 0.5),
            (r#""1_000.5""#, 1000.5),
            ("123456789012345678901234567890", 123_456_789_012_345_678_901_234_567_890.0),
        ] {
            assert_eq!(double(Some(json)), Ok(Some(number)), "{json}");
        }
        assert_eq!((double(None), double(Some("null"))), (Ok(None), Ok(None)));
        for json in [
            r#""nan""#,
            r#""-inf""#,
            r#""1e400""#,
            r#""""#,
            r#""1__0""#,
            r#""_1""#,
            r#""1_""#,
            r#""1_.5""#,
            r#""\u001f1""#,
            "[]",
        ] {
            assert_eq!(double(Some(json)), Err(json));
        }
        assert!(double(Some(&format!("1{}", "0".repeat(400)))).is_err());
        let text = |zeros: usize| format!("\"{}1\"", "0".repeat(zeros));
        assert_eq!((double(Some(&text(999))), double(Some(&text(1_000))).is_err()), (Ok(Some(1.0)), true));
    }

    #[test]
    fn a_whole_number_may_have_zeros_after_its_point() {
        for (json, number) in [
            ("7", 7),
            ("7.0", 7),
            ("70e-1", 7),
            ("-0.0", 0),
            (r#""7""#, 7),
            (r#""7.""#, 7),
            (r#""7.00  ""#, 7),
            (r#"" +0_7 ""#, 7),
            (r#""70""#, 70),
            ("2147483647.0", i32::MAX),
        ] {
            assert_eq!(whole(Some(json)), Ok(Some(number)), "{json}");
        }
        for json in [
            "7.5",
            "2147483648",
            "true",
            r#""""#,
            r#""7e0""#,
            r#""7.5""#,
            r#""7.0.0""#,
            r#"".0""#,
            r#""- 7""#,
            "[7]",
            "1e400",
        ] {
            assert_eq!(whole::<i32>(Some(json)), Err(json));
        }
        assert_eq!(whole(Some("9223372036854775807")), Ok(Some(i64::MAX)));
        assert_eq!(whole(Some("1e15")), Ok(Some(1_000_000_000_000_000_i64)));
        assert!(
            ["1e16", "9223372036854775807.0", "9223372036854775808"]
                .map(|json| whole::<i64>(Some(json)))
                .iter()
                .all(Result::is_err)
        );
    }

    #[test]
    fn an_id_is_cut_off_at_its_point_but_not_as_a_text() {
        for json in ["7", "7.0", "7.9", "70e-1", r#""7""#, r#"" 7 ""#, r#""+0_7""#] {
            assert_eq!(key(Some(json)), Ok(Some(7)), "{json}");
        }
        assert_eq!([None, Some("null"), Some(r#""""#)].map(key::<i64>), [Ok(None); 3]);
        for json in [r#""7.0""#, r#"" ""#, "true", "[]", r#"{"id": 7}"#, "3000000000", "1e30", r#""x""#] {
            assert_eq!(key::<i32>(Some(json)), Err(json));
        }
        assert_eq!((key(Some("-0.5")), key(Some("3000000000"))), (Ok(Some(0)), Ok(Some(3_000_000_000_i64))));
    }
}
