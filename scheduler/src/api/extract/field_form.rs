//! The form of a field in a body: callers and forms send scalars as texts.

use serde_json::Value;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::api::boolean;

/// The form of a field, by its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldForm {
    Bool,
    Number,
    /// A list or an object.
    Structure,
    /// A text, or what only the type of the field knows.
    Other,
}

impl FieldForm {
    pub(super) fn of(schema: &RefOr<Schema>) -> Self {
        let RefOr::T(schema) = schema else { return Self::Other };
        let kind = match schema {
            Schema::Array(_) => return Self::Structure,
            Schema::Object(object) => &object.schema_type,
            _ => return Self::Other,
        };
        let is = |wanted: Type| match kind {
            SchemaType::Type(own) => *own == wanted,
            SchemaType::Array(all) => all.contains(&wanted),
            SchemaType::AnyValue => false,
        };
        match () {
            () if is(Type::Boolean) => Self::Bool,
            () if is(Type::Integer) || is(Type::Number) => Self::Number,
            () if is(Type::Object) || is(Type::Array) => Self::Structure,
            () => Self::Other,
        }
    }

    pub(super) fn is_scalar(self) -> bool {
        matches!(self, Self::Bool | Self::Number)
    }

    /// The value of a scalar field. A text that means one becomes it.
    ///
    /// # Errors
    /// The message for the caller: it means none.
    pub(super) fn read(self, sent: Value) -> Result<Value, &'static str> {
        match (self, &sent) {
            (Self::Bool, Value::Null | Value::Bool(_)) | (Self::Number, Value::Null | Value::Number(_)) => Ok(sent),
            (Self::Bool, Value::String(_) | Value::Number(_)) => {
                let word = sent.as_str().map_or_else(|| sent.to_string(), str::to_owned);
                boolean::of_word(&word).map(Value::Bool).ok_or("Must be a valid boolean.")
            }
            (Self::Bool, _) => Err("Must be a valid boolean."),
            (Self::Number, Value::String(text)) => {
                let number = serde_json::from_str::<serde_json::Number>(text.trim());
                number.map(Value::Number).map_err(|_| "A valid number is required.")
            }
            (Self::Number, _) => Err("A valid number is required."),
            (Self::Structure | Self::Other, _) => Ok(sent),
        }
    }

    /// The JSON text of a field of a form, which sends all values as texts. `None` if an empty text is no value.
    pub(super) fn of_form(self, text: &str) -> Option<String> {
        let quoted = || Value::from(text).to_string();
        match self {
            Self::Bool | Self::Number | Self::Structure if text.trim().is_empty() => None,
            Self::Structure if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => Some(text.to_owned()),
            Self::Bool | Self::Number | Self::Structure | Self::Other => Some(quoted()),
        }
    }
}
