//! Why a file filter cannot be used.

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
    #[error("the file filter is not a valid regular expression of Python: {fault} at character {at}; correct it")]
    Invalid {
        /// The fault, in the words of Python's `re` if it has a message for it.
        fault: String,
        /// Position of the fault in the expression, in characters from 1.
        at: usize,
    },
    /// Python accepts it, but Longshore does not.
    #[error("the file filter uses {construct}, which Longshore does not support; write it in another way")]
    Unsupported {
        /// The unsupported construct.
        construct: &'static str,
    },
}
