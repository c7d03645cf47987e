//! Why an object or an annotation is in quarantine. The set is closed, so a reason can be a metric label and code can
//! decide by it.

use serde::{Deserialize, Serialize};

use crate::word::words;

words! {
    /// Why one object or one annotation is in quarantine.
    QuarantineReason {
        /// The object has no bytes.
        Empty = "empty",
        /// The content is not JSON, or is cut off.
        InvalidJson = "invalid_json",
        /// The bytes are not UTF-8.
        NotUtf8 = "not_utf8",
        /// A JSON value that is neither an object nor a list of objects.
        WrongType = "wrong_type",
        /// Nested deeper than the limit.
        TooDeep = "too_deep",
        /// Larger than the size limit, as stored or after decompression.
        TooLarge = "too_large",
        /// More items than one object may hold.
        TooManyItems = "too_many_items",
        /// `annotations` or `predictions` without `data`.
        MissingData = "missing_data",
        /// `annotations` is not a list of usable annotations.
        InvalidAnnotations = "invalid_annotations",
        /// `predictions` is not a list of usable predictions.
        InvalidPredictions = "invalid_predictions",
        /// A `.gz` or `.zst` object that cannot be decompressed.
        CorruptCompression = "corrupt_compression",
        /// An extension that is neither JSON nor a supported compression of it.
        UnsupportedExtension = "unsupported_extension",
        /// A value that Postgres cannot store, such as `\u0000` in a text.
        UnsupportedValue = "unsupported_value",
        /// A key that Postgres cannot store.
        UnsupportedKey = "unsupported_key",
        /// A Redis value that is not a string, such as a list or a hash.
        WrongValueType = "wrong_value_type",
        /// The file filter needs too many steps to decide whether it matches the key.
        FilterTooSlow = "filter_too_slow",
        /// The path is not a regular file but a pipe, a socket or a device.
        NotAFile = "not_a_file",
        /// The storage denies access to this one object.
        Denied = "denied",
        /// The storage did not return or accept this one object, even after retries, or returned something else than its
        /// listing shows.
        Unavailable = "unavailable",
        /// The storage rejects the request for this one object as invalid.
        Refused = "refused",
        /// The worker stopped or stalled each time it worked on this one object.
        Poison = "poison",
    }
}

impl QuarantineReason {
    /// Whether the next sync tries the object again even if it has not changed.
    pub const fn is_transient(self) -> bool {
        match self {
            // `FilterTooSlow`: the user may have changed the filter, and no etag shows that.
            Self::FilterTooSlow => true,
            // Rights, and what is between Longshore and the storage, change without a new etag.
            Self::Unavailable | Self::Denied | Self::Refused => true,
            Self::Empty
            | Self::InvalidJson
            | Self::NotUtf8
            | Self::WrongType
            | Self::TooDeep
            | Self::TooLarge
            | Self::TooManyItems
            | Self::MissingData
            | Self::InvalidAnnotations
            | Self::InvalidPredictions
            | Self::CorruptCompression
            | Self::UnsupportedExtension
            | Self::UnsupportedValue
            | Self::UnsupportedKey
            | Self::WrongValueType
            | Self::NotAFile
            | Self::Poison => false,
        }
    }
}
