//! The folder of a storage: what may be one, and how names below it are opened.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use longshore_model::{FailureReason, LocalfilesConnection};
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::failure::{failed, no_folder, outside};
use super::file::{File, write_all};
use super::object::etag;
use crate::{ErrorKind, InvalidSetting, Op, Operator, StorageError};

/// What the name of a file begins with that is not whole yet. Listings leave such files out.
pub(super) const UNFINISHED: &str = ".longshore-part-";

/// How a folder is opened; one cannot be a link, except where that is judged afterwards.
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// The folder of a storage.
pub(super) struct Folder {
    path: String,
    /// As the operator wrote it, without trailing slashes; empty where it is the whole machine.
    root: String,
    is_open: bool,
}

/// A path as it is compared: absolute, without the spellings that mean the same.
pub(super) fn plain(path: &str) -> Result<String, InvalidSetting> {
    let wrong = |message| Err(InvalidSetting::new("path", message));
    if path.contains(['\0', '\\']) {
        return wrong("an absolute path, its folders parted by /");
    }
    if !path.starts_with('/') {
        return wrong("an absolute path: it begins with /");
    }
    if path.split('/').any(|name| matches!(name, "." | "..")) {
        return wrong("a path without . and ..");
    }
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    Ok(format!("/{}", names.join("/")))
}

impl Folder {
    pub(super) fn new(connection: &LocalfilesConnection, operator: &Operator) -> Result<Self, InvalidSetting> {
        let root = operator.local_files_root.to_string_lossy().trim_end_matches('/').to_owned();
        Ok(Self { path: plain(&connection.path)?, root, is_open: operator.local_files_serving })
    }

    /// The document root, without a trailing slash.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// What every key begins with.
    pub(super) fn prefix(&self) -> String {
        format!("{}/", self.path.trim_end_matches('/'))
    }

    /// Opens the folder, if it may be one: that it is there, is not the root, is below the root, and
    /// that the operator has opened files at all, in this order.
    pub(super) fn enter(&self, op: Op) -> Result<OwnedFd, StorageError> {
        let no = |reason| StorageError::new(op, ErrorKind::Denied, reason);
        let folder = open(Path::new(&self.path), FOLDER, Mode::empty()).map_err(|error| no_folder(op, error.into()))?;
        let real = place_of(&folder).map_err(|error| no_folder(op, error))?;
        let root = self.real_root().map_err(|_| no(FailureReason::OutsideRoot))?;
        if real == root || self.path.trim_end_matches('/') == self.root {
            return Err(no(FailureReason::RootItself));
        }
        if !real.starts_with(&root) || !Path::new(&self.path).starts_with(format!("{}/", self.root)) {
            return Err(no(FailureReason::OutsideRoot));
        }
        if !self.is_open {
            return Err(no(FailureReason::LocalFilesDisabled));
        }
        Ok(folder)
    }

    pub(super) fn can_read(&self) -> Result<(), StorageError> {
        let folder = self.enter(Op::List)?;
        read_dir(&folder).map(drop).map_err(|error| failed(Op::List, error))
    }

    /// Opens what a key names for reading, if it is a file that really lies below the root.
    ///
    /// It is opened without touching it first: to open a pipe may wait for ever, and a device may act.
    pub(super) fn open(&self, op: Op, key: &str) -> Result<File, StorageError> {
        self.enter(op)?;
        self.names(op, key)?;
        let place = self.place(op, Path::new(key))?;
        let stat = fstat(&place).map_err(|error| failed(op, error.into()))?;
        if kind(stat.st_mode) != SFlag::S_IFREG {
            return Err(StorageError::new(op, ErrorKind::NotFound, FailureReason::NoSuchObject));
        }
        let file = fs::File::open(link_to(&place)).map_err(|error| failed(op, error))?;
        Ok(File::new(file, &stat))
    }

