//! Values of annotations and predictions in the forms that Label Studio's serializers accept.
//!
//! A missing member is the default, and so is null where the column may be null; the error is the member's text. A
//! whole number, a time or a boolean may also be a text. The rules are those of Django REST framework, so they follow
//! how Python reads a number or a time.

mod numbers;
mod time;

use std::borrow::Cow;

use longshore_model::python;
use uuid::Uuid;

pub(super) use numbers::{double, key, whole};
pub(super) use time::time;

use super::values::{given, is_blank};

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

/// A value by its type in JSON.
enum Scalar<'a> {
    Truth(bool),
    /// A number in its original spelling.
    Number(&'a str),
    /// The content of a text.
    Text(Cow<'a, str>),
    /// Null, a list or an object.
    Other,
}

impl<'a> Scalar<'a> {
    /// Of checked JSON.
    fn of(json: &'a str) -> Self {
        match json.as_bytes().first() {
            Some(b't') => Self::Truth(true),
            Some(b'f') => Self::Truth(false),
            Some(b'-' | b'0'..=b'9') => Self::Number(json),
            Some(b'"') => text(json).map_or(Self::Other, Self::Text),
            _ => Self::Other,
        }
    }
}

/// The content of a JSON text. `None` if the value is no text.
fn text(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
}

/// True or false, also as a number or as one of the words of forms. A missing member is false; null is refused.
pub(super) fn choice(member: Option<&str>) -> Result<bool, &str> {
    let Some(json) = member else { return Ok(false) };
    let chosen = match Scalar::of(json) {
        Scalar::Truth(truth) => Some(truth),
        Scalar::Number(number) => match number.parse() {
            Ok(1.0) => Some(true),
            Ok(0.0) => Some(false),
            _ => None,
        },
        Scalar::Text(word) => match &*word.to_lowercase() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        Scalar::Other => None,
    };
    chosen.ok_or(json)
}

/// The same for a column that may be null. Then an empty text and the word `null` are null, too.
pub(super) fn choice_or_null(member: Option<&str>) -> Result<Option<bool>, &str> {
    let is_null =
        |json: &str| json == "null" || text(json).is_some_and(|word| word.is_empty() || word.to_lowercase() == "null");
    if member.is_some_and(is_null) { Ok(None) } else { choice(member).map(Some) }
}

/// Whether annotators may skip a task: true if the member is missing. What is empty is null. It is no field of a
/// serializer, so fewer words are true or false.
pub(super) fn skip(member: Option<&str>) -> Result<Option<bool>, &str> {
    let Some(json) = member else { return Ok(Some(true)) };
    match Scalar::of(json) {
        Scalar::Truth(_) | Scalar::Number(_) => choice(member).map(Some),
        Scalar::Text(word) => match &*word {
            "t" | "True" | "1" => Ok(Some(true)),
            "f" | "False" | "0" => Ok(Some(false)),
            "" => Ok(None),
            _ => Err(json),
        },
        Scalar::Other if is_blank(json) => Ok(None),
        Scalar::Other => Err(json),
    }
}

/// A UUID in any of the spellings that Python reads, also as a whole number with 32 digits.
pub(super) fn unique_id(member: Option<&str>) -> Result<Option<Uuid>, &str> {
    const DIGITS: usize = 32;
    let Some(json) = given(member) else { return Ok(None) };
    let text = match Scalar::of(json) {
        Scalar::Text(text) => text,
        Scalar::Number(number) => Cow::Owned(python::text(number)),
        Scalar::Truth(_) | Scalar::Other => return Err(json),
    };
    let text = python::trim(&text).replace("urn:", "").replace("uuid:", "");
    let digits = text.trim_matches(['{', '}']).replace('-', "");
    let is_hex = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = if is_hex { u128::from_str_radix(&digits, 16).ok() } else { None };
    id.map(|id| Some(Uuid::from_u128(id))).ok_or(json)
}

/// The name of an action.
pub(super) fn action(member: Option<&str>) -> Result<Option<&'static str>, &str> {
    let Some(json) = given(member) else { return Ok(None) };
    let text = text(json).ok_or(json)?;
    ACTIONS.iter().find(|action| **action == text).map(|action| Some(*action)).ok_or(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_words_and_numbers_too() {
        for (json, chosen) in [
            (r#""yes""#, true),
            (r#""On""#, true),
            (r#""\u0074rue""#, true),
            ("1", true),
            ("1.0", true),
            ("1e0", true),
            ("true", true),
            ("0", false),
            ("-0.0", false),
            (r#""OFF""#, false),
        ] {
            assert_eq!(choice(Some(json)), Ok(chosen), "{json}");
            assert_eq!(choice_or_null(Some(json)), Ok(Some(chosen)), "{json}");
        }
        assert_eq!((choice(None), choice_or_null(None)), (Ok(false), Ok(Some(false))));
        for json in ["2", "1.5", r#"" true""#, r#""1.0""#, r#""None""#, "[]", "{}"] {
            assert_eq!((choice(Some(json)), choice_or_null(Some(json))), (Err(json), Err(json)));
        }
        for json in ["null", r#""""#, r#""Null""#] {
            assert_eq!((choice(Some(json)), choice_or_null(Some(json))), (Err(json), Ok(None)));
        }
    }

    #[test]
    fn a_task_may_be_skipped_unless_the_member_says_otherwise() {
        for json in ["true", "1", "1.0", r#""t""#, r#""True""#, r#""1""#] {
            assert_eq!(skip(Some(json)), Ok(Some(true)), "{json}");
        }
        for json in ["false", "0", "-0.0", r#""f""#, r#""False""#, r#""\u0030""#] {
            assert_eq!(skip(Some(json)), Ok(Some(false)), "{json}");
        }
        for json in ["null", r#""""#, "[ ]", "{}"] {
            assert_eq!(skip(Some(json)), Ok(None), "{json}");
        }
        for json in ["2", r#""true""#, r#""no""#, r#"" ""#, "[1]", r#"{"a": 1}"#] {
            assert_eq!(skip(Some(json)), Err(json));
        }
        assert_eq!(skip(None), Ok(Some(true)));
    }

    #[test]
    fn a_unique_id_has_32_digits_in_any_spelling() {
        let id = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        for text in [
            "01234567-89ab-4def-8123-456789abcdef",
            "0123456789AB4DEF8123456789ABCDEF",
            " {01234567-89ab-4def-8123-456789abcdef} ",
            "urn:uuid:0123456789ab4def8123456789abcdef",
            "{{0-1-2-3456789ab4def8123456789abcdef",
        ] {
            assert_eq!(unique_id(Some(&format!("\"{text}\""))), Ok(Some(id)), "{text}");
        }
        let digits = "12345678901234567890123456789012";
        assert_eq!(unique_id(Some(digits)), Ok(digits.parse().ok()));
        for json in [r#""id-1""#, r#""""#, "5", "true", "[]", r#""0123456789ab4def8123456789abcdef0""#] {
            assert_eq!(unique_id(Some(json)), Err(json));
        }
    }

    #[test]
    fn an_action_is_one_of_the_names() {
        assert_eq!(
            [r#""submitted""#, r#""\u0069mported""#].map(|json| action(Some(json)).ok().flatten()),
            [Some("submitted"), Some("imported")]
        );
        assert_eq!(action(Some("null")), Ok(None));
        for json in [r#""other""#, r#""""#, r#"" imported""#, r#""Imported""#, "1", "true"] {
            assert_eq!(action(Some(json)), Err(json));
        }
    }
}
