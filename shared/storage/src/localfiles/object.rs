//! What a listing says of a name: an object, or why it is none that a task could be made of.

use chrono::{DateTime, Utc};
use longshore_model::QuarantineReason;
use nix::sys::stat::FileStat;

use crate::ObjectMeta;

/// What the etag of an object begins with that has a fault.
const FAULTY: char = '!';

/// Why a name can be nobody's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NotUtf8,
    NotAFile,
    LeadsNowhere,
    Outside,
    Unreadable,
}

impl Fault {
    const ALL: [Self; 5] = [Self::NotUtf8, Self::NotAFile, Self::LeadsNowhere, Self::Outside, Self::Unreadable];

    const fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not-utf8",
            Self::NotAFile => "not-a-file",
            Self::LeadsNowhere => "leads-nowhere",
            Self::Outside => "outside",
            Self::Unreadable => "unreadable",
        }
    }

    /// The fault that a listing found.
    pub(super) fn of(object: &ObjectMeta) -> Option<Self> {
        let word = object.etag.as_deref()?.strip_prefix(FAULTY)?;
        Self::ALL.into_iter().find(|fault| fault.as_str() == word)
    }

    pub(super) fn quarantine(self) -> (QuarantineReason, &'static str) {
        match self {
            Self::NotUtf8 => {
                (QuarantineReason::UnsupportedKey, "The name is not UTF-8, so no task can name it. Rename the file.")
            }
            Self::NotAFile => {
                (QuarantineReason::NotAFile, "A pipe, a socket or a device is never opened. Move it away.")
            }
            Self::LeadsNowhere => (QuarantineReason::NotAFile, "The link leads to nothing. Mend it or take it away."),
            Self::Outside => (
                QuarantineReason::Denied,
                "The link leads out of LOCAL_FILES_DOCUMENT_ROOT. Copy the file to where the link is.",
            ),
            Self::Unreadable => {
                (QuarantineReason::Denied, "The user that Longshore runs as may not read this. Give it the right to.")
            }
        }
    }

    /// What is listed in place of the file.
    pub(super) fn object(self, key: String) -> ObjectMeta {
        ObjectMeta { key, size: 0, etag: Some(format!("{FAULTY}{}", self.as_str())), modified_at: None }
    }
}

/// What is listed of a regular file.
pub(super) fn object(key: String, stat: &FileStat) -> ObjectMeta {
    ObjectMeta { key, size: size(stat), etag: Some(etag(stat)), modified_at: modified_at(stat) }
}

pub(super) fn size(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// Time and size tell a change, and the number of the file one that comes within the same tick of the
/// clock: files are replaced by new ones.
pub(super) fn etag(stat: &FileStat) -> String {
    format!("{:x}.{:x}-{:x}-{:x}", stat.st_mtime, stat.st_mtime_nsec, stat.st_size, stat.st_ino)
}

pub(super) fn modified_at(stat: &FileStat) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(stat.st_mtime, u32::try_from(stat.st_mtime_nsec).ok()?)
}
