//! Decides which listed keys a sync imports, and why it skips the others. `README.md` explains the decisions.

mod chars;
mod engine;
mod error;
mod glob;
mod marker;
mod pattern;
mod suggest;
mod syntax;

use std::sync::Arc;

use longshore_model::StorageSettings;

pub use error::FilterError;
use pattern::Pattern;
pub use suggest::{Misreading, Suggestion, certain_glob, suggestions};

/// The prefix, recursion switch and regular expression of a storage, ready to use.
#[derive(Debug, Clone)]
pub struct KeyFilter {
    prefix: String,
    recursive: bool,
    regex: Option<Arc<Pattern>>,
    matched: Matched,
    skips_markers: bool,
}

/// The part of a key that the expression of a storage is matched against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// The whole key.
    Key,
    /// The part after its last `/`.
    Name,
}

/// The rule by which a key is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// A placeholder for a folder: the key ends in `/` or `_$folder$`, the object is marked as a folder, or it is empty
    /// and other keys lie below it.
    Folder,
    /// A marker or checksum of Hadoop, Spark or a similar tool.
    Hadoop,
    /// A file that a desktop or a program on it keeps beside the data.
    Desktop,
    /// An object that an export of the same project wrote.
    Export,
    /// The regular expression does not match at the start of the key.
    Regex,
    /// The regular expression does not match at the start of the file's name.
    RegexOfName,
    /// Undecided: the regular expression takes too many steps on this key. A sync quarantines the key.
    RegexTooSlow,
    /// The key is in a sub-folder, and the scan is not recursive.
    TooDeep,
    /// The key does not start with the prefix.
    Prefix,
}

impl Skip {
    /// The word for the rule in the counts of a sync.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Hadoop => "hadoop",
            Self::Desktop => "desktop",
            Self::Export => "export",
            Self::TooDeep => "depth",
            Self::Prefix => "prefix",
            Self::Regex | Self::RegexOfName | Self::RegexTooSlow => "regex",
        }
    }

    /// The rule as a text for users.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "a folder, not an object with content",
            Self::Hadoop => "a marker or checksum of Hadoop, Spark or a similar tool",
            Self::Desktop => "a file that a desktop or a program keeps beside the data",
            Self::Export => "written by an export of this project",
            Self::Regex => "the file filter does not match at the start of the key",
            Self::RegexOfName => "the file filter does not match at the start of the file's name",
            Self::RegexTooSlow => "undecided: the file filter takes too many steps on this key, a sync quarantines it",
            Self::TooDeep => "lies in a sub-folder, and recursive scan is off",
            Self::Prefix => "does not start with the prefix",
        }
    }
}

/// Whether an empty object with this key only keeps its folder, such as `.gitkeep`.
pub fn is_placeholder(key: &str) -> bool {
    marker::is_placeholder(key)
}

impl KeyFilter {
    /// Makes the filter of a storage.
    ///
    /// # Errors
    /// The same as those of [`KeyFilter::new`].
    pub fn of(settings: &StorageSettings) -> Result<Self, FilterError> {
        let kind = settings.kind().data();
        let recursive = settings.recursive_scan || !kind.has_folders();
        let filter = Self::new(&settings.connection.prefix(), recursive, settings.regex_filter.as_deref())?;
        let filter = filter.matching(if kind.filters_names { Matched::Name } else { Matched::Key });
        // Where keys have no folders, they are no names of files.
        Ok(Self { skips_markers: kind.has_folders() && !settings.import_all_objects, ..filter })
    }

    /// Makes a filter from its parts.
    ///
    /// Keys must start with exactly the prefix. The expression selects the keys that Python's `re.match(regex, key)`
    /// selects: it is anchored at the start, not at the end.
    ///
    /// # Errors
    /// Python refuses the expression, it uses a construct that Longshore does not support, or its length, nesting or
    /// program exceeds a limit.
    pub fn new(prefix: &str, recursive: bool, regex: Option<&str>) -> Result<Self, FilterError> {
        let regex = regex.filter(|pattern| !pattern.is_empty());
        let compiled = regex.map(Pattern::compile).transpose().map_err(|error| error.with_glob(regex))?;
        let regex = compiled.map(Arc::new);
        Ok(Self { prefix: prefix.to_owned(), recursive, regex, matched: Matched::Key, skips_markers: false })
    }

    /// The same filter with another expression.
    ///
    /// # Errors
    /// The same as those of [`KeyFilter::new`].
    pub fn with_expression(&self, regex: &str) -> Result<Self, FilterError> {
        let own = Self::new(&self.prefix, self.recursive, Some(regex))?;
        Ok(Self { matched: self.matched, skips_markers: self.skips_markers, ..own })
    }

    /// The same filter, with its expression matched against this part of the key.
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

    /// Whether objects are skipped that tools left beside the data. [`KeyFilter::skips`] knows them by their names; a
    /// listing shows the others.
    pub fn skips_markers(&self) -> bool {
        self.skips_markers
    }

    /// Whether there is an expression. Then matching a page of keys takes noticeable time.
    pub fn has_regex(&self) -> bool {
        self.regex.is_some()
    }

    /// The rule that skips this key, or `None` if a sync imports it. Takes about a millisecond at most (see
    /// `engine::MAX_STEPS`), so decide many keys on a blocking thread.
    pub fn skips(&self, key: &str) -> Option<Skip> {
        let Some(rest) = key.strip_prefix(self.prefix.as_str()) else { return Some(Skip::Prefix) };
        if key.ends_with('/') {
            return Some(Skip::Folder);
        }
        if let Some(marker) = marker::rule(rest).filter(|_| self.skips_markers) {
            return Some(marker);
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

#[cfg(test)]
mod tests;