    /// The place that a path leads to, which must be below the root.
    pub(super) fn place(&self, op: Op, path: &Path) -> Result<OwnedFd, StorageError> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let place = open(path, flags, Mode::empty()).map_err(|error| failed(op, error.into()))?;
        self.check_below(op, &place)?;
        Ok(place)
    }

    /// Opens a folder below this one to be read.
    pub(super) fn folder(&self, op: Op, key: &str) -> Result<OwnedFd, StorageError> {
        let folder = open(Path::new(key), FOLDER, Mode::empty()).map_err(|error| failed(op, error.into()))?;
        self.check_below(op, &folder)?;
        Ok(folder)
    }

    fn check_below(&self, op: Op, place: &OwnedFd) -> Result<(), StorageError> {
        let real = place_of(place).map_err(|error| failed(op, error))?;
        let root = self.real_root().map_err(|error| failed(op, error))?;
        if real.starts_with(&root) && real != root { Ok(()) } else { Err(outside(op)) }
    }

    fn real_root(&self) -> io::Result<PathBuf> {
        fs::canonicalize(if self.root.is_empty() { "/" } else { &self.root })
    }

    /// The names from this folder to what a key names; never `..` or the like.
    fn names<'a>(&self, op: Op, key: &'a str) -> Result<Vec<&'a str>, StorageError> {
        let below = key.strip_prefix(&self.prefix()).ok_or_else(|| outside(op))?;
        let names: Vec<&str> = below.split('/').collect();
        if names.iter().any(|name| matches!(*name, "" | "." | "..") || name.contains('\0')) {
            return Err(outside(op));
        }
        Ok(names)
    }

    /// Writes a file beside its place and moves it there when it is whole and on disk.
    pub(super) fn put(&self, key: &str, content: &[u8]) -> Result<String, StorageError> {
        let (folder, name) = self.parent(Op::Put, key, true)?;
        let draft = format!("{UNFINISHED}{:016x}", rand::random::<u64>());
        let written = || -> io::Result<String> {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let file = openat(&folder, draft.as_str(), flags, Mode::from_bits_truncate(0o644))?;
            let file = write_all(file, content)?;
            let stat = fstat(&file)?;
            renameat(&folder, draft.as_str(), &folder, name)?;
            // The name is on disk as well.
            nix::unistd::fsync(&folder)?;
            Ok(etag(&stat))
        };
        written().map_err(|error| {
            // It may not even exist; the first failure is the one to tell of.
            unlinkat(&folder, draft.as_str(), UnlinkatFlags::NoRemoveDir).ok();
            failed(Op::Put, error)
        })
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), StorageError> {
        let gone = |error: &StorageError| error.reason == FailureReason::NoSuchObject;
        let (folder, name) = match self.parent(Op::Delete, key, false) {
            Err(error) if gone(&error) => return Ok(()),
            parent => parent?,
        };
        match unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir).map_err(|error| failed(Op::Delete, error.into())) {
            Err(error) if gone(&error) => Ok(()),
            result => result,
        }
    }

    /// The folder that a key's file lies in, and the file's name. No folder on the way may be a link.
    fn parent<'a>(&self, op: Op, key: &'a str, is_made: bool) -> Result<(OwnedFd, &'a str), StorageError> {
        let mut folder = self.enter(op)?;
        let mut names = self.names(op, key)?;
        let name = names.pop().ok_or_else(|| outside(op))?;
        for step in names {
            if is_made {
                match mkdirat(&folder, step, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(nix::Error::EEXIST) => {}
                    Err(error) => return Err(failed(op, error.into())),
                }
            }
            let opened = openat(&folder, step, FOLDER | OFlag::O_NOFOLLOW, Mode::empty());
            folder = match opened {
                Ok(folder) => folder,
                // A link, or a file where a folder should be.
                Err(nix::Error::ELOOP | nix::Error::ENOTDIR) if is_made => return Err(outside(op)),
                Err(error) => return Err(failed(op, error.into())),
            };
        }
        Ok((folder, name))
    }
}

/// The names in an open folder.
pub(super) fn read_dir(folder: &OwnedFd) -> io::Result<fs::ReadDir> {
    fs::read_dir(link_to(folder))
}

/// What the type bits of a mode say.
pub(super) fn kind(mode: nix::libc::mode_t) -> SFlag {
    SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits())
}

/// Where something really lies that is open.
fn place_of(open: &OwnedFd) -> io::Result<PathBuf> {
    fs::read_link(link_to(open))
}

/// The way to something that is open, whatever its name has become since.
fn link_to(open: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", open.as_fd().as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_paths_are_taken() {
        assert_eq!(plain("/data//pics/").unwrap(), "/data/pics");
        for path in ["", "data", "C:/data", "C:\\data", "/data/../etc", "/data/./x", "/data\\..\\etc", "/a\0b"] {
            assert_eq!(plain(path).err().map(|setting| setting.field), Some("path"), "{path:?}");
        }
        // Nothing is decoded.
        assert_eq!(plain("/data/%2e%2e/etc").unwrap(), "/data/%2e%2e/etc");
    }
}
