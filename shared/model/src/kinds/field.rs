//! A field of a storage: what a request, an answer, the command line and a user page need to know of it.

use crate::{Direction, FailureReason};

/// Bytes of any text field. Keys of service accounts take 3 kB and descriptions a page. All storages of a project are
/// listed together, so a megabyte in each would fill the list with one of them.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// One field of a storage. Built by the functions that follow, such as `Field::word("bucket", "Name").required()`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// The name in JSON, for requests, answers and the `settings` column. The names are Label Studio's.
    pub name: &'static str,
    /// What it holds.
    pub value: Value,
    /// Whether a storage cannot do without it.
    pub is_required: bool,
    /// The direction that uses it.
    pub scope: Scope,
    /// What it means: one line of Markdown that begins with a capital and ends without a period.
    pub about: &'static str,
    /// A value as it is sent, for the document of the API.
    pub example: Option<&'static str>,
    /// How the command line names it. `None` if it does not.
    pub flag: Option<Flag>,
    /// The failures of a connection that this field is to blame for.
    pub blamed_for: &'static [FailureReason],
}

/// What a field holds, and how a request's value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// A text exactly as it is sent.
    Text,
    /// The same, of at most this many characters.
    ShortText(usize),
    /// A text without the spaces that come along when it is pasted; empty is null.
    Word,
    /// A word that names a folder: backslashes, repeated slashes, `.` and `..` are resolved.
    Path,
    /// A word that is accepted and never shown.
    Secret(Secrecy),
    Bool {
        default: bool,
    },
    /// A boolean that may be null, which is its default.
    BoolOrNull,
    /// A whole number within bounds, both included.
    Integer {
        min: i64,
        max: i64,
    },
}

/// What is special about a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    Plain,
    /// The server that gets it could use it elsewhere, so it must be entered again when the address changes. Callers who
    /// may change a storage do not know its secrets, and must not be able to send them to a server that they run.
    Bound,
    /// The same, and spaces are part of it.
    Password,
    /// The text of a file, which the command line reads.
    KeyFile,
}

/// The direction that a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Both,
    /// Only storages of this direction use it. Those of the other accept, keep and show it, as in Label Studio.
    UsedBy(Direction),
    /// Storages of the other direction ignore it and do not show it.
    Only(Direction),
}

/// A flag of `longshore storage create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// The name without its dashes. The flag of a boolean sets the opposite of the default.
    pub name: &'static str,
    /// What the help calls its value. `None` is the name.
    pub value_name: Option<&'static str>,
    /// The environment variable that stands in for it.
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

    /// The same field, which no storage can do without.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// The same field with an example.
    #[must_use]
    pub const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    /// The same field, for a direction.
    #[must_use]
    pub const fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// The same field with a flag.
    #[must_use]
    pub const fn flag(self, name: &'static str) -> Self {
        Self { flag: Some(Flag { name, value_name: None, env: None }), ..self }
    }

    /// The same field with a flag whose value the help calls `value_name`.
    #[must_use]
    pub const fn flag_value(self, name: &'static str, value_name: &'static str) -> Self {
        Self { flag: Some(Flag { name, value_name: Some(value_name), env: None }), ..self }
    }

    /// The same field with a flag that an environment variable stands in for.
    #[must_use]
    pub const fn flag_or_env(self, name: &'static str, env: &'static str) -> Self {
        Self { flag: Some(Flag { name, value_name: None, env: Some(env) }), ..self }
    }

    /// The same field, blamed for these failures of a connection.
    #[must_use]
    pub const fn blamed_for(self, reasons: &'static [FailureReason]) -> Self {
        Self { blamed_for: reasons, ..self }
    }

    /// What is special about the secret; `None` if it is none.
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

    /// Whether storages of this direction accept and keep it.
    pub fn is_part_of(&self, direction: Direction) -> bool {
        match self.scope {
            Scope::Both | Scope::UsedBy(_) => true,
            Scope::Only(only) => only == direction,
        }
    }

    /// The one direction that uses it. `None` if both do.
    pub const fn used_by(&self) -> Option<Direction> {
        match self.scope {
            Scope::Both => None,
            Scope::UsedBy(direction) | Scope::Only(direction) => Some(direction),
        }
    }

    /// What it means, in sentences: for the help of the command line, the document of the API and the user page.
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
            text.push_str(" To be entered again when the address changes.");
        }
        text
    }
}
