//! The journal of the buckets: a file with one JSON line per change, written before the change is made.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::object::Object;

/// A change of the buckets.
#[derive(Clone, Copy)]
pub(super) enum Change<'a> {
    Create { bucket: &'a str },
    Put { bucket: &'a str, key: &'a str, object: &'a Object },
    Remove { bucket: &'a str, key: &'a str },
}

/// A bucket, or an object if there is a key.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    pub(super) bucket: String,
    pub(super) key: Option<String>,
    /// The object was removed.
    pub(super) removed: bool,
    content_type: Option<String>,
    content_encoding: Option<String>,
    encryption: Option<String>,
    kms_key_id: Option<String>,
    modified: u64,
    /// In base64.
    bytes: String,
}

impl From<Change<'_>> for Line {
    fn from(change: Change<'_>) -> Self {
        match change {
            Change::Create { bucket } => Self { bucket: bucket.to_owned(), ..Self::default() },
            Change::Remove { bucket, key } => {
                Self { bucket: bucket.to_owned(), key: Some(key.to_owned()), removed: true, ..Self::default() }
            }
            Change::Put { bucket, key, object } => Self {
                bucket: bucket.to_owned(),
                key: Some(key.to_owned()),
                removed: false,
                content_type: object.content_type.clone(),
                content_encoding: object.content_encoding.clone(),
                encryption: object.encryption.clone(),
                kms_key_id: object.kms_key_id.clone(),
                modified: object.modified,
                bytes: STANDARD.encode(&object.bytes),
            },
        }
    }
}

impl Line {
    /// The stored object.
    ///
    /// # Errors
    /// Its content is not base64.
    pub(super) fn object(self) -> io::Result<Object> {
        let mut object = Object::new(STANDARD.decode(&self.bytes).map_err(io::Error::other)?);
        object.content_type = self.content_type;
        object.content_encoding = self.content_encoding;
        object.encryption = self.encryption;
        object.kms_key_id = self.kms_key_id;
        object.modified = self.modified;
        Ok(object)
    }
}

/// The open file. Each change is one `write`, so that a killed server leaves at most one torn line, its last.
pub(super) struct Journal(Mutex<File>);

impl Journal {
    /// A journal that goes on at the end of what was written to this file.
    pub(super) fn new(file: File) -> Self {
        Self(Mutex::new(file))
    }

    /// Writes a change. Once it returns, the change outlives the process.
    pub(super) fn append(&self, change: Change<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line::from(change))?;
        line.push(b'\n');
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }
}
