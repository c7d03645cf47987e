//! What is known of a regular file.

use jiff::Timestamp;
use nix::sys::stat::FileStat;

use crate::ObjectMeta;

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

pub(super) fn modified_at(stat: &FileStat) -> Option<Timestamp> {
    Timestamp::new(stat.st_mtime, i32::try_from(stat.st_mtime_nsec).ok()?).ok()
}
