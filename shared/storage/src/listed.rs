//! The content of a listing: a page of objects, and why some of them cannot be imported.

use jiff::Timestamp;
use longshore_model::{FailureReason, QuarantineReason};

use crate::{ErrorKind, Op, StorageError};

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The objects, in ascending byte order of their keys if the storage is ordered.
    pub objects: Vec<ListedObject>,
    /// Prefixes that end in the delimiter.
    pub prefixes: Vec<String>,
    /// The cursor of the next page, or `None` after the last page.
    pub next: Option<String>,
    /// What the server itself continues the listing with, for [`ListRequest::token`](crate::ListRequest::token).
    pub token: Option<String>,
    /// The first key that the server may have sent in another spelling, as `encoding-type=url` asks for.
    pub respelled: Option<Respelled>,
    /// Whether the server does not say if more follows, so that only another request shows it.
    pub is_end_unsaid: bool,
}

/// A key that may have been sent in another spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respelled {
    /// The key as it was sent.
    pub sent: String,
    /// The same, decoded.
    pub decoded: String,
    /// Whether the server says that it encodes keys. Then the page has the decoded key, otherwise the one that was sent.
    pub is_claimed: bool,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    pub meta: ObjectMeta,
    /// Why the object cannot be imported, if the listing already shows it. The key may then be only a description of
    /// the real one, and there is no etag.
    pub fault: Option<ListingFault>,
    /// Whether the listing says that the object stands for a folder, as tools mark it in metadata.
    pub is_folder: bool,
}

/// The metadata of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The exact key.
    pub key: String,
    /// Size in bytes. 0 if the listing does not state it: see [`ObjectMeta::known_size`].
    pub size: u64,
    /// Whether the listing lacks the size.
    pub lacks_size: bool,
    /// As the storage returns it, without quotes. `None` if the storage returned none, or for a faulty object.
    pub etag: Option<String>,
    /// Time of the last write. `None` if the kind keeps none (Redis), or for a faulty object.
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
    /// Local files: a symbolic link whose target is missing.
    BrokenLink,
    /// Local files: a symbolic link out of the document root.
    OutsideRoot,
    /// Local files: the process has no permission to read it.
    Unreadable,
}

impl ListingFault {
    /// A stable code that distinguishes the faults of an object.
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

    /// The reason in the quarantine.
    pub const fn reason(self) -> QuarantineReason {
        match self {
            Self::KeyNotUtf8 | Self::NameNotUtf8 => QuarantineReason::UnsupportedKey,
            Self::WrongValueType => QuarantineReason::WrongValueType,
            Self::NotAFile | Self::BrokenLink => QuarantineReason::NotAFile,
            Self::KeyDenied | Self::OutsideRoot | Self::Unreadable => QuarantineReason::Denied,
        }
    }

    /// What is wrong and what to do about it, for the user.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::KeyNotUtf8 => "The key is not UTF-8, so no task can name it. Rename the key.",
            Self::KeyDenied => {
                "The server does not let this user read the key. Grant access (~pattern in the ACL), or narrow the path."
            }
            Self::WrongValueType => {
                "The key holds a list, a set, a hash or another structure, not a string. Store the task with SET."
            }
            Self::NameNotUtf8 => "The name is not UTF-8, so no task can name it. Rename the file.",
            Self::NotAFile => "Not a regular file (pipe, socket or device). Move it out of the folder.",
            Self::BrokenLink => "Broken symlink. Fix or remove it.",
            Self::OutsideRoot => {
                "The symlink points outside LOCAL_FILES_DOCUMENT_ROOT. Replace it by a copy of the file."
            }
            Self::Unreadable => "The user that Longshore runs as has no permission to read this. Grant it.",
        }
    }

    /// The error of reading such an object.
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

    /// The listed object for a fault at this key.
    pub(crate) fn at(self, key: String) -> ListedObject {
        ListedObject { meta: ObjectMeta { key, ..ObjectMeta::default() }, fault: Some(self), is_folder: false }
    }
}

impl ObjectMeta {
    /// The size in bytes, if the listing states it.
    pub fn known_size(&self) -> Option<u64> {
        (!self.lacks_size).then_some(self.size)
    }
}

impl ListedObject {
    /// The key, or a description of it if it is not UTF-8.
    pub fn key(&self) -> &str {
        &self.meta.key
    }
}

impl From<ObjectMeta> for ListedObject {
    /// An object without a fault.
    fn from(meta: ObjectMeta) -> Self {
        Self { meta, fault: None, is_folder: false }
    }
}

/// Shows a key that is not UTF-8, with `\xff` for each invalid byte.
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
    fn invalid_bytes_of_a_key_are_shown_as_hex() {
        assert_eq!(describe(b"tasks:\xff\xfe1"), "tasks:\\xff\\xfe1");
    }
}
