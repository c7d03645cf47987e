//! Reads fields out of a request, and collects everything that is wrong with them before refusing.
//!
//! A field that was not sent is told apart from one sent as null: a PATCH leaves the first alone.
//! Messages are Label Studio's where it has one.

use std::ops::RangeInclusive;

use longshore_model::Secret;
use serde_json::{Map, Value};

use crate::api::error::{ApiError, ApiResult, FieldErrors};

pub(crate) const REQUIRED: &str = "This field is required.";
/// Stored settings that are not those of the kind they are stored as; not the caller's fault.
pub(crate) const OTHER_KIND: &str = "The stored settings are those of another kind of storage.";
/// Bytes of any text field. Keys of service accounts take 3 kB and descriptions a page; all storages of a project are
/// listed together, so a megabyte in each would fill the list with one of them.
const MAX_TEXT: usize = 64 * 1024;

const NOT_NULL: &str = "This field may not be null.";

/// The fields of one request. Not printable: some are secrets.
pub(crate) struct Fields {
    sent: Map<String, Value>,
    errors: FieldErrors,
}

/// A field that may be null: `None` if it was not sent.
pub(crate) type Nullable<T> = Option<Option<T>>;

impl Fields {
    pub(crate) fn new(sent: Map<String, Value>) -> Self {
        Self { sent, errors: FieldErrors::new() }
    }

    /// Notes that a field is wrong.
    pub(crate) fn refuse(&mut self, field: &'static str, message: impl Into<String>) {
        self.errors.entry(field).or_default().push(message.into());
    }

    /// Whether a field was sent, null included.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.sent.contains_key(field)
    }

    /// A text exactly as it was sent.
    pub(crate) fn text(&mut self, field: &'static str) -> Nullable<String> {
        match self.sent.get(field)? {
            Value::Null => Some(None),
            Value::String(text) if text.contains('\0') => {
                self.refuse(field, "Null characters are not allowed.");
                None
            }
            Value::String(text) if text.len() > MAX_TEXT => {
                self.refuse(field, format!("Ensure this field has no more than {MAX_TEXT} bytes."));
                None
            }
            Value::String(text) => Some(Some(text.clone())),
            Value::Number(number) => Some(Some(number.to_string())),
            _ => {
                self.refuse(field, "Not a valid string.");
                None
            }
        }
    }

    /// A text of at most so many characters.
    pub(crate) fn short_text(&mut self, field: &'static str, most: usize) -> Nullable<String> {
        let text = self.text(field)?;
        if text.as_ref().is_some_and(|text| text.chars().count() > most) {
            self.refuse(field, format!("Ensure this field has no more than {most} characters."));
            return None;
        }
        Some(text)
    }

    /// A text without the spaces that come along when it is pasted; empty is null.
    pub(crate) fn word(&mut self, field: &'static str) -> Nullable<String> {
        Some(self.text(field)?.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// Takes over a word that cannot be empty; a `whole` request must bring it.
    pub(crate) fn required(&mut self, field: &'static str, stored: &mut String, whole: bool) {
        match self.word(field) {
            Some(Some(word)) => *stored = word,
            Some(None) => self.refuse(field, REQUIRED),
            None if whole && !self.has(field) => self.refuse(field, REQUIRED),
            None => {}
        }
    }

    /// A secret; empty and null both clear it.
    pub(crate) fn secret(&mut self, field: &'static str) -> Nullable<Secret> {
        Some(self.word(field)?.map(Secret::new))
    }

    /// A boolean, or a word that forms send for one.
    pub(crate) fn boolean(&mut self, field: &'static str) -> Option<bool> {
        let value = self.sent.get(field)?;
        let (message, read) = match value {
            Value::Bool(value) => return Some(*value),
            Value::Null => (NOT_NULL, None),
            Value::String(text) => ("Must be a valid boolean.", boolean_word(text)),
            Value::Number(number) => ("Must be a valid boolean.", boolean_word(&number.to_string())),
            _ => ("Must be a valid boolean.", None),
        };
        if read.is_none() {
            self.refuse(field, message);
        }
        read
    }

    /// A boolean that may be null.
    pub(crate) fn boolean_or_null(&mut self, field: &'static str) -> Nullable<bool> {
        if self.sent.get(field) == Some(&Value::Null) { Some(None) } else { self.boolean(field).map(Some) }
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&mut self, field: &'static str, bounds: RangeInclusive<i64>) -> Option<i64> {
        let number = match self.sent.get(field)? {
            Value::Null => {
                self.refuse(field, NOT_NULL);
                return None;
            }
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            None => self.refuse(field, "A valid integer is required."),
            Some(number) if number < *bounds.start() => {
                self.refuse(field, format!("Ensure this value is greater than or equal to {}.", bounds.start()));
            }
            Some(number) if number > *bounds.end() => {
                self.refuse(field, format!("Ensure this value is less than or equal to {}.", bounds.end()));
            }
            Some(number) => return Some(number),
        }
        None
    }

    /// Everything that was wrong, at once.
    pub(crate) fn finish(self) -> ApiResult<()> {
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.errors)) }
    }
}

fn boolean_word(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(sent: Value) -> Fields {
        let Value::Object(sent) = sent else { panic!("an object") };
        Fields::new(sent)
    }

    fn errors(fields: Fields) -> FieldErrors {
        match fields.finish() {
            Err(ApiError::Invalid(errors)) => errors,
            other => panic!("refused fields, not {other:?}"),
        }
    }

    #[test]
    fn what_was_not_sent_differs_from_null() {
        let mut fields = fields(json!({"title": null, "prefix": " a ", "region_name": " us-east-1 ", "key": ""}));
        assert_eq!(fields.text("description"), None);
        assert_eq!(fields.text("title"), Some(None));
        assert_eq!(fields.text("prefix"), Some(Some(" a ".to_owned())));
        assert_eq!(fields.word("region_name"), Some(Some("us-east-1".to_owned())));
        assert_eq!(fields.secret("key"), Some(None));
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn a_form_may_send_words_for_booleans_and_digits_for_numbers() {
        let mut fields = fields(json!({"a": "on", "b": "False", "c": 1, "ttl": "15", "n": null}));
        assert_eq!(
            (fields.boolean("a"), fields.boolean("b"), fields.boolean("c")),
            (Some(true), Some(false), Some(true))
        );
        assert_eq!(fields.integer("ttl", 0..=32_767), Some(15));
        assert_eq!(fields.boolean_or_null("n"), Some(None));
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn every_wrong_field_is_named_at_once_in_label_studios_words() {
        let mut fields = fields(json!({
            "presign": "maybe", "presign_ttl": 32_768, "limit": 1.5, "title": "x".repeat(257), "use_blob_urls": null,
            "bucket": ["b"], "prefix": "a\u{0}b"
        }));
        fields.boolean("presign");
        fields.boolean("use_blob_urls");
        fields.integer("presign_ttl", 0..=32_767);
        fields.integer("limit", 1..=1_000);
        fields.short_text("title", 256);
        fields.text("bucket");
        fields.text("prefix");
        let errors = errors(fields);
        assert_eq!(errors["presign"], ["Must be a valid boolean."]);
        assert_eq!(errors["use_blob_urls"], ["This field may not be null."]);
        assert_eq!(errors["presign_ttl"], ["Ensure this value is less than or equal to 32767."]);
        assert_eq!(errors["limit"], ["A valid integer is required."]);
        assert_eq!(errors["title"], ["Ensure this field has no more than 256 characters."]);
        assert_eq!(errors["bucket"], ["Not a valid string."]);
        assert_eq!(errors["prefix"], ["Null characters are not allowed."]);
    }
}
