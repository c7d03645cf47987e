//! How stores that call themselves compatible with S3 list, as their users reported it.

use std::cmp::{Ordering, Reverse};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// The order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    Bytes,
    /// As of encrypted names.
    Hash,
    /// The latest first.
    Time,
    /// As of file systems that do not tell `a` from `A`.
    IgnoreCase,
    /// As of stores that list folder by folder.
    Folders,
}

impl KeyOrder {
    /// Compares two keys; `a` and `b` are their times.
    pub(super) fn compare(self, (key, time): (&str, usize), (other, other_time): (&str, usize)) -> Ordering {
        match self {
            Self::Bytes => key.cmp(other),
            Self::Hash => hash(key).cmp(&hash(other)),
            Self::Time => Reverse(time).cmp(&Reverse(other_time)),
            Self::IgnoreCase => (key.to_lowercase(), key).cmp(&(other.to_lowercase(), other)),
            Self::Folders => key.split('/').cmp(other.split('/')),
        }
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Where a listing begins that is to start after a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After it, in the order of bytes.
    Strict,
    /// With it, if it is a key.
    Inclusive,
    /// After it if it is a key, otherwise at the beginning.
    OfKeysOnly,
    /// At the beginning.
    Ignored,
}

/// How keys are written when the client asks for `encoding-type=url`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    Url,
    /// Also slashes are encoded.
    Slashes,
    /// The parameter is ignored.
    Raw,
    /// The answer says `url`, but keys are as they are.
    ClaimedUrl,
}

/// A store.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    pub order: KeyOrder,
    pub start: Start,
    pub spelling: Spelling,
    /// Whether `list-type=2` is ignored.
    pub is_first_version: bool,
    /// Whether pages have a token, or in the first version a marker.
    pub has_tokens: bool,
    /// Whether tokens and markers have an effect.
    pub honors_tokens: bool,
    /// Most keys of a page.
    pub page: usize,
    /// Whether each page that was asked for with fewer than 1,000 keys says that it is the last.
    pub short_is_last: bool,
    /// Every so many pages, a page is empty and has a token. 0: none.
    pub empty_pages: usize,
    /// Elements that the answer does not have.
    pub omitted: &'static [&'static str],
    /// Namespace prefix of all elements.
    pub namespace: &'static str,
    /// Whether a start outside of the prefix gives nothing.
    pub start_must_be_below_prefix: bool,
}

/// What AWS does, with small pages.
pub const AWS: Profile = Profile {
    name: "aws",
    order: KeyOrder::Bytes,
    start: Start::Strict,
    spelling: Spelling::Url,
    is_first_version: false,
    has_tokens: true,
    honors_tokens: true,
    page: 100,
    short_is_last: false,
    empty_pages: 0,
    omitted: &[],
    namespace: "",
    start_must_be_below_prefix: false,
};

/// Stores that list to the end. Each is named after the product of a report.
pub const STORES: &[Profile] = &[
    AWS,
    Profile { name: "radosgw-first-version", is_first_version: true, start: Start::Ignored, ..AWS },
    Profile {
        name: "gcs-interoperability",
        is_first_version: true,
        start: Start::Ignored,
        omitted: &["NextMarker"],
        ..AWS
    },
    Profile { name: "rustfs", start: Start::Inclusive, ..AWS },
    Profile { name: "idrive-e2", start: Start::Inclusive, spelling: Spelling::Slashes, ..AWS },
    Profile { name: "storj", order: KeyOrder::Hash, start: Start::OfKeysOnly, ..AWS },
    Profile { name: "s3-express", order: KeyOrder::Hash, start: Start::Ignored, ..AWS },
    Profile { name: "rclone-serve", order: KeyOrder::Time, start: Start::Strict, ..AWS },
    Profile { name: "windows-gateway", order: KeyOrder::IgnoreCase, start: Start::OfKeysOnly, ..AWS },
    Profile { name: "swiftstack", order: KeyOrder::Folders, start: Start::Strict, ..AWS },
    Profile { name: "openstack-swift3", start: Start::Ignored, ..AWS },
    Profile { name: "tiledb-empty-pages", empty_pages: 1, ..AWS },
    Profile { name: "s3ql-empty-pages", empty_pages: 3, order: KeyOrder::Hash, start: Start::Ignored, ..AWS },
    Profile { name: "digitalocean", spelling: Spelling::Slashes, ..AWS },
    Profile { name: "seaweedfs", spelling: Spelling::ClaimedUrl, ..AWS },
    Profile { name: "old-ceph", spelling: Spelling::Raw, ..AWS },
    Profile { name: "oss", omitted: &["KeyCount", "ETag", "Size", "LastModified", "StorageClass"], ..AWS },
    Profile { name: "eos", omitted: &["IsTruncated", "MaxKeys"], ..AWS },
    Profile { name: "cos", namespace: "ns2", ..AWS },
    Profile { name: "tiny-pages", page: 7, ..AWS },
    Profile { name: "no-tokens-but-markers", has_tokens: false, order: KeyOrder::Hash, start: Start::Ignored, ..AWS },
    Profile { name: "nutanix", short_is_last: true, page: 1_000, ..AWS },
    Profile { name: "backblaze", has_tokens: false, start_must_be_below_prefix: true, ..AWS },
    Profile {
        name: "unordered-first-version",
        is_first_version: true,
        order: KeyOrder::Hash,
        start: Start::Ignored,
        omitted: &["NextMarker"],
        ..AWS
    },
];

/// Stores whose listing no client can follow to its end.
pub const UNLISTABLE: &[Profile] = &[
    Profile {
        name: "no-tokens",
        has_tokens: false,
        honors_tokens: false,
        order: KeyOrder::Hash,
        start: Start::Ignored,
        ..AWS
    },
    Profile { name: "ignored-tokens", honors_tokens: false, start: Start::Ignored, ..AWS },
    Profile {
        name: "ignored-markers",
        honors_tokens: false,
        is_first_version: true,
        order: KeyOrder::Hash,
        start: Start::Ignored,
        ..AWS
    },
];
