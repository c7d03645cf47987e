//! A stored object.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use s3s::crypto::{Checksum, Md5};

/// One stored object.
#[derive(Debug, Clone)]
pub struct Object {
    pub bytes: Bytes,
    pub content_type: Option<String>,
    /// `Content-Encoding`, as the writer sent it.
    pub content_encoding: Option<String>,
    /// `x-amz-server-side-encryption`, as the writer sent it.
    pub encryption: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`, as the writer sent it.
    pub kms_key_id: Option<String>,
    /// Unix time in whole seconds, the resolution of S3.
    pub modified: u64,
    md5: [u8; 16],
}

impl Object {
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        // A clock before 1970 gives 0; it is wrong anyway.
        let modified = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let md5 = Md5::checksum(&bytes);
        Self { bytes, content_type: None, content_encoding: None, encryption: None, kms_key_id: None, modified, md5 }
    }

    /// The MD5 of the content in hex, without quotes: the `ETag` that AWS gives to a single-part upload.
    pub fn etag(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.md5))
    }
}
