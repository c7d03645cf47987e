//! A walk through folders in the byte order of whole keys.
//!
//! One folder is read and sorted at a time, with those above it kept open: the memory is that of the
//! largest of them. A name that is a folder sorts as if it ended in `/`, for so its keys go on.

use std::collections::VecDeque;
use std::fs::DirEntry;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use longshore_model::FailureReason;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstat, fstatat};

use super::failure::{failed, outside};
use super::folder::{Folder, UNFINISHED, kind, read_dir};
use super::object::object;
use crate::listed::describe;
use crate::{ErrorKind, ListPage, ListRequest, Listed, ListingFault, Op, StorageError};

/// A listing that is asked for.
pub(super) struct Wanted {
    prefix: String,
    has_folders: bool,
    after: Option<String>,
    /// Whether `after` is where a page ended, so that a folder of that name is done.
    is_cursor: bool,
    pub(super) limit: usize,
}

impl Wanted {
    pub(super) fn of(request: ListRequest<'_>) -> Self {
        Self {
            prefix: request.prefix.to_owned(),
            has_folders: request.delimiter.is_some(),
            after: request.start().map(str::to_owned),
            is_cursor: request.cursor.is_some(),
            limit: usize::from(request.limit.clamp(1, 1_000)),
        }
    }

    /// Whether this is another page of a listing that was begun before.
    pub(super) fn goes_on(&self) -> bool {
        self.is_cursor
    }

    /// Whether nothing in a folder comes after the text that the listing begins behind.
    fn is_past(&self, folder: &str) -> bool {
        let Some(after) = self.after.as_deref() else { return false };
        if after.starts_with(folder) { self.has_folders && self.is_cursor && after == folder } else { folder < after }
    }
}

/// A walk under way.
pub(super) struct Walk {
    wanted: Wanted,
    /// The folders from the outermost to the one at hand.
    open: Vec<Open>,
    /// The key that was listed last.
    last: Option<String>,
    /// What comes next, if it has been looked for.
    ahead: Option<Entry>,
}

/// A folder with the names in it that are still to come.
struct Open {
    /// Ends in `/`.
    key: String,
    folder: OwnedFd,
    names: VecDeque<Name>,
}

struct Name {
    text: String,
    sort: Sort,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    File,
    Folder,
    Link,
    Special,
    NotUtf8,
}

enum Entry {
    Object(Listed),
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
    /// Begins behind the text that is asked for.
    pub(super) fn begin(folder: &Folder, wanted: &Wanted) -> Result<Self, StorageError> {
        folder.enter(Op::List)?;
        let (base, start) = wanted.prefix.rsplit_once('/').ok_or_else(|| outside(Op::List))?;
        let base = format!("{base}/");
        let is_below = base.starts_with(&folder.prefix());
        if !is_below || base.split('/').any(|name| matches!(name, "." | "..")) || base.contains("//") {
            return Err(outside(Op::List));
        }
        let wanted = Wanted { prefix: wanted.prefix.clone(), after: wanted.after.clone(), ..*wanted };
        let mut walk = Self { wanted, open: Vec::new(), last: None, ahead: None };
        match walk.enter(folder, base) {
            // Nothing begins so.
            Err(error) if error.reason == FailureReason::NoSuchObject => {}
            entered => entered?,
        }
        if let Some(outermost) = walk.open.first_mut() {
            outermost.names.retain(|name| name.text.starts_with(start));
        }
        walk.ahead = walk.next(folder)?;
        Ok(walk)
    }

    /// Whether the next page of this walk is the one that is asked for.
    pub(super) fn stands_at(&self, wanted: &Wanted) -> bool {
        self.wanted.prefix == wanted.prefix
            && self.wanted.has_folders == wanted.has_folders
            && wanted.is_cursor
            && self.last == wanted.after
    }

    /// One page.
    pub(super) fn page(&mut self, folder: &Folder, limit: usize) -> Result<ListPage, StorageError> {
        // Between two pages the folder may have been closed.
        folder.enter(Op::List)?;
        let mut page = ListPage::default();
        while let Some(listed) = self.ahead.take() {
            if page.objects.len() + page.prefixes.len() == limit {
                page.next.clone_from(&self.last);
                self.ahead = Some(listed);
                break;
            }
            self.last = Some(listed.key().to_owned());
            match listed {
                Entry::Object(object) => page.objects.push(object),
                Entry::Prefix(prefix) => page.prefixes.push(prefix),
            }
            self.ahead = self.next(folder)?;
        }
        Ok(page)
    }

    /// The next object or prefix, in order.
    fn next(&mut self, folder: &Folder) -> Result<Option<Entry>, StorageError> {
        while let Some(open) = self.open.last_mut() {
            let Some(name) = open.names.pop_front() else {
                self.open.pop();
                continue;
            };
            let key = format!("{}{}", open.key, name.text);
            if name.sort == Sort::Folder {
                let key = format!("{key}/");
                if self.wanted.is_past(&key) {
                    continue;
                }
                if self.wanted.has_folders {
                    return Ok(Some(Entry::Prefix(key)));
                }
                match self.enter(folder, key.clone()) {
                    Ok(()) => {}
                    // It went away.
                    Err(error) if error.kind == ErrorKind::NotFound => {}
                    // It stands for all that cannot be seen.
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
        let entries = read_dir(&open).map_err(|error| failed(Op::List, error))?;
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.and_then(|entry| Name::of(&entry)).map_err(|error| failed(Op::List, error))?;
            if !name.text.starts_with(UNFINISHED) {
                names.push(name);
            }
        }
        names.sort_unstable_by(|a, b| a.bytes().cmp(b.bytes()));
        // Two spellings of bytes that are not text may look alike.
        names.dedup_by(|a, b| a.text == b.text);
        self.open.push(Open { key, folder: open, names: names.into() });
        Ok(())
    }
}

impl Open {
    /// What is listed of a name; nothing if it is gone or is a link to a folder.
    fn object(&self, folder: &Folder, name: &Name, key: String) -> Result<Option<Listed>, StorageError> {
        let stat = match name.sort {
            Sort::NotUtf8 => return Ok(Some(ListingFault::NameNotUtf8.at(key))),
            Sort::Link => match folder.place(Op::List, Path::new(&key)) {
                Ok(place) => fstat(&place),
                Err(error) if error.reason == FailureReason::OutsideRoot => {
                    return Ok(Some(ListingFault::OutsideRoot.at(key)));
                }
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(Some(ListingFault::BrokenLink.at(key))),
                Err(_) => return Ok(Some(ListingFault::Unreadable.at(key))),
            },
            Sort::File | Sort::Special | Sort::Folder => {
                fstatat(&self.folder, name.text.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
            }
        };
        match stat {
            Err(nix::Error::ENOENT) => Ok(None),
            Err(error) => Err(failed(Op::List, error.into())),
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
        let kind = entry.file_type()?;
        let sort = if kind.is_dir() {
            Sort::Folder
        } else if kind.is_file() {
            Sort::File
        } else if kind.is_symlink() {
            Sort::Link
        } else {
            Sort::Special
        };
        Ok(match entry.file_name().into_string() {
            Ok(text) => Self { text, sort },
            Err(bytes) => Self { text: describe(&bytes.into_vec()), sort: Sort::NotUtf8 },
        })
    }

    /// What the keys are compared by.
    fn bytes(&self) -> impl Iterator<Item = u8> {
        let slash = (self.sort == Sort::Folder).then_some(b'/');
        self.text.bytes().chain(slash)
    }
}
