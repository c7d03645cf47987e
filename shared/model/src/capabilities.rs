//! What a store can do, as probes found.

use serde::{Deserialize, Serialize};

/// What the listings of a storage can do. Every field is `None` until a probe has shown it; a few keys show little.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// How a listing is continued. `None` while all keys fit on one page.
    pub paging: Option<Paging>,
    /// The order of the keys.
    pub order: Option<KeyOrder>,
    /// Where a listing begins that is to start after a key.
    pub start_after: Option<StartAfter>,
    /// Whether the server sends keys as they are (`true`) or encoded, as an object has shown. `None` if its answers say so.
    pub raw_keys: Option<bool>,
}

/// How a listing is continued after a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paging {
    /// After the last key of the page: possible at any time and in any process. A range of keys can be listed by itself.
    #[default]
    Key,
    /// Under the token that the server gave with the page.
    Token,
    /// S3: with the marker of the first version of the listing.
    Marker,
}

impl Paging {
    /// The code in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Token => "token",
            Self::Marker => "marker",
        }
    }
}

/// The order of the keys in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOrder {
    /// Ascending, by the bytes of UTF-8.
    Bytes,
    /// Any other.
    Other,
}

/// Where a listing begins that is to start after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartAfter {
    /// After the key.
    Strict,
    /// With the key itself.
    Inclusive,
    /// Elsewhere.
    Ignored,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_other_releases_are_read() {
        let read = |text| serde_json::from_str::<Capabilities>(text).unwrap();
        assert_eq!(read("{}"), Capabilities::default());
        let known = read(r#"{"paging": "marker", "order": "other", "start_after": null, "more": 1}"#);
        assert_eq!((known.paging, known.order), (Some(Paging::Marker), Some(KeyOrder::Other)));
        assert_eq!(read(&serde_json::to_string(&known).unwrap()), known);
    }
}
