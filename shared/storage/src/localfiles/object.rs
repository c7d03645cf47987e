//! The metadata of a regular file.

use jiff::Timestamp;
use nix::sys::stat::FileStat;

use crate::ObjectMeta;

/// Builds the metadata from the file's `stat`.
pub(super) fn object(key: String, stat: &FileStat) -> ObjectMeta {
    ObjectMeta {
        key,
        size: size(stat),
        etag: Some(etag(stat)),
        modified_at: modified_at(stat),
        ..ObjectMeta::default()
    }
}

pub(super) fn size(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// Time and size show a change. The inode number also shows a replacement within the same tick of the clock, because
/// writers replace files by new ones.
pub(super) fn etag(stat: &FileStat) -> String {
    format!("{:x}.{:x}-{:x}-{:x}", stat.st_mtime, stat.st_mtime_nsec, stat.st_size, stat.st_ino)
}

pub(super) fn modified_at(stat: &FileStat) -> Option<Timestamp> {
    Timestamp::new(stat.st_mtime, i32::try_from(stat.st_mtime_nsec).ok()?).ok()
}
