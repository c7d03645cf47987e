//! Why a file filter cannot be used.

/// The longest expression, in bytes. People write some hundred; longer ones exist to take time.
pub(crate) const MAX_PATTERN: usize = 4096;

/// Groups within each other. People write three; reader and compilers recurse.
pub(crate) const MAX_NESTING: u32 = 60;

/// A regular expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It has more bytes than any that people write.
    #[error("the file filter is longer than {MAX_PATTERN} bytes; shorten it")]
    TooLong,
    /// It compiles to a program that is too large.
    #[error("the file filter is too complex: it compiles to too much; use fewer or smaller counts in braces")]
    TooComplex,
    /// Its groups are nested too deeply.
    #[error("the file filter is nested deeper than {MAX_NESTING} levels; flatten it")]
    TooDeep,
    /// Python's `re.compile` refuses it.
    #[error("the file filter is not a valid regular expression of Python: {fault} at character {at}; correct it")]
    Invalid {
        /// What is wrong, in the words of Python's `re` where it has some.
        fault: String,
        /// Where in the expression, in characters from 1.
        at: usize,
    },
    /// Python takes it, Longshore does not.
    #[error("the file filter uses {construct}, which Longshore does not support; write it in another way")]
    Unsupported {
        /// What it uses.
        construct: &'static str,
    },
}
