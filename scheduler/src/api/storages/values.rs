//! Reads the value of a field in a request, by the type of the field.
//!
//! Messages are the same as Label Studio's where it has one.

use longshore_model::kinds::{self, Field, MAX_TEXT_BYTES, Secrecy, plain_path};
use serde_json::Value;

use crate::api::boolean;
use crate::api::error::{ApiError, ApiResult};

pub(super) const REQUIRED: &str = "This field is required.";
const NOT_NULL: &str = "This field may not be null.";
const NOT_A_BOOLEAN: &str = "Must be a valid boolean.";

/// Turns the sent value into the value to store. Forms send all values as text, so text is parsed by the type of the
/// field.
///
/// # Errors
/// The message for the caller.
pub(super) fn read(field: &Field, sent: &Value) -> Result<Value, String> {
    match field.value {
        kinds::Value::Text => text(sent).map(nullable),
        kinds::Value::ShortText(max_chars) => match text(sent)? {
            Some(text) if text.chars().count() > max_chars => {
                Err(format!("Ensure this field has no more than {max_chars} characters."))
            }
            text => Ok(nullable(text)),
        },
        kinds::Value::Word => word(field, sent),
        kinds::Value::Path => match word(field, sent)? {
            Value::String(path) => Ok(plain_path(&path).into()),
            other => Ok(other),
        },
        // Spaces may be part of a password.
        kinds::Value::Secret(Secrecy::Password) => Ok(nullable(text(sent)?.filter(|text| !text.is_empty()))),
        kinds::Value::Secret(Secrecy::Plain | Secrecy::Bound | Secrecy::KeyFile) => word(field, sent),
        kinds::Value::Bool { .. } => boolean(sent),
        kinds::Value::BoolOrNull if sent.is_null() => Ok(Value::Null),
        kinds::Value::BoolOrNull => boolean(sent),
        kinds::Value::Integer { min, max } => integer(sent, min, max).map(Value::from),
    }
}

/// A whole number that is an option of the request and is not stored; `None` if it is not sent.
///
/// # Errors
/// The value is not a number within the limits of the field.
pub(super) fn read_integer(field: &Field, sent: Option<&Value>) -> ApiResult<Option<i64>> {
    let read = sent.map(|sent| read(field, sent)).transpose();
    let value = read.map_err(|message| ApiError::invalid(field.name, message))?;
    Ok(value.and_then(|value| value.as_i64()))
}

fn nullable(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::String)
}

/// A text, unchanged.
fn text(sent: &Value) -> Result<Option<String>, String> {
    match sent {
        Value::Null => Ok(None),
        Value::String(text) if text.contains('\0') => Err("Null characters are not allowed.".to_owned()),
        Value::String(text) if text.len() > MAX_TEXT_BYTES => {
            Err(format!("Ensure this field has no more than {MAX_TEXT_BYTES} bytes."))
        }
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err("Not a valid string.".to_owned()),
    }
}

/// A text without spaces at its ends, which often come from pasting. An empty text becomes null.
fn word(field: &Field, sent: &Value) -> Result<Value, String> {
    let word = text(sent)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if word.is_none() && field.is_required { Err(REQUIRED.to_owned()) } else { Ok(nullable(word)) }
}

/// A boolean, or a text that forms send for one.
fn boolean(sent: &Value) -> Result<Value, String> {
    let read = match sent {
        Value::Bool(value) => Some(*value),
        Value::Null => return Err(NOT_NULL.to_owned()),
        Value::String(text) => boolean::of_word(text),
        Value::Number(number) => boolean::of_word(&number.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    };
    read.map(Value::Bool).ok_or_else(|| NOT_A_BOOLEAN.to_owned())
}

/// A whole number within limits.
fn integer(sent: &Value, min: i64, max: i64) -> Result<i64, String> {
    let number = match sent {
        Value::Null => return Err(NOT_NULL.to_owned()),
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match number {
        None => Err("A valid integer is required.".to_owned()),
        Some(number) if number < min => Err(format!("Ensure this value is greater than or equal to {min}.")),
        Some(number) if number > max => Err(format!("Ensure this value is less than or equal to {max}.")),
        Some(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TTL: Field = Field::integer("ttl", 0, 32_767, "Minutes");
    const SWITCH: Field = Field::off("switch", "A switch");
    const WORD: Field = Field::word("word", "A word");

    #[test]
    fn a_text_keeps_its_spaces_and_a_word_loses_those_at_its_ends() {
        assert_eq!(read(&Field::text("prefix", "P"), &json!(" a ")), Ok(json!(" a ")));
        assert_eq!(read(&WORD, &json!(" us-east-1 ")), Ok(json!("us-east-1")));
        for empty in [json!(""), json!(" "), json!(null)] {
            assert_eq!(read(&WORD, &empty), Ok(Value::Null));
            assert_eq!(read(&WORD.required(), &empty), Err(REQUIRED.to_owned()));
            assert_eq!(read(&Field::secret("key", Secrecy::Plain, "K"), &empty), Ok(Value::Null));
        }
        assert_eq!(read(&Field::secret("password", Secrecy::Password, "P"), &json!(" ")), Ok(json!(" ")));
        assert_eq!(read(&Field::path("path", "P"), &json!(" /a/../b ")), Ok(json!("/b")));
    }

    #[test]
    fn a_form_may_send_words_for_booleans_and_digits_for_numbers() {
        for (sent, value) in [(json!("on"), true), (json!("False"), false), (json!(1), true)] {
            assert_eq!(read(&SWITCH, &sent), Ok(json!(value)));
        }
        assert_eq!(read(&TTL, &json!("15")), Ok(json!(15)));
        assert_eq!(read(&WORD, &json!(6379)), Ok(json!("6379")));
        assert_eq!(read(&Field::nullable_bool("n", "N"), &json!(null)), Ok(Value::Null));
    }

    #[test]
    fn a_wrong_value_is_refused_with_label_studios_message() {
        let title = Field::short_text("title", 256, "T");
        for (field, sent, message) in [
            (&SWITCH, json!("maybe"), "Must be a valid boolean."),
            (&SWITCH, json!(null), "This field may not be null."),
            (&TTL, json!(32_768), "Ensure this value is less than or equal to 32767."),
            (&TTL, json!(-1), "Ensure this value is greater than or equal to 0."),
            (&TTL, json!(1.5), "A valid integer is required."),
            (&TTL, json!(null), "This field may not be null."),
            (&title, json!("x".repeat(257)), "Ensure this field has no more than 256 characters."),
            (&WORD, json!(["b"]), "Not a valid string."),
            (&WORD, json!("a\u{0}b"), "Null characters are not allowed."),
            (&WORD, json!("x".repeat(65_537)), "Ensure this field has no more than 65536 bytes."),
        ] {
            assert_eq!(read(field, &sent), Err(message.to_owned()), "{}", field.name);
        }
    }
}
