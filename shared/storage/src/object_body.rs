//! The bytes of an object, and the check of an answer against the listing.
//!
//! A proxy between Longshore and the storage may answer 200 with its error page, or with a part of the object and a
//! length to match. Such a body may still be valid JSON. What tells it from the object is the etag and the size in the
//! listing, which comes by another request.

use bytes::Bytes;
use jiff::Timestamp;
use longshore_model::FailureReason;

use crate::{ErrorKind, ObjectMeta, Op, StorageError};

/// The bytes of an object, with the metadata of the answer.
#[derive(Debug, Clone, Default)]
pub struct ObjectBody {
    pub bytes: Bytes,
    /// Size of the object as it is stored, in bytes. It differs from the length of `bytes` if a byte range was read, or
    /// if the object was decompressed on the way.
    pub stored_size: u64,
    pub etag: Option<String>,
    pub content_type: Option<String>,
    /// The encoding of `bytes`, such as `gzip`; a browser would decode it.
    pub content_encoding: Option<String>,
    pub modified_at: Option<Timestamp>,
    /// The MD5 of the bytes as the storage states it. `None` if it states none, or that of other bytes, as for
    /// multipart uploads and objects that are encrypted with a KMS key.
    pub md5: Option<[u8; 16]>,
}

impl ObjectBody {
    /// Whether this is the listed version of the object, as far as etags and sizes tell.
    ///
    /// If not, the object was written after it was listed, or the server's listings state other etags than its answers.
    pub fn is_listed(&self, listed: &ObjectMeta) -> bool {
        match &listed.etag {
            Some(_) => self.etag == listed.etag,
            None => self.has_size_of(listed),
        }
    }

    /// Whether its size is the listed one, as far as the listing states it.
    pub fn has_size_of(&self, listed: &ObjectMeta) -> bool {
        listed.known_size().is_none_or(|size| size == self.stored_size)
    }

    /// The same body, unless it cannot be the listed object nor a later version of it.
    pub(crate) fn checked(self, listed: &ObjectMeta) -> Result<Self, StorageError> {
        let lacks_etag = listed.etag.is_some() && self.etag.is_none();
        let is_cut = listed.etag.is_some() && self.etag == listed.etag && !self.has_size_of(listed);
        if lacks_etag || is_cut { Err(mismatch()) } else { Ok(self) }
    }
}

/// The error for an answer that is not the object. The next answer may be.
fn mismatch() -> StorageError {
    StorageError::new(Op::Get, ErrorKind::Unavailable, FailureReason::ContentMismatch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(etag: Option<&str>, size: u64) -> ObjectMeta {
        ObjectMeta { key: "k".into(), size, etag: etag.map(Into::into), ..ObjectMeta::default() }
    }

    fn body(etag: Option<&str>, stored_size: u64) -> ObjectBody {
        ObjectBody { etag: etag.map(Into::into), stored_size, ..ObjectBody::default() }
    }

    #[test]
    fn an_answer_without_the_listed_etag_or_with_another_size_is_not_the_object() {
        let mismatches = |etag, size, listed: ObjectMeta| body(etag, size).checked(&listed).is_err();
        for (etag, size) in [(None, 5), (None, 4), (Some("a"), 4), (Some("a"), 6)] {
            assert!(mismatches(etag, size, listed(Some("a"), 5)), "{etag:?} {size}");
        }
        for (etag, size) in [(Some("a"), 5), (Some("b"), 5), (Some("b"), 9)] {
            assert!(!mismatches(etag, size, listed(Some("a"), 5)), "{etag:?} {size}");
        }
        assert!(!mismatches(None, 4, listed(None, 5)) && !mismatches(Some("a"), 4, listed(None, 5)));
    }

    #[test]
    fn another_etag_is_another_version_and_without_etags_another_size() {
        assert!(body(Some("a"), 5).is_listed(&listed(Some("a"), 5)) && body(None, 5).is_listed(&listed(None, 5)));
        let unsized_object = ObjectMeta { lacks_size: true, ..listed(None, 0) };
        assert!(body(None, 5).is_listed(&unsized_object) && body(Some("a"), 5).checked(&unsized_object).is_ok());
        assert!(!body(Some("b"), 5).is_listed(&listed(Some("a"), 5)) && !body(None, 4).is_listed(&listed(None, 5)));
    }
}
