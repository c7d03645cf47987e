//! What a listing says: a page of objects, and why some of them cannot be imported.

use jiff::Timestamp;
use longshore_model::{FailureReason, QuarantineReason};

use crate::{ErrorKind, Op, StorageError};

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    pub objects: Vec<Listed>,
    /// Prefixes that end in the delimiter.
    pub prefixes: Vec<String>,
    /// Where to go on, or `None` after the last page.
    pub next: Option<String>,
}

/// A listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub meta: ObjectMeta,
    /// Why it cannot be imported, where the listing shows that already. Its key may then be a description of the
    /// real one, and it has no etag.
    pub fault: Option<ListingFault>,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectMeta {
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// As the storage gives it, without the quotes.
    pub etag: Option<String>,
    pub modified_at: Option<Timestamp>,
}

/// Why a listed object cannot be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingFault {
    /// Redis: the key is not text.
    KeyNotUtf8,
    /// Redis: the server denies the key.
    KeyDenied,
    /// Redis: the value is not a string.
    WrongValueType,
    /// Local files: the name is not text.
    NameNotUtf8,
    /// Local files: a pipe, a socket or a device.
    NotAFile,
    /// Local files: a symbolic link to nothing.
    BrokenLink,
    /// Local files: a symbolic link out of the document root.
    OutsideRoot,
    /// Local files: the process may not read it.
    Unreadable,
}

impl ListingFault {
    /// A stable code, by which one fault of an object is told from the next.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyNotUtf8 | Self::NameNotUtf8 => "not-utf8",
            Self::KeyDenied => "denied",
            Self::WrongValueType => "wrong-value-type",
            Self::NotAFile => "not-a-file",
            Self::BrokenLink => "leads-nowhere",
            Self::OutsideRoot => "outside",
            Self::Unreadable => "unreadable",
        }
    }

    /// The reason for the quarantine.
    pub const fn reason(self) -> QuarantineReason {
        match self {
            Self::KeyNotUtf8 | Self::NameNotUtf8 => QuarantineReason::UnsupportedKey,
            Self::WrongValueType => QuarantineReason::WrongValueType,
            Self::NotAFile | Self::BrokenLink => QuarantineReason::NotAFile,
            Self::KeyDenied | Self::OutsideRoot | Self::Unreadable => QuarantineReason::Denied,
        }
    }

    /// What is wrong and what to do about it, in words for the user.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::KeyNotUtf8 => "The key is not UTF-8, so no task can name it. Rename the key.",
            Self::KeyDenied => {
                "The server does not let this user read the key. Grant it (~pattern in the ACL), or narrow the path."
            }
            Self::WrongValueType => {
                "The key holds a list, a set, a hash or another structure, not a string. Store the task with SET."
            }
            Self::NameNotUtf8 => "The name is not UTF-8, so no task can name it. Rename the file.",
            Self::NotAFile => "A pipe, a socket or a device is never opened. Move it away.",
            Self::BrokenLink => "The link leads to nothing. Mend it or take it away.",
            Self::OutsideRoot => "The link leads out of LOCAL_FILES_DOCUMENT_ROOT. Copy the file to where the link is.",
            Self::Unreadable => "The user that Longshore runs as may not read this. Give it the right to.",
        }
    }

    /// How a read of such an object fails.
    pub(crate) fn error(self, op: Op) -> StorageError {
        let (kind, reason) = match self {
            Self::KeyNotUtf8 | Self::NameNotUtf8 => (ErrorKind::Invalid, FailureReason::NoSuchObject),
            Self::KeyDenied | Self::Unreadable => (ErrorKind::Denied, FailureReason::AccessDenied),
            Self::WrongValueType => (ErrorKind::Invalid, FailureReason::WrongValueType),
            Self::NotAFile | Self::BrokenLink => (ErrorKind::NotFound, FailureReason::NoSuchObject),
            Self::OutsideRoot => (ErrorKind::Invalid, FailureReason::OutsideRoot),
        };
        StorageError::new(op, kind, reason)
    }

    /// What is listed in place of the object.
    pub(crate) fn at(self, key: String) -> Listed {
        Listed { meta: ObjectMeta { key, ..ObjectMeta::default() }, fault: Some(self) }
    }
}

impl Listed {
    pub fn key(&self) -> &str {
        &self.meta.key
    }
}

impl From<ObjectMeta> for Listed {
    /// An object without a fault.
    fn from(meta: ObjectMeta) -> Self {
        Self { meta, fault: None }
    }
}

/// A key that is not text, with `\xff` for each byte that is none.
pub(crate) fn describe(key: &[u8]) -> String {
    let mut text = String::new();
    for chunk in key.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_text_is_shown_with_its_bytes() {
        assert_eq!(describe(b"tasks:\xff\xfe1"), "tasks:\\xff\\xfe1");
    }
}
