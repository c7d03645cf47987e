//! A field of a storage, with all data for requests, responses, the command line and the user page.

use crate::{Direction, FailureReason};

/// Maximum bytes of a text field. A service account's key takes 3 kB, and a description up to a page. All storages of a
/// project are listed together, so much larger texts would make that list too large.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// One field of a storage. The functions below build it, such as `Field::word("bucket", "Name").required()`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// The name in JSON, in requests, responses and the `settings` column. The names are Label Studio's.
    pub name: &'static str,
    /// The type of its value.
    pub value: Value,
    /// Whether each storage of the kind must have it.
    pub is_required: bool,
    /// The direction that uses it.
    pub scope: Scope,
    /// The meaning: one line of Markdown that begins with a capital letter and ends without a period.
    pub about: &'static str,
    /// An example of a JSON value, for the document of the API. `None` if it has none.
    pub example: Option<&'static str>,
    /// The flag of the command line. `None` if it has none.
    pub flag: Option<Flag>,
    /// The connection failures that are blamed on this field.
    pub blamed_for: &'static [FailureReason],
}

/// The type of a field's value, and how a request's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A text exactly as it is sent.
    Text,
    /// The same, with at most this many characters.
    ShortText(usize),
    /// A text without white space around it, which users often paste; an empty text is null.
    Word,
    /// The path of a folder: backslashes, repeated slashes, `.` and `..` are resolved.
    Path,
    /// A text that is accepted and never shown.
    Secret(Secrecy),
    Bool {
        default: bool,
    },
    /// A boolean that may be null. The default is null.
    BoolOrNull,
    /// A whole number between two bounds, both inclusive.
    Integer {
        min: i64,
        max: i64,
    },
}

/// How a secret is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    Plain,
    /// A server that receives it could use it elsewhere, so it must be entered again when the address changes. Callers
    /// who may change a storage do not know its secrets, and must not be able to send them to their own server.
    Bound,
    /// The same, and spaces are part of it.
    Password,
    /// The text of a key file, which the command line reads.
    KeyFile,
}

/// The direction of the storages that use a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Both,
    /// Only storages of this direction use it. Storages of the other direction accept, store and show it, as in Label
    /// Studio.
    UsedBy(Direction),
    /// Storages of the other direction ignore it and do not show it.
    Only(Direction),
}

/// A flag of `longshore storage create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// The name without dashes. The flag of a boolean sets the opposite of the default.
    pub name: &'static str,
    /// The name of its value in the help. `None` means the name of the flag.
    pub value_name: Option<&'static str>,
    /// The environment variable that is used without the flag.
    pub env: Option<&'static str>,
}

impl Field {
    const fn new(name: &'static str, value: Value, about: &'static str) -> Self {
        Self { name, value, is_required: false, scope: Scope::Both, about, example: None, flag: None, blamed_for: &[] }
    }

    /// A text exactly as it is sent.
    pub const fn text(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Value::Text, about)
    }

    /// A text of at most this many characters.
    pub const fn short_text(name: &'static str, max_chars: usize, about: &'static str) -> Self {
        Self::new(name, Value::ShortText(max_chars), about)
    }

    /// A text without spaces around it.
    pub const fn word(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Value::Word, about)
    }

    /// The path of a folder.
    pub const fn path(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Value::Path, about)
    }

    /// A text that is never shown.
    pub const fn secret(name: &'static str, secrecy: Secrecy, about: &'static str) -> Self {
        Self::new(name, Value::Secret(secrecy), about)
    }

    /// A switch that is off by default.
    pub const fn off(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Value::Bool { default: false }, about)
    }

    /// A switch that is on by default.
    pub const fn on(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Value::Bool { default: true }, about)
    }

    /// A switch that may be null.
    pub const fn nullable_bool(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Value::BoolOrNull, about)
    }

    /// A whole number from `min` to `max`.
    pub const fn integer(name: &'static str, min: i64, max: i64, about: &'static str) -> Self {
        Self::new(name, Value::Integer { min, max }, about)
    }

    /// The same field, required.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// The same field with an example.
    #[must_use]
    pub const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    /// The same field with this scope.
    #[must_use]
    pub const fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// The same field with a flag.
    #[must_use]
    pub const fn flag(self, name: &'static str) -> Self {
        Self { flag: Some(Flag { name, value_name: None, env: None }), ..self }
    }

    /// The same field with a flag whose value is named `value_name` in the help.
    #[must_use]
    pub const fn flag_value(self, name: &'static str, value_name: &'static str) -> Self {
        Self { flag: Some(Flag { name, value_name: Some(value_name), env: None }), ..self }
    }

    /// The same field with a flag and an environment variable that is used without it.
    #[must_use]
    pub const fn flag_or_env(self, name: &'static str, env: &'static str) -> Self {
        Self { flag: Some(Flag { name, value_name: None, env: Some(env) }), ..self }
    }

    /// The same field, blamed for these connection failures.
    #[must_use]
    pub const fn blamed_for(self, reasons: &'static [FailureReason]) -> Self {
        Self { blamed_for: reasons, ..self }
    }

    /// How the secret is treated; `None` if the field is not secret.
    pub const fn secrecy(&self) -> Option<Secrecy> {
        match self.value {
            Value::Secret(secrecy) => Some(secrecy),
            _ => None,
        }
    }

    /// Whether the secret must be entered again when the address changes.
    pub const fn is_bound(&self) -> bool {
        matches!(self.value, Value::Secret(Secrecy::Bound | Secrecy::Password))
    }

    /// Whether storages of this direction accept and store it.
    pub fn is_part_of(&self, direction: Direction) -> bool {
        match self.scope {
            Scope::Both | Scope::UsedBy(_) => true,
            Scope::Only(only) => only == direction,
        }
    }

    /// The only direction that uses it; `None` if both do.
    pub const fn used_by(&self) -> Option<Direction> {
        match self.scope {
            Scope::Both => None,
            Scope::UsedBy(direction) | Scope::Only(direction) => Some(direction),
        }
    }

    /// The meaning in sentences, for the command line's help, the document of the API and the user page.
    pub fn meaning(&self) -> String {
        let mut text = format!("{}.", self.about);
        if self.value == (Value::Bool { default: true }) {
            text.push_str(" On by default.");
        }
        match self.used_by() {
            Some(Direction::Import) => text.push_str(" Import only."),
            Some(Direction::Export) => text.push_str(" Export only."),
            None => {}
        }
        if self.secrecy().is_some() {
            text.push_str(" Never shown again.");
        }
        if self.is_bound() {
            text.push_str(" Must be entered again when the address changes.");
        }
        text
    }
}
