//! An open file: its metadata and its content.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use jiff::Timestamp;
use nix::sys::stat::{FileStat, fstat};

use super::failure::file_error;
use super::object::{etag, modified_at, size};
use crate::{Op, StorageError};

/// An open file, with its metadata at the time of opening.
pub(super) struct File {
    file: fs::File,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) modified_at: Option<Timestamp>,
}

impl File {
    pub(super) fn new(file: fs::File, stat: &FileStat) -> Self {
        Self { file, size: size(stat), etag: etag(stat), modified_at: modified_at(stat) }
    }

    /// Reads `length` bytes; fewer only at the end of the file.
    pub(super) fn read(&self, from: u64, length: u64) -> Result<Bytes, StorageError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut buffer = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.file.read_at(&mut buffer[filled..], from + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(file_error(Op::Get, error)),
            }
        }
        buffer.truncate(filled);
        Ok(buffer.into())
    }

    /// The file's current etag.
    pub(super) fn etag_now(&self) -> Result<String, StorageError> {
        fstat(&self.file).map(|stat| etag(&stat)).map_err(|error| file_error(Op::Get, error.into()))
    }
}

/// Writes the content and flushes it to disk.
pub(super) fn write_all(file: OwnedFd, content: &[u8]) -> io::Result<fs::File> {
    let mut file = fs::File::from(file);
    file.write_all(content)?;
    file.sync_all()?;
    Ok(file)
}
