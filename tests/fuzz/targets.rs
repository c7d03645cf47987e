//! One target per parser. No target may panic or hang; each documents its other invariants.

mod damage;

use longshore_filter::{KeyFilter, Skip};
use longshore_model::StorageSettings;
use longshore_storage::{AllowedEndpoints, ListPage, check_settings};
use serde_json::{Value, json};

/// Random inputs per target and run, so that a run takes seconds.
const RANDOM: usize = 2_000;

/// Makes a test of each target.
macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                damage::check(stringify!($name), targets::$name);
                bolero::check!().with_iterations(RANDOM).for_each(targets::$name);
            }
        )+
    };
}

targets!(
    s3_listing,
    azure_listing,
    gcs_listing,
    json_items,
    file_filter,
    fileuri,
    document_uris,
    allowed_endpoints,
    endpoints
);

mod targets {
    use super::*;

    /// Keys of a page are in ascending order; otherwise a listing might never end.
    fn check_page(page: Option<ListPage>) {
        if let Some(page) = page {
            let keys: Vec<&str> = page.objects.iter().map(|listed| listed.key()).collect();
            assert!(keys.is_sorted(), "{keys:?}");
        }
    }

    pub(super) fn s3_listing(input: &[u8]) {
        check_page(longshore_storage::read_listing(input));
    }

    pub(super) fn azure_listing(input: &[u8]) {
        check_page(longshore_storage::read_azure_listing(input));
    }

    pub(super) fn gcs_listing(input: &[u8]) {
        check_page(longshore_storage::read_gcs_listing(input));
    }

    /// The first byte chooses a key; every item has a JSON object as its data.
    pub(super) fn json_items(input: &[u8]) {
        let Some((first, object)) = input.split_first() else { return };
        let key = ["a.json", "a.jsonl", "a", "a.json.gz", "a.zst"][usize::from(*first) % 5];
        for data in longshore_items::data_of_items(key, object).unwrap_or_default() {
            let read: Result<Value, _> = serde_json::from_str(&data);
            assert!(matches!(read, Ok(Value::Object(_))), "{data}");
        }
    }

    /// The input is an expression, a line feed and a key. An accepted key has the prefix and is not a folder.
    pub(super) fn file_filter(input: &[u8]) {
        let Some((pattern, key)) = std::str::from_utf8(input).ok().and_then(|text| text.split_once('\n')) else {
            return;
        };
        let Ok(filter) = KeyFilter::new("p", true, Some(pattern)) else { return };
        let skipped = filter.skips(key);
        // A key that took too many steps may be decided in the second call, with the cache of the first.
        assert!(skipped == filter.skips(key) || skipped == Some(Skip::RegexTooSlow));
        assert!(skipped.is_some() || (key.starts_with('p') && !key.ends_with('/')), "{key}");
    }

    /// Decoding, encoding and decoding again gives the same text.
    pub(super) fn fileuri(input: &[u8]) {
        let Ok(text) = std::str::from_utf8(input) else { return };
        if let Some(decoded) = longshore_uri::decode_fileuri(text) {
            assert_eq!(longshore_uri::decode_fileuri(&longshore_uri::encode_fileuri(&decoded)), Some(decoded));
        }
    }

    /// A document without resolved URIs stays unchanged, and one with resolved URIs stays valid JSON.
    pub(super) fn document_uris(input: &[u8]) {
        let Ok(text) = std::str::from_utf8(input) else { return };
        assert_eq!(longshore_uri::rewrite(text, Some("k"), |_| None), text);
        let resolved = longshore_uri::rewrite(text, Some("k"), |_| Some("https://x/\"\\".to_owned()));
        let is_json = |text: &str| serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
        assert!(!is_json(text) || is_json(&resolved), "{resolved}");
    }

    /// Spaces around entries do not change a list.
    pub(super) fn allowed_endpoints(input: &[u8]) {
        let Ok(text) = std::str::from_utf8(input) else { return };
        assert_eq!(AllowedEndpoints::parse(text).ok(), AllowedEndpoints::parse(&text.replace(',', " , ")).ok());
    }

    /// An accepted endpoint is an HTTP URL without user and password.
    pub(super) fn endpoints(input: &[u8]) {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let host: StorageSettings = serde_json::from_value(json!({"kind": "redis", "host": text})).expect("settings");
        // The result does not matter: a host is checked at connect.
        drop(check_settings(&host));
        for settings in [
            json!({"kind": "s3", "bucket": "pics", "s3_endpoint": text}),
            json!({"kind": "azure", "container": "pics", "endpoint": text}),
        ] {
            let settings: StorageSettings = serde_json::from_value(settings).expect("settings");
            if check_settings(&settings).is_ok() && !text.trim().is_empty() {
                let (scheme, rest) = text.split_once("://").expect("a URL");
                assert!(["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)), "{text}");
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                assert!(!authority.contains('@'), "{text}");
            }
        }
    }
}
