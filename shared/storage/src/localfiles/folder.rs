//! The folder of a storage: which folders are allowed, and how paths below it are opened.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use longshore_model::{FailureReason, LocalfilesConnection};
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::failure::{file_error, folder_error, outside_root};
use super::file::{File, write_all};
use super::object::etag;
use super::root::DocumentRoot;
use crate::{ErrorKind, InvalidSetting, Op, Operator, StorageError};

/// The prefix of temporary names of files that are still being written. Listings skip such files.
pub(super) const UNFINISHED: &str = ".longshore-part-";

/// Flags for opening a folder. The callers check afterwards where it really is, or add `O_NOFOLLOW`.
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// The folder of a storage.
pub(super) struct Folder {
    path: String,
    project: i64,
    /// `None` if the operator opens no folder.
    root: Option<DocumentRoot>,
    is_open: bool,
}

/// Normalizes a path: absolute, with single slashes and without a trailing one.
pub(super) fn normalize(path: &str) -> Result<String, InvalidSetting> {
    let invalid = |message| Err(InvalidSetting::new("path", message));
    if path.contains(['\0', '\\']) {
        return invalid("must be an absolute path, with folders separated by /");
    }
    if path.starts_with("file:") {
        return invalid("must be a path alone: take file:// away");
    }
    if !path.starts_with('/') {
        return invalid("must be an absolute path: start it with /");
    }
    if path.split('/').any(|name| matches!(name, "." | "..")) {
        return invalid("must not contain . or ..");
    }
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    Ok(format!("/{}", names.join("/")))
}

impl Folder {
    pub(super) fn new(
        project: i64,
        connection: &LocalfilesConnection,
        operator: &Operator,
    ) -> Result<Self, InvalidSetting> {
        let root = operator.local_files_root.clone();
        Ok(Self { path: normalize(&connection.path)?, project, root, is_open: operator.local_files_serving })
    }

    /// The folder that URIs are relative to, without a trailing slash.
    pub(super) fn base(&self) -> &str {
        self.root.as_ref().map_or("", DocumentRoot::base)
    }

    /// The prefix of every key.
    pub(super) fn prefix(&self) -> String {
        format!("{}/", self.path.trim_end_matches('/'))
    }

    /// Opens the folder, if it may be used.
    ///
    /// Checks in this order that the operator has a root, that the path is below it and not the root,
    /// that the folder exists, that its real path is below the real root, and that the operator has enabled local files.
    pub(super) fn enter(&self, op: Op) -> Result<OwnedFd, StorageError> {
        let denied = |reason| StorageError::new(op, ErrorKind::Denied, reason);
        let root = self.root.as_ref().ok_or_else(|| denied(FailureReason::LocalFilesDisabled))?;
        // Before the disk is read: which folders exist elsewhere is not for this project to know.
        if self.path == root.of(self.project) {
            return Err(denied(FailureReason::RootItself));
        }
        if !root.holds(self.project, &self.path) {
            return Err(denied(FailureReason::OutsideRoot));
        }
        let folder =
            open(Path::new(&self.path), FOLDER, Mode::empty()).map_err(|error| folder_error(op, error.into()))?;
        let real = real_path(&folder).map_err(|error| folder_error(op, error))?;
        let real_root = self.real_root().map_err(|_| denied(FailureReason::OutsideRoot))?;
        if real == real_root {
            return Err(denied(FailureReason::RootItself));
        }
        if !real.starts_with(&real_root) {
            return Err(denied(FailureReason::OutsideRoot));
        }
        if !self.is_open {
            return Err(denied(FailureReason::LocalFilesDisabled));
        }
        Ok(folder)
    }

    pub(super) fn check_read(&self) -> Result<(), StorageError> {
        let folder = self.enter(Op::List)?;
        read_dir(&folder).map(drop).map_err(|error| file_error(Op::List, error))
    }

    /// Opens the file of a key for reading, if it is a regular file that is really below the root.
    ///
    /// The path is first opened with `O_PATH`, which has no effect on the file: opening a pipe could block forever,
    /// and opening a device could trigger an action.
    pub(super) fn open(&self, op: Op, key: &str) -> Result<File, StorageError> {
        self.enter(op)?;
        self.names(op, key)?;
        let target = self.open_path(op, Path::new(key))?;
        let stat = fstat(&target).map_err(|error| file_error(op, error.into()))?;
        if kind(stat.st_mode) != SFlag::S_IFREG {
            return Err(StorageError::new(op, ErrorKind::NotFound, FailureReason::NoSuchObject));
        }
        let file = fs::File::open(fd_path(&target)).map_err(|error| file_error(op, error))?;
        Ok(File::new(file, &stat))
    }

    /// Opens a path with `O_PATH`; its real path must be below the root.
    pub(super) fn open_path(&self, op: Op, path: &Path) -> Result<OwnedFd, StorageError> {
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let target = open(path, flags, Mode::empty()).map_err(|error| file_error(op, error.into()))?;
        self.check_below(op, &target)?;
        Ok(target)
    }

