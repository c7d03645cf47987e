//! A walk through folders in the byte order of whole keys.
//!
//! It reads and sorts one folder at a time and keeps the folders above it open, so memory is that of the largest
//! folders on one path. A folder's name sorts as if it ended in `/`, because its keys continue with `/`.

use std::collections::VecDeque;
use std::fs::DirEntry;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use longshore_model::FailureReason;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstat, fstatat};

use super::failure::{file_error, outside_root};
use super::folder::{Folder, UNFINISHED, kind, read_dir};
use super::object::object;
use crate::listed::describe;
use crate::{ErrorKind, ListPage, ListRequest, ListedObject, ListingFault, Op, StorageError};

/// A request for a page, in the terms of a walk.
pub(super) struct PageRequest {
    prefix: String,
    has_folders: bool,
    after: Option<String>,
    /// Whether `after` is the end of a page, so that a folder of that name is done.
    is_cursor: bool,
    pub(super) limit: usize,
}

impl PageRequest {
    pub(super) fn of(request: ListRequest<'_>) -> Self {
        Self {
            prefix: request.prefix.to_owned(),
            has_folders: request.delimiter.is_some(),
            after: request.start().map(str::to_owned),
            is_cursor: request.cursor.is_some(),
            limit: usize::from(request.limit.clamp(1, 1_000)),
        }
    }

    /// Whether this is a further page of a listing.
    pub(super) fn is_continuation(&self) -> bool {
        self.is_cursor
    }

    /// Whether no key in a folder comes after the start of the listing.
    fn is_past(&self, folder: &str) -> bool {
        let Some(after) = self.after.as_deref() else { return false };
        if after.starts_with(folder) { self.has_folders && self.is_cursor && after == folder } else { folder < after }
    }
}

/// A walk in progress.
pub(super) struct Walk {
    wanted: PageRequest,
    /// The open folders, from the outermost to the current one.
    open: Vec<OpenFolder>,
    /// The last listed key.
    last: Option<String>,
    /// The next entry, if it was already read.
    next_entry: Option<Entry>,
}

/// An open folder, with the names that are still to be listed.
struct OpenFolder {
    /// Ends in `/`.
    key: String,
    folder: OwnedFd,
    names: VecDeque<Name>,
}

struct Name {
    text: String,
    kind: NameKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NameKind {
    File,
    Folder,
    Link,
    Special,
    NotUtf8,
}

enum Entry {
    Object(ListedObject),
    Prefix(String),
}

impl Entry {
    fn key(&self) -> &str {
        match self {
            Self::Object(object) => object.key(),
            Self::Prefix(prefix) => prefix,
        }
    }
}

impl Walk {
    /// Starts a walk after the requested start.
    pub(super) fn begin(folder: &Folder, wanted: &PageRequest) -> Result<Self, StorageError> {
        folder.enter(Op::List)?;
        let (base, start) = wanted.prefix.rsplit_once('/').ok_or_else(|| outside_root(Op::List))?;
        let base = format!("{base}/");
        let is_below = base.starts_with(&folder.prefix());
        if !is_below || base.split('/').any(|name| matches!(name, "." | "..")) || base.contains("//") {
            return Err(outside_root(Op::List));
        }
        let wanted = PageRequest { prefix: wanted.prefix.clone(), after: wanted.after.clone(), ..*wanted };
        let mut walk = Self { wanted, open: Vec::new(), last: None, next_entry: None };
        match walk.enter(folder, base) {
            // No key has this prefix.
            Err(error) if error.reason == FailureReason::NoSuchObject => {}
            entered => entered?,
        }
        if let Some(outermost) = walk.open.first_mut() {
            outermost.names.retain(|name| name.text.starts_with(start));
        }
        walk.next_entry = walk.next(folder)?;
        Ok(walk)
    }

    /// Whether the next page of this walk is the requested one.
    pub(super) fn continues_at(&self, wanted: &PageRequest) -> bool {
        self.wanted.prefix == wanted.prefix
            && self.wanted.has_folders == wanted.has_folders
            && wanted.is_cursor
            && self.last == wanted.after
    }

    /// Reads one page.
    pub(super) fn page(&mut self, folder: &Folder, limit: usize) -> Result<ListPage, StorageError> {
        // The operator may have disabled the folder between two pages.
        folder.enter(Op::List)?;
        let mut page = ListPage::default();
        while let Some(listed) = self.next_entry.take() {
            if page.objects.len() + page.prefixes.len() == limit {
                page.next.clone_from(&self.last);
                self.next_entry = Some(listed);
                break;
            }
            self.last = Some(listed.key().to_owned());
            match listed {
                Entry::Object(object) => page.objects.push(object),
                Entry::Prefix(prefix) => page.prefixes.push(prefix),
            }
            self.next_entry = self.next(folder)?;
        }
        Ok(page)
    }

