//! How stores that call themselves compatible with S3 list, as their users reported it.

use std::cmp::{Ordering, Reverse};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// The order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    Bytes,
    /// As of encrypted names.
    Hash,
    /// The latest first.
    Time,
    /// As of file systems that do not tell `a` from `A`.
    IgnoreCase,
    /// As of stores that list folder by folder.
    Folders,
    /// As of the units of UTF-16.
    Utf16,
}

impl KeyOrder {
    /// Compares two keys; `a` and `b` are their times.
    pub(super) fn compare(self, (key, time): (&str, usize), (other, other_time): (&str, usize)) -> Ordering {
        match self {
            Self::Bytes => key.cmp(other),
            Self::Hash => hash(key).cmp(&hash(other)),
            Self::Time => Reverse(time).cmp(&Reverse(other_time)),
            Self::IgnoreCase => (key.to_lowercase(), key).cmp(&(other.to_lowercase(), other)),
            Self::Folders => key.split('/').cmp(other.split('/')),
            Self::Utf16 => key.encode_utf16().cmp(other.encode_utf16()),
        }
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Where a listing begins that is to start after a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After it, in the order of bytes.
    Strict,
    /// With it, if it is a key.
    Inclusive,
    /// After it if it is a key, otherwise at the beginning.
    OfKeysOnly,
    /// At the beginning.
    Ignored,
}

/// How keys are written when the client asks for `encoding-type=url`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    Url,
    /// Also slashes are encoded.
    Slashes,
    /// The parameter is ignored.
    Raw,
    /// The answer says `url`, but keys are as they are.
    ClaimedUrl,
    /// Keys are encoded, and the answer does not say so.
    UnclaimedUrl,
}

/// How the second version of the listing is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondVersion {
    Answered,
    /// `list-type=2` is ignored.
    AsFirst,
    /// With a status and a code.
    Refused(u16, &'static str),
}

/// How a page says whether more follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncation {
    /// With these words.
    Said {
        yes: &'static str,
        no: &'static str,
    },
    /// Only if more follows.
    IfMore,
    Unsaid,
}

/// What a page is continued with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation {
    /// A token or marker that names the last key.
    Key,
    /// A text that means nothing to others, with signs that an encoding would change.
    Opaque,
    /// The last page has one, too.
    Always,
    /// The next page begins with the last key again.
    Overlapping,
    /// One of two texts by turns; the pages under them are empty.
    Circle,
}

/// The bytes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    Plain,
    /// No XML declaration, but blank lines.
    Undeclared,
    /// A mark of UTF-8 before the declaration.
    Marked,
    Utf16,
    Latin1,
    /// Compressed, although the client did not ask for it.
    Packed,
}

/// A store.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    pub order: KeyOrder,
    pub start: Start,
    pub spelling: Spelling,
    pub second_version: SecondVersion,
    /// Whether pages have a token, or in the first version a marker.
    pub has_tokens: bool,
    /// Whether tokens and markers have an effect.
    pub honors_tokens: bool,
    /// Most keys of a page.
    pub page: usize,
    /// Whether each page that was asked for with fewer than 1,000 keys says that it is the last.
    pub short_is_last: bool,
    /// Every so many pages, a page is empty and has a token. 0: none.
    pub empty_pages: usize,
    pub truncation: Truncation,
    pub continuation: Continuation,
    pub document: Document,
    /// Whether listings have keys outside of the prefix, too.
    pub ignores_prefix: bool,
    /// Whether pages have the store's own size, also if fewer keys were asked for.
    pub ignores_limit: bool,
    /// Whether objects can be asked for with `HEAD`.
    pub has_head: bool,
    /// Whether keys below a folder are listed although the client asked for its name alone.
    pub ignores_delimiter: bool,
    /// Whether keys below a folder are rolled up although the client did not ask for it.
    pub rolls_up: bool,
    /// Elements that the answer does not have.
    pub omitted: &'static [&'static str],
    /// Namespace prefix of all elements.
    pub namespace: &'static str,
    /// Whether a start outside of the prefix gives nothing.
    pub start_must_be_below_prefix: bool,
}
