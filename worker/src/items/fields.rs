//! Values of annotations and predictions in the forms that Label Studio's serializers accept. A missing member and null
//! are the default, except where a column must not be null; the error is the member's text.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::values::given;

/// The actions that an annotation's history may end with, in Label Studio.
const ACTIONS: [&str; 10] = [
    "prediction",
    "propagated_annotation",
    "imported",
    "submitted",
    "updated",
    "skipped",
    "accepted",
    "rejected",
    "fixed_and_accepted",
    "deleted_review",
];

/// The content of a JSON string without escapes.
fn inside(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"').filter(|inside| !inside.contains('\\'))
}

/// True or false, also as one of the words of forms. A missing member is false; Label Studio refuses null.
pub(super) fn choice(member: Option<&str>) -> Result<bool, &str> {
    let Some(json) = member else { return Ok(false) };
    match inside(json).unwrap_or(json).to_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err(json),
    }
}

/// A finite number, also as a text.
pub(super) fn double(member: Option<&str>) -> Result<Option<f64>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let number = inside(json).unwrap_or(json).trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.map(Some).ok_or(json)
}

/// A whole number in the range of its column, also as a text, and with zeros after its point.
pub(super) fn whole<T: TryFrom<i64>>(member: Option<&str>) -> Result<Option<T>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let digits = inside(json).unwrap_or(json).trim();
    let digits = match digits.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
        _ => digits,
    };
    digits.parse::<i64>().ok().and_then(|number| T::try_from(number).ok()).map(Some).ok_or(json)
}

/// A UUID in any of its spellings.
pub(super) fn unique_id(member: Option<&str>) -> Result<Option<Uuid>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    inside(json).and_then(|text| Uuid::parse_str(text.trim()).ok()).map(Some).ok_or(json)
}

/// The name of an action.
pub(super) fn action(member: Option<&str>) -> Result<Option<&'static str>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let text = inside(json).ok_or(json)?;
    ACTIONS.iter().find(|action| **action == text).map(|action| Some(*action)).ok_or(json)
}

/// A time in ISO 8601. Without an offset it is in UTC.
pub(super) fn time(member: Option<&str>) -> Result<Option<Timestamp>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let text = inside(json).ok_or(json)?.trim();
    let in_utc = || text.parse::<DateTime>().and_then(|time| time.to_zoned(TimeZone::UTC)).map(|time| time.timestamp());
    text.parse::<Timestamp>().or_else(|_| in_utc()).map(Some).map_err(|_| json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_accepted_in_the_forms_of_label_studio() {
        assert_eq!([r#""yes""#, "1", "true", "0"].map(|json| choice(Some(json))), [true, true, true, false].map(Ok));
        assert_eq!(choice(None), Ok(false));
        assert_eq!(["2", "null"].map(|json| choice(Some(json)).is_err()), [true; 2]);
        assert_eq!(double(Some(r#"" 2.5""#)), Ok(Some(2.5)));
        assert_eq!(double(Some(r#""nan""#)), Err(r#""nan""#));
        assert_eq!(whole::<i32>(Some(r#""7""#)), Ok(Some(7)));
        assert_eq!(whole::<i32>(Some("7.0")), Ok(Some(7)));
        assert_eq!(
            [Some("7.5"), Some("2147483648"), Some("true")].map(whole::<i32>).map(|read| read.is_err()),
            [true; 3]
        );
        assert_eq!(whole::<i64>(Some("2147483648")), Ok(Some(2_147_483_648)));
        let id = Some(Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef));
        for text in ["01234567-89ab-4def-8123-456789abcdef", "0123456789AB4DEF8123456789ABCDEF"] {
            assert_eq!(unique_id(Some(&format!("\"{text}\""))), Ok(id), "{text}");
        }
        assert_eq!(unique_id(Some(r#""id-1""#)), Err(r#""id-1""#));
        assert_eq!(action(Some(r#""submitted""#)), Ok(Some("submitted")));
        assert!(action(Some(r#""other""#)).is_err());
    }

    #[test]
    fn a_time_without_an_offset_is_in_utc() {
        let noon = "2024-01-02T12:00:00Z".parse::<Timestamp>().ok();
        for text in ["2024-01-02T12:00:00Z", "2024-01-02 12:00:00", "2024-01-02T12:00", "2024-01-02T14:00:00+02:00"] {
            assert_eq!(time(Some(&format!("\"{text}\""))).ok().flatten(), noon, "{text}");
        }
        assert!(time(Some("5")).is_err() && time(Some(r#""yesterday""#)).is_err());
    }
}