    /// Returns the next object or prefix, in order.
    fn next(&mut self, folder: &Folder) -> Result<Option<Entry>, StorageError> {
        while let Some(open) = self.open.last_mut() {
            let Some(name) = open.names.pop_front() else {
                self.open.pop();
                continue;
            };
            let key = format!("{}{}", open.key, name.text);
            if name.kind == NameKind::Folder {
                let key = format!("{key}/");
                if self.wanted.is_past(&key) {
                    continue;
                }
                if self.wanted.has_folders {
                    return Ok(Some(Entry::Prefix(key)));
                }
                match self.enter(folder, key.clone()) {
                    Ok(()) => {}
                    // The folder was deleted meanwhile.
                    Err(error) if error.kind == ErrorKind::NotFound => {}
                    // This entry represents all keys that cannot be listed.
                    Err(error) if error.kind == ErrorKind::Denied => {
                        return Ok(Some(Entry::Object(ListingFault::Unreadable.at(format!("{key}*")))));
                    }
                    Err(error) if error.reason == FailureReason::OutsideRoot => {
                        return Ok(Some(Entry::Object(ListingFault::OutsideRoot.at(format!("{key}*")))));
                    }
                    Err(error) => return Err(error),
                }
                continue;
            }
            if self.wanted.after.as_deref().is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            if let Some(object) = open.object(folder, &name, key)? {
                return Ok(Some(Entry::Object(object)));
            }
        }
        Ok(None)
    }

    /// Reads and sorts a folder.
    fn enter(&mut self, folder: &Folder, key: String) -> Result<(), StorageError> {
        let open = folder.folder(Op::List, &key)?;
        let entries = read_dir(&open).map_err(|error| file_error(Op::List, error))?;
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.and_then(|entry| Name::of(&entry)).map_err(|error| file_error(Op::List, error))?;
            if !name.text.starts_with(UNFINISHED) {
                names.push(name);
            }
        }
        names.sort_unstable_by(|a, b| a.bytes().cmp(b.bytes()));
        // Two names that are not UTF-8 may have the same description.
        names.dedup_by(|a, b| a.text == b.text);
        self.open.push(OpenFolder { key, folder: open, names: names.into() });
        Ok(())
    }
}

impl OpenFolder {
    /// Returns the listed object for a name. `None` if it was deleted or is a symlink to a folder.
    fn object(&self, folder: &Folder, name: &Name, key: String) -> Result<Option<ListedObject>, StorageError> {
        let stat = match name.kind {
            NameKind::NotUtf8 => return Ok(Some(ListingFault::NameNotUtf8.at(key))),
            NameKind::Link => match folder.open_path(Op::List, Path::new(&key)) {
                Ok(target) => fstat(&target),
                Err(error) if error.reason == FailureReason::OutsideRoot => {
                    return Ok(Some(ListingFault::OutsideRoot.at(key)));
                }
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(Some(ListingFault::BrokenLink.at(key))),
                Err(_) => return Ok(Some(ListingFault::Unreadable.at(key))),
            },
            NameKind::File | NameKind::Special | NameKind::Folder => {
                fstatat(&self.folder, name.text.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
            }
        };
        match stat {
            Err(nix::Error::ENOENT) => Ok(None),
            Err(error) => Err(file_error(Op::List, error.into())),
            Ok(stat) => Ok(match kind(stat.st_mode) {
                SFlag::S_IFREG => Some(object(key, &stat).into()),
                SFlag::S_IFDIR => None,
                _ => Some(ListingFault::NotAFile.at(key)),
            }),
        }
    }
}

impl Name {
    fn of(entry: &DirEntry) -> io::Result<Self> {
        let file_type = entry.file_type()?;
        let kind = if file_type.is_dir() {
            NameKind::Folder
        } else if file_type.is_file() {
            NameKind::File
        } else if file_type.is_symlink() {
            NameKind::Link
        } else {
            NameKind::Special
        };
        Ok(match entry.file_name().into_string() {
            Ok(text) => Self { text, kind },
            Err(bytes) => Self { text: describe(&bytes.into_vec()), kind: NameKind::NotUtf8 },
        })
    }

    /// The bytes that define the order.
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let slash = (self.kind == NameKind::Folder).then_some(b'/');
        self.text.bytes().chain(slash)
    }
}
