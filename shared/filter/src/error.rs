//! Why a file filter cannot be used.

use crate::glob::Glob;

/// The longest expression, in bytes. Expressions of users have up to a few hundred bytes; much longer ones are attacks.
pub(crate) const MAX_PATTERN: usize = 4096;

/// Maximum nesting of groups. Expressions of users have about three levels; the reader and the compilers are recursive.
pub(crate) const MAX_NESTING: u32 = 60;

/// A regular expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It has too many bytes.
    #[error("the file filter is longer than {MAX_PATTERN} bytes; shorten it")]
    TooLong,
    /// Its compiled program is too large.
    #[error("the file filter is too complex: it compiles to too much; use fewer or smaller counts in braces")]
    TooComplex,
    /// Its groups are nested too deeply.
    #[error("the file filter is nested deeper than {MAX_NESTING} levels; flatten it")]
    TooDeep,
    /// Python's `re.compile` refuses it.
    #[error("the file filter is not a valid regular expression of Python: {fault} at position {at}; {}", advice(glob.as_deref()))]
    Invalid {
        /// The fault, in the words of Python's `re` if it has a message for it.
        fault: String,
        /// Position of the fault in the text of the user, in characters from 0, as Python counts it.
        at: usize,
        /// The expression that the text means if it is a glob. `None` if it is not.
        glob: Option<String>,
    },
    /// Python accepts it, but Longshore does not.
    #[error("the file filter uses {construct}, which Longshore does not support; write it in another way")]
    Unsupported {
        /// The unsupported construct.
        construct: &'static str,
    },
}

impl FilterError {
    /// Adds what an invalid expression means if it is a glob.
    pub(crate) fn with_glob(self, text: Option<&str>) -> Self {
        match self {
            Self::Invalid { fault, at, .. } => {
                Self::Invalid { fault, at, glob: text.and_then(Glob::read).map(|glob| glob.expression) }
            }
            other => other,
        }
    }
}

fn advice(glob: Option<&str>) -> String {
    glob.map_or_else(
        || "correct it".to_owned(),
        |expression| format!("this is a glob, and an expression is needed: write {expression}"),
    )
}
