//! Properties of all texts, compared with `serde_json`.

use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::Limits;
use super::packed::gzip;
use super::{data, items, read};

const KEYS: [&str; 7] = ["a", "a.json", "a.jsonl", "a.gz", "a.json.gz", "a.zst", "a.ndjson.zst"];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[^\\x00]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[^\\x00]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Objects without member names that have a meaning.
fn objects() -> impl Strategy<Value = Vec<Value>> {
    let object = prop::collection::btree_map("x[^\\x00]{0,4}", json(), 0..4);
    prop::collection::vec(object.prop_map(|members| Value::Object(members.into_iter().collect())), 0..5)
}

/// Texts that are nearly JSON.
fn near_json() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"data\"",
        "\"annotations\"",
        "\"result\"",
        "1",
        "-",
        "0",
        ".",
        "e",
        "E+",
        "true",
        "null",
        "fals",
        "\\",
        "\\u",
        "00e9",
        "\\ud83d\\ude00",
        "é",
        " ",
        "\n",
        "\t",
        "\u{feff}",
    ]);
    prop_oneof![
        prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat()),
        (json(), any::<prop::sample::Index>(), "[\\[\\]{}\",:0-9eE.\\\\u \n-]{0,2}").prop_map(
            |(value, index, noise)| {
                let mut chars: Vec<char> = value.to_string().chars().collect();
                let at = index.index(chars.len());
                chars.splice(at..=at, noise.chars());
                chars.into_iter().collect()
            }
        ),
    ]
}

fn numbered(objects: &[Value]) -> Vec<(i32, String)> {
    (0..).zip(objects.iter().map(Value::to_string)).collect()
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(key in prop::sample::select(&KEYS[..]), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(read(key, &bytes, &Limits::default()));
    }

    #[test]
    fn no_damage_to_packed_bytes_makes_it_panic(
        objects in objects(), at in any::<prop::sample::Index>(), byte in any::<u8>(), end in any::<prop::sample::Index>()
    ) {
        let text = Value::from(objects).to_string();
        for (key, mut bytes) in [
            ("a.gz", gzip(text.as_bytes())),
            ("a.zst", compress_to_vec(text.as_bytes(), CompressionLevel::Fastest)),
        ] {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            drop(read(key, &bytes, &Limits::default()));
            bytes.truncate(end.index(bytes.len()));
            drop(read(key, &bytes, &Limits::default()));
        }
    }

    #[test]
    fn every_list_of_objects_comes_back_in_order(objects in objects()) {
        let expected = numbered(&objects);
        prop_assert_eq!(data(&Value::from(objects.clone()).to_string()), expected.clone());

        let pretty = data(&serde_json::to_string_pretty(&objects).unwrap());
        let rewritten: Vec<_> = pretty
            .into_iter()
            .map(|(row, data)| (row, serde_json::from_str::<Map<String, Value>>(&data).map(|_| compact(&data)).unwrap()))
            .collect();
        prop_assert_eq!(rewritten, expected);
    }

    #[test]
    fn every_lines_of_objects_come_back_in_order(objects in objects(), blank in "( |\t|\r)?\n( ?\n)?") {
        prop_assume!(!objects.is_empty());
        let lines: String = objects.iter().map(|object| format!("{object}{blank}")).collect();
        prop_assert_eq!(data(&lines), numbered(&objects));
    }

    #[test]
    fn packed_text_has_the_items_of_the_text(objects in objects()) {
        let text = Value::from(objects).to_string();
        let plain = items(&text).unwrap();
        let limits = Limits::default();
        prop_assert_eq!(read("a.json.gz", &gzip(text.as_bytes()), &limits).unwrap(), plain.clone());
        let zstd = compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
        prop_assert_eq!(read("a.json.zst", &zstd, &limits).unwrap(), plain);
    }

    #[test]
    fn a_text_is_json_if_serde_json_accepts_it(text in near_json()) {
        let raw = serde_json::from_str::<&RawValue>(&text);
        let inside = format!("{{\"x\":{text}}}");
        match (items(&inside), raw) {
            (Ok(_), Ok(_)) => {}
            (Err(unusable), Ok(_)) => prop_assert_ne!(unusable.reason.as_str(), "invalid_json"),
            (Err(_), Err(_)) => {}
            // A text such as `1,"y":2` is JSON only inside of an object; then the whole must be JSON.
            (Ok(_), Err(_)) => prop_assert!(serde_json::from_str::<&RawValue>(&inside).is_ok()),
        }
    }

    #[test]
    fn a_fault_lies_in_the_text_and_its_excerpt_is_short(text in near_json()) {
        if let Err(unusable) = items(&text) {
            prop_assert!(unusable.byte_offset.is_none_or(|offset| offset <= text.len() as u64));
            let excerpt = unusable.excerpt.unwrap_or_default();
            prop_assert!(excerpt.chars().count() <= 120);
            prop_assert!(!excerpt.contains(char::is_control));
        }
    }
}

/// The same JSON without blanks between its tokens.
fn compact(json: &str) -> String {
    let mut in_string = false;
    let mut escaped = false;
    let keep = |char: &char| {
        let blank = !in_string && char.is_ascii_whitespace();
        if *char == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = *char == '\\' && !escaped;
        !blank
    };
    json.chars().filter(keep).collect()
}
