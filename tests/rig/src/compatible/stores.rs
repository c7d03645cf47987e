//! The stores: what AWS does, and how others differ from it.

use super::profile::{Continuation, Document, KeyOrder, Profile, SecondVersion, Spelling, Start, Truncation};

/// What AWS does, with small pages.
pub const AWS: Profile = Profile {
    name: "aws",
    order: KeyOrder::Bytes,
    start: Start::Strict,
    spelling: Spelling::Url,
    second_version: SecondVersion::Answered,
    has_tokens: true,
    honors_tokens: true,
    page: 100,
    short_is_last: false,
    empty_pages: 0,
    truncation: Truncation::Said { yes: "true", no: "false" },
    continuation: Continuation::Key,
    document: Document::Plain,
    ignores_prefix: false,
    ignores_limit: false,
    has_head: true,
    ignores_delimiter: false,
    rolls_up: false,
    omitted: &[],
    namespace: "",
    start_must_be_below_prefix: false,
};

/// Stores that list to the end. Each is named after the product of a report.
pub const STORES: &[Profile] = &[
    AWS,
    Profile { name: "radosgw-first-version", second_version: SecondVersion::AsFirst, start: Start::Ignored, ..AWS },
    Profile {
        name: "gcs-interoperability",
        second_version: SecondVersion::AsFirst,
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
    Profile { name: "eos", truncation: Truncation::IfMore, omitted: &["MaxKeys"], ..AWS },
    Profile { name: "cos", namespace: "ns2", ..AWS },
    Profile { name: "tiny-pages", page: 7, ..AWS },
    Profile { name: "no-tokens-but-markers", has_tokens: false, order: KeyOrder::Hash, start: Start::Ignored, ..AWS },
    Profile { name: "nutanix", short_is_last: true, page: 1_000, ..AWS },
    Profile { name: "backblaze", has_tokens: false, start_must_be_below_prefix: true, ..AWS },
    Profile {
        name: "unordered-first-version",
        second_version: SecondVersion::AsFirst,
        order: KeyOrder::Hash,
        start: Start::Ignored,
        omitted: &["NextMarker"],
        ..AWS
    },
    Profile { name: "capital-truth", truncation: Truncation::Said { yes: "True", no: "False" }, ..AWS },
    Profile { name: "number-truth", truncation: Truncation::Said { yes: " 1\n", no: " 0\n" }, ..AWS },
    Profile { name: "silent", truncation: Truncation::Unsaid, ..AWS },
    Profile { name: "silent-without-tokens", truncation: Truncation::Unsaid, has_tokens: false, ..AWS },
    Profile {
        name: "silent-first-version",
        truncation: Truncation::Unsaid,
        second_version: SecondVersion::AsFirst,
        start: Start::Ignored,
        omitted: &["NextMarker", "MaxKeys"],
        ..AWS
    },
    Profile { name: "stale-tokens", continuation: Continuation::Always, ..AWS },
    Profile { name: "overlapping-pages", continuation: Continuation::Overlapping, ..AWS },
    Profile {
        name: "opaque-tokens",
        continuation: Continuation::Opaque,
        order: KeyOrder::Hash,
        start: Start::Ignored,
        ..AWS
    },
    Profile {
        name: "opaque-markers",
        continuation: Continuation::Opaque,
        second_version: SecondVersion::AsFirst,
        order: KeyOrder::Hash,
        start: Start::Ignored,
        ..AWS
    },
    Profile { name: "second-version-400", second_version: SecondVersion::Refused(400, "InvalidArgument"), ..AWS },
    Profile { name: "second-version-403", second_version: SecondVersion::Refused(403, ""), ..AWS },
    Profile { name: "second-version-405", second_version: SecondVersion::Refused(405, "MethodNotAllowed"), ..AWS },
    Profile {
        name: "second-version-501",
        second_version: SecondVersion::Refused(501, "NotImplemented"),
        order: KeyOrder::Hash,
        ..AWS
    },
    Profile { name: "second-version-404", second_version: SecondVersion::Refused(404, ""), page: 1_000, ..AWS },
    Profile { name: "unclaimed-url", spelling: Spelling::UnclaimedUrl, ..AWS },
    Profile { name: "without-head", spelling: Spelling::ClaimedUrl, has_head: false, ..AWS },
    Profile { name: "ignores-prefix", ignores_prefix: true, ..AWS },
    Profile { name: "ignores-delimiter", ignores_delimiter: true, ..AWS },
    Profile { name: "ignores-limit", ignores_limit: true, ..AWS },
    Profile { name: "large-pages", ignores_limit: true, page: 1_040, ..AWS },
    Profile { name: "utf-16-order", order: KeyOrder::Utf16, ..AWS },
    Profile { name: "undeclared", document: Document::Undeclared, ..AWS },
    Profile { name: "marked", document: Document::Marked, ..AWS },
    Profile { name: "utf-16", document: Document::Utf16, spelling: Spelling::Raw, ..AWS },
    Profile { name: "latin-1", document: Document::Latin1, spelling: Spelling::Raw, ..AWS },
    Profile { name: "packed", document: Document::Packed, ..AWS },
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
        second_version: SecondVersion::AsFirst,
        order: KeyOrder::Hash,
        start: Start::Ignored,
        ..AWS
    },
    Profile { name: "circle-of-tokens", continuation: Continuation::Circle, start: Start::Ignored, ..AWS },
    Profile { name: "uninvited-folders", rolls_up: true, ..AWS },
];
