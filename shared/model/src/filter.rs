//! Which listed keys a sync takes, and why it skips the others.

/// How many backtracking steps one match may take before it counts as not decided.
///
/// A hundred thousand is far above what sensible patterns need on a key of 1,024 bytes and ends
/// within milliseconds; a nested quantifier would otherwise run for hours. Plain patterns never backtrack.
const BACKTRACK_LIMIT: usize = 100_000;

/// The longest expression, in bytes. People write some hundred; what takes more is made to take time.
const MAX_PATTERN: usize = 4096;

/// The prefix, recursion switch and regular expression of a storage, ready to use.
#[derive(Debug, Clone)]
pub struct KeyFilter {
    prefix: String,
    recursive: bool,
    regex: Option<Pattern>,
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

/// An expression, compiled by the engine that fits it.
#[derive(Debug, Clone)]
enum Pattern {
    /// Time grows with the key and nothing else.
    Plain(regex::Regex),
    /// Look-around and back-references need backtracking, which is bounded.
    Backtracking(fancy_regex::Regex),
}

impl Pattern {
    /// Whether the expression matches, or `None` if that takes too long to say.
    fn is_match(&self, key: &str) -> Option<bool> {
        match self {
            Self::Plain(regex) => Some(regex.is_match(key)),
            Self::Backtracking(regex) => regex.is_match(key).ok(),
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
    /// The regular expression gave up on this key: it backtracks too much.
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
            Self::RegexTooSlow => "the file filter takes too long on this key",
            Self::TooDeep => "lies in a sub-folder, and recursive scan is off",
            Self::Prefix => "does not start with the prefix",
        }
    }
}

/// A regular expression that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("the file filter is longer than {MAX_PATTERN} bytes")]
    TooLong,
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
    /// The expression does not compile, or is longer than anybody writes.
    pub fn new(prefix: &str, recursive: bool, regex: Option<&str>) -> Result<Self, FilterError> {
        let regex = regex.filter(|pattern| !pattern.is_empty()).map(compile).transpose()?;
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

    /// Why this key is skipped, or `None` if it is taken.
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

fn compile(pattern: &str) -> Result<Pattern, FilterError> {
    if pattern.len() > MAX_PATTERN {
        return Err(FilterError::TooLong);
    }
    let anchored = format!(r"\A(?:{})", python_groups(pattern));
    match regex::Regex::new(&anchored) {
        Ok(plain) => Ok(Pattern::Plain(plain)),
        Err(_) => fancy_regex::RegexBuilder::new(&anchored)
            .backtrack_limit(BACKTRACK_LIMIT)
            .build()
            .map(Pattern::Backtracking)
            .map_err(|error| FilterError::Invalid(Box::new(error))),
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
mod tests {
    use super::*;

    fn taken(prefix: &str, recursive: bool, regex: Option<&str>, key: &str) -> Option<Skip> {
        KeyFilter::new(prefix, recursive, regex).unwrap().skips(key)
    }

    #[test]
    fn a_regex_matches_at_the_start_of_the_full_key_and_not_at_its_end() {
        assert_eq!(taken("train/", true, Some(r"train/.*\.jpg"), "train/a.jpg.bak"), None);
        assert_eq!(taken("train/", true, Some("a"), "train/a.jpg"), Some(Skip::Regex));
        assert_eq!(taken("", true, Some("a|b"), "b1"), None);
        assert_eq!(taken("", true, Some(r"a\Z"), "ab"), Some(Skip::Regex));
    }

    #[test]
    fn a_regex_of_names_leaves_the_folders_before_them_alone() {
        let filter = KeyFilter::new("/data/", true, Some("img_")).unwrap().matching(Matched::Name);
        assert_eq!(filter.skips("/data/a/img_1.png"), None);
        assert_eq!(filter.skips("/data/img_1/other.png"), Some(Skip::RegexOfName));
    }

    #[test]
    fn look_around_is_understood_and_bounded() {
        assert_eq!(taken("", true, Some(r"(?!.*tmp).*\.json"), "a/tmp.json"), Some(Skip::Regex));
        assert_eq!(taken("", true, Some(r"(?!.*tmp).*\.json"), "a/b.json"), None);
        let slow = format!("{}!", "a".repeat(40));
        assert_eq!(taken("", true, Some(r"(a|aa)+\1c"), &slow), Some(Skip::RegexTooSlow));
    }

    #[test]
    fn folders_and_deeper_keys_are_skipped() {
        assert_eq!(taken("", true, None, "dir/"), Some(Skip::Folder));
        assert_eq!(taken("p/", false, None, "p/q/r"), Some(Skip::TooDeep));
        assert_eq!(taken("p/", true, None, "p/q/r"), None);
        assert_eq!(taken("p/", true, None, "q"), Some(Skip::Prefix));
    }

    #[test]
    fn an_invalid_regex_is_refused_with_its_fault() {
        assert!(
            KeyFilter::new("", true, Some("(")).unwrap_err().to_string().contains("not a valid regular expression")
        );
    }
}