    /// Opens a folder below this one for reading.
    pub(super) fn folder(&self, op: Op, key: &str) -> Result<OwnedFd, StorageError> {
        let folder = open(Path::new(key), FOLDER, Mode::empty()).map_err(|error| file_error(op, error.into()))?;
        self.check_below(op, &folder)?;
        Ok(folder)
    }

    fn check_below(&self, op: Op, target: &OwnedFd) -> Result<(), StorageError> {
        let real = real_path(target).map_err(|error| file_error(op, error))?;
        let root = self.real_root().map_err(|error| file_error(op, error))?;
        if real.starts_with(&root) && real != root { Ok(()) } else { Err(outside_root(op)) }
    }

    fn real_root(&self) -> io::Result<PathBuf> {
        let none = || io::Error::from(io::ErrorKind::PermissionDenied);
        self.root.as_ref().ok_or_else(none)?.real(self.project)
    }

    /// The path components from this folder to the key's file; never `.`, `..` or empty.
    fn names<'a>(&self, op: Op, key: &'a str) -> Result<Vec<&'a str>, StorageError> {
        let below = key.strip_prefix(&self.prefix()).ok_or_else(|| outside_root(op))?;
        let names: Vec<&str> = below.split('/').collect();
        if names.iter().any(|name| matches!(*name, "" | "." | "..") || name.contains('\0')) {
            return Err(outside_root(op));
        }
        Ok(names)
    }

    /// Writes a temporary file in the same folder and renames it once it is complete and on disk.
    pub(super) fn put(&self, key: &str, content: &[u8]) -> Result<String, StorageError> {
        let (folder, name) = self.parent(Op::Put, key, true)?;
        let draft = format!("{UNFINISHED}{:016x}", rand::random::<u64>());
        let written = || -> io::Result<String> {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let file = openat(&folder, draft.as_str(), flags, Mode::from_bits_truncate(0o644))?;
            let file = write_all(file, content)?;
            let stat = fstat(&file)?;
            renameat(&folder, draft.as_str(), &folder, name)?;
            // Flush the folder too, so that the name is on disk.
            nix::unistd::fsync(&folder)?;
            Ok(etag(&stat))
        };
        written().map_err(|error| {
            // The temporary file may not exist; report the first failure.
            unlinkat(&folder, draft.as_str(), UnlinkatFlags::NoRemoveDir).ok();
            file_error(Op::Put, error)
        })
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), StorageError> {
        let is_missing = |error: &StorageError| error.reason == FailureReason::NoSuchObject;
        let (folder, name) = match self.parent(Op::Delete, key, false) {
            Err(error) if is_missing(&error) => return Ok(()),
            parent => parent?,
        };
        match unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir).map_err(|error| file_error(Op::Delete, error.into()))
        {
            Err(error) if is_missing(&error) => Ok(()),
            result => result,
        }
    }

    /// Opens the folder of a key's file, and returns it with the file's name. No folder on the way may be a symlink.
    fn parent<'a>(&self, op: Op, key: &'a str, create: bool) -> Result<(OwnedFd, &'a str), StorageError> {
        let mut folder = self.enter(op)?;
        let mut names = self.names(op, key)?;
        let name = names.pop().ok_or_else(|| outside_root(op))?;
        for step in names {
            if create {
                match mkdirat(&folder, step, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(nix::Error::EEXIST) => {}
                    Err(error) => return Err(file_error(op, error.into())),
                }
            }
            let opened = openat(&folder, step, FOLDER | OFlag::O_NOFOLLOW, Mode::empty());
            folder = match opened {
                Ok(folder) => folder,
                // A symlink, or a file where a folder should be.
                Err(nix::Error::ELOOP | nix::Error::ENOTDIR) if create => return Err(outside_root(op)),
                Err(error) => return Err(file_error(op, error.into())),
            };
        }
        Ok((folder, name))
    }
}

/// The names in an open folder.
pub(super) fn read_dir(folder: &OwnedFd) -> io::Result<fs::ReadDir> {
    fs::read_dir(fd_path(folder))
}

/// The file type in a mode.
pub(super) fn kind(mode: nix::libc::mode_t) -> SFlag {
    SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits())
}

/// The real path of an open file or folder.
fn real_path(open: &OwnedFd) -> io::Result<PathBuf> {
    fs::read_link(fd_path(open))
}

/// A path to an open file or folder that stays valid if it is renamed.
fn fd_path(open: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", open.as_fd().as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_absolute_paths_are_accepted() {
        assert_eq!(normalize("/data//pics/").unwrap(), "/data/pics");
        for path in ["", "data", "C:/data", "C:\\data", "/data/../etc", "/data/./x", "/data\\..\\etc", "/a\0b"] {
            assert_eq!(normalize(path).err().map(|setting| setting.field), Some("path"), "{path:?}");
        }
        // Percent-encoding is not decoded.
        assert_eq!(normalize("/data/%2e%2e/etc").unwrap(), "/data/%2e%2e/etc");
    }
}
