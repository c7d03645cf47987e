//! Where a listing starts.

use std::cmp::Ordering;

use crate::cloud::LAST_CHAR;

/// Where a listing starts.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Start {
    Beginning,
    /// At `name`, included. `after` is where the previous page ended.
    From {
        name: String,
        after: String,
    },
    /// After all names: the listing is empty.
    End,
}

impl Start {
    /// Computes the start after `text`, in a listing with this prefix and delimiter.
    pub(in super::super) fn after(text: Option<&str>, prefix: &str, delimiter: Option<&str>) -> Self {
        let Some(after) = text.filter(|text| !text.is_empty()) else { return Self::Beginning };
        let name = match after.strip_suffix(LAST_CHAR) {
            Some(stem) => successor(stem),
            None => Some(after.to_owned()),
        };
        let Some(mut name) = name else { return Self::End };
        if !name.starts_with(prefix) {
            return if name.as_str() < prefix { Self::Beginning } else { Self::End };
        }
        // With a delimiter, Azure allows only one level after the prefix in `startFrom`.
        if let Some(delimiter) = delimiter.filter(|delimiter| !delimiter.is_empty())
            && let Some(at) = name[prefix.len()..].find(delimiter)
        {
            name.truncate(prefix.len() + at + delimiter.len());
        }
        Self::From { name, after: after.to_owned() }
    }

    /// Whether a name is the one to start after, or a rolled-up prefix that contains it.
    pub(super) fn is_done(&self, name: &str) -> bool {
        match self {
            Self::Beginning | Self::End => false,
            Self::From { after, .. } => after == name || (name.ends_with('/') && after.starts_with(name)),
        }
    }

    /// Whether a name sorts before the start in every possible order of names: by bytes, by UTF-16 units, or folder
    /// by folder.
    pub(super) fn is_before_start(&self, name: &str) -> bool {
        match self {
            Self::Beginning | Self::End => false,
            Self::From { name: start, .. } => {
                [name.cmp(start), name.encode_utf16().cmp(start.encode_utf16()), name.split('/').cmp(start.split('/'))]
                    .iter()
                    .all(|order| *order == Ordering::Less)
            }
        }
    }
}

/// The first text after all texts that start with `stem`; `None` if there is no such text.
fn successor(stem: &str) -> Option<String> {
    let mut chars: Vec<char> = stem.chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = (last..=LAST_CHAR).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// Whether every possible order of names puts the same names before and after this text.
///
/// The orders differ only in where they put characters from U+E000 on; a text without such characters splits the
/// names the same way in each.
pub(in super::super) fn is_unambiguous(text: &str) -> bool {
    text.chars().all(|char| char < '\u{E000}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from(text: &str, prefix: &str, delimiter: Option<&str>) -> Option<String> {
        match Start::after(Some(text), prefix, delimiter) {
            Start::From { name, .. } => Some(name),
            Start::Beginning | Start::End => None,
        }
    }

    #[test]
    fn a_listing_starts_at_the_text_or_after_all_that_start_with_it() {
        assert_eq!(from("p/b", "p/", None).as_deref(), Some("p/b"));
        assert_eq!(from("p/b\u{10FFFF}", "p/", None).as_deref(), Some("p/c"));
        assert_eq!(from("p/\u{D7FF}\u{10FFFF}", "p/", None).as_deref(), Some("p/\u{E000}"));
        assert_eq!(from("p/b\u{10FFFF}\u{10FFFF}", "p/", None).as_deref(), Some("p/c"));
        assert_eq!(Start::after(Some("p/\u{10FFFF}"), "p/", None), Start::End);
        assert_eq!(Start::after(Some("\u{10FFFF}"), "", None), Start::End);
        assert_eq!(Start::after(Some("q"), "p/", None), Start::End);
        assert_eq!(Start::after(Some("a"), "p/", None), Start::Beginning);
        assert_eq!(Start::after(Some(""), "p/", None), Start::Beginning);
        assert_eq!(Start::after(None, "p/", None), Start::Beginning);
    }

    #[test]
    fn a_listing_of_one_level_starts_in_that_level() {
        assert_eq!(from("p/a/b/c", "p/", Some("/")).as_deref(), Some("p/a/"));
        assert_eq!(from("p/a/", "p/", Some("/")).as_deref(), Some("p/a/"));
        assert_eq!(from("p/a", "p/", Some("/")).as_deref(), Some("p/a"));
        let start = Start::after(Some("p/a/b/c"), "p/", Some("/"));
        assert!(start.is_done("p/a/") && !start.is_done("p/a0") && !start.is_done("p/b/"));
    }

    #[test]
    fn a_name_is_before_the_start_only_if_every_order_says_so() {
        let start = Start::after(Some("m/x"), "", None);
        assert!(start.is_before_start("a") && start.is_before_start("m"));
        assert!(!start.is_before_start("m/x") && !start.is_before_start("n"));
        // Folder by folder, `m-1` comes after all of `m/`.
        assert!(!start.is_before_start("m-1"));
        let wide = Start::after(Some("\u{FF08}"), "", None);
        assert!(!wide.is_before_start("😀") && !Start::after(Some("😀"), "", None).is_before_start("\u{FF08}"));
    }

    proptest! {
        #[test]
        fn an_unambiguous_text_splits_names_the_same_way_in_both_orders(text in "\\PC{0,6}", name in "\\PC{0,6}") {
            prop_assume!(is_unambiguous(&text));
            prop_assert_eq!(name.cmp(&text), name.encode_utf16().cmp(text.encode_utf16()));
        }

        #[test]
        fn a_successor_comes_after_all_that_start_with_the_stem(stem in "\\PC{1,4}|[\\x00-\\x7f]{1,4}", more in "\\PC{0,4}") {
            let next = successor(&stem).unwrap();
            let longer = stem.clone() + &more;
            prop_assert!(longer < next);
            prop_assert!(next > stem && next.chars().count() <= stem.chars().count());
        }
    }
}
