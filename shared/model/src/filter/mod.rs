//! Which listed keys a sync takes, and why it skips the others.

mod backtrack;
mod plain;
mod program;

use std::sync::Arc;

use backtrack::Backtracking;
use plain::Plain;

/// The longest expression, in bytes. People write some hundred; longer ones exist to take time.
const MAX_PATTERN: usize = 4096;

/// Groups, classes and repetitions within each other. People write three; readers of expressions recurse.
const MAX_NESTING: u32 = 60;

/// Steps of one match before it counts as undecided.
///
/// All of them took 0.6 ms of processor time on keys of 1,024 bytes (a shared core of 2026, the mean of 14 filters
/// written to be slow), so a page of 1,000 such keys takes about a second at worst. Sensible expressions take some dozen
/// steps a byte, 50,000 for the longest key. Lower, they would be cut short; higher, a filter written to be slow would
/// hold a slot longer than the quantum.
const MAX_STEPS: usize = 200_000;

/// The prefix, recursion switch and regular expression of a storage, ready to use.
#[derive(Debug, Clone)]
pub struct KeyFilter {
    prefix: String,
    recursive: bool,
    regex: Option<Arc<Pattern>>,
    matched: Matched,
}

/// What the expression of a storage is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// The whole key.
    Key,
    /// What stands after its last `/`.
    Name,
}

/// An expression, compiled by the engine that fits it. Both count their steps: [`MAX_STEPS`].
#[derive(Debug)]
enum Pattern {
    /// What automata can match.
    Plain(Box<Plain>),
    /// Look-around and back-references need backtracking.
    Backtracking(Backtracking),
}

impl Pattern {
    /// # Errors
    /// The expression does not compile, or to more than a limit.
    fn compile(pattern: &str) -> Result<Self, FilterError> {
        if pattern.len() > MAX_PATTERN {
            return Err(FilterError::TooLong);
        }
        let pattern = python_groups(pattern);
        match Plain::compile(&pattern)? {
            Some(plain) => Ok(Self::Plain(Box::new(plain))),
            None => Backtracking::compile(&pattern).map(Self::Backtracking),
        }
    }

    /// Whether the expression matches at the start of the text, or `None` if that takes too many steps to say.
    fn is_match(&self, text: &str) -> Option<bool> {
        match self {
            Self::Plain(plain) => plain.is_match(text),
            Self::Backtracking(backtracking) => backtracking.is_match(text),
        }
    }
}

/// The rule by which a key is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The key ends in `/`: a folder placeholder.
    Folder,
    /// The regular expression does not match at the start of the key.
    Regex,
    /// The regular expression does not match at the start of the file's name.
    RegexOfName,
    /// Undecided: the regular expression takes too many steps on this key. A sync quarantines the key.
    RegexTooSlow,
    /// The key lies deeper than a scan without recursion looks.
    TooDeep,
    /// The key does not start with the prefix.
    Prefix,
}

impl Skip {
    /// The rule in words that a user understands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "ends with /: a folder, not an object with content",
            Self::Regex => "the file filter does not match at the start of the key",
            Self::RegexOfName => "the file filter does not match at the start of the file's name",
            Self::RegexTooSlow => "undecided: the file filter takes too many steps on this key, a sync quarantines it",
            Self::TooDeep => "lies in a sub-folder, and recursive scan is off",
            Self::Prefix => "does not start with the prefix",
        }
    }
}

/// A regular expression that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("the file filter is longer than {MAX_PATTERN} bytes; shorten it")]
    TooLong,
    #[error("the file filter is too complex: it compiles to too much; use fewer or smaller counts in braces")]
    TooComplex,
    #[error("the file filter is nested deeper than {MAX_NESTING} levels; flatten it")]
    TooDeep,
    #[error("the file filter uses a construct that Python's regular expressions do not have; remove it")]
    Unsupported,
    #[error("the file filter refers to group {0}, which does not exist; correct the number")]
    NoGroup(usize),
    #[error("the file filter is not a valid regular expression: {0}")]
    Invalid(#[source] Box<fancy_regex::Error>),
}

impl KeyFilter {
    /// Prepares a filter.
    ///
    /// The prefix is what keys start with, exactly. The expression has the meaning of Python's
    /// `re.match` on the full key: anchored at the start, not at the end; look-around and
    /// back-references are understood.
    ///
    /// # Errors
    /// The expression does not compile, or to more than a limit: its length, nesting or program is too large.
    pub fn new(prefix: &str, recursive: bool, regex: Option<&str>) -> Result<Self, FilterError> {
        let regex = regex.filter(|pattern| !pattern.is_empty()).map(Pattern::compile).transpose()?.map(Arc::new);
        Ok(Self { prefix: prefix.to_owned(), recursive, regex, matched: Matched::Key })
    }

    /// The same filter with its expression held against something else.
    #[must_use]
    pub fn matching(self, matched: Matched) -> Self {
        Self { matched, ..self }
    }

    /// The prefix to list with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The delimiter to list with: `/` unless the scan is recursive.
    pub fn delimiter(&self) -> Option<&'static str> {
        if self.recursive { None } else { Some("/") }
    }

    /// Whether there is an expression, so that matching a page of keys takes noticeable time.
    pub fn has_regex(&self) -> bool {
        self.regex.is_some()
    }

    /// Why this key is skipped, or `None` if it is taken. Takes about a millisecond at most, see `MAX_STEPS`:
    /// many keys belong on a blocking thread.
    pub fn skips(&self, key: &str) -> Option<Skip> {
        let Some(rest) = key.strip_prefix(self.prefix.as_str()) else { return Some(Skip::Prefix) };
        if key.ends_with('/') {
            return Some(Skip::Folder);
        }
        if !self.recursive && rest.contains('/') {
            return Some(Skip::TooDeep);
        }
        let (text, unmatched) = match self.matched {
            Matched::Key => (key, Skip::Regex),
            Matched::Name => (key.rsplit('/').next().unwrap_or(key), Skip::RegexOfName),
        };
        match self.regex.as_ref().map(|regex| regex.is_match(text)) {
            None | Some(Some(true)) => None,
            Some(Some(false)) => Some(unmatched),
            Some(None) => Some(Skip::RegexTooSlow),
        }
    }
}

/// Spells Python's `\Z` (the very end) the way the regex crates do.
fn python_groups(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '\\' {
            match chars.next() {
                Some('Z') => out.push('z'),
                Some(escaped) => out.push(escaped),
                None => {}
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
