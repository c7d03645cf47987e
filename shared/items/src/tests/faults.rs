//! Unusable objects: reason, position and detail of the fault.

use longshore_db::host::TaskFormat;
use tokio_util::sync::CancellationToken;

use super::super::{Budget, Limits};
use super::{fault, items, place, read, read_within};

#[test]
fn blank_objects_are_empty() {
    assert_eq!(fault("").0, "empty");
    assert_eq!(fault(" \n\t\r\n").0, "empty");
    assert_eq!(fault("\u{feff}\n").0, "empty");
}

#[test]
fn values_other_than_objects_have_the_wrong_type() {
    assert_eq!(fault("42"), ("wrong_type", Some(0), Some(0)));
    assert_eq!(fault("\"text\""), ("wrong_type", Some(0), Some(0)));
    assert_eq!(fault("null\nnull"), ("wrong_type", Some(0), Some(0)));
    assert_eq!(fault("[1,2]"), ("wrong_type", Some(1), Some(0)));
    assert_eq!(fault("[{}, {}, [{}]]"), ("wrong_type", Some(9), Some(2)));
    assert_eq!(fault("{\"a\":1}\n\n5\n"), ("wrong_type", Some(9), Some(1)));
}

#[test]
fn the_fault_of_a_text_that_is_cut_off_is_at_its_end() {
    for text in [
        "{",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":[1,",
        "{\"a\":\"\\",
        "{\"a\":\"\\u00",
        "{\"a\":tr",
        "{\"a\":-",
    ] {
        let end = text.find("tr").unwrap_or(text.len()) as u64;
        assert_eq!(fault(text), ("invalid_json", Some(end), Some(0)), "{text}");
    }
    assert_eq!(fault("[{},{}"), ("invalid_json", Some(6), Some(2)));
    assert_eq!(fault("[{},"), ("invalid_json", Some(4), Some(1)));
    assert!(items("{\"a\":1").unwrap_err().detail.contains("cut off"));
}

#[test]
fn a_fault_is_placed_where_the_text_stops_being_json() {
    for (text, offset) in [
        ("nope", 0),
        ("{'a':1}", 1),
        ("{\"a\" 1}", 5),
        ("{\"a\":1,}", 7),
        ("{\"a\":[1,]}", 8),
        ("{\"a\":[1}}", 7),
        ("{\"a\":01}", 6),
        ("{\"a\":1.}", 7),
        ("{\"a\":.5}", 5),
        ("{\"a\":1e}", 7),
        ("{\"a\":+1}", 5),
        ("{\"a\":NaN}", 5),
        ("{\"a\":-Infinity}", 6),
        ("{\"a\":\"\\x\"}", 7),
        ("{\"a\":\"\\u12g4\"}", 10),
        ("{\"a\":\"line\nbreak\"}", 10),
        ("{\"a\":1}}", 7),
        ("{\"a\":1} 2", 8),
        ("\u{feff}{\"a\":x}", 8),
    ] {
        let (reason, at, _) = fault(text);
        assert_eq!((reason, at), ("invalid_json", Some(offset)), "{text}");
    }
}

#[test]
fn only_objects_and_lists_may_follow_a_list_or_an_object() {
    assert_eq!(fault("[{}] x"), ("invalid_json", Some(5), None));
    assert_eq!(fault("[{}]\n5"), ("wrong_type", Some(5), Some(1)));
    for (text, offset) in [("{},,{}", 3), ("{} ,\u{1e}, {}", 5), ("{}; {}", 2), ("{}\0\0", 2), ("{} // end", 3)] {
        assert_eq!(fault(text), ("invalid_json", Some(offset), Some(0)), "{text}");
    }
    assert_eq!(fault(",{}"), ("invalid_json", Some(0), Some(0)));
    assert_eq!(fault("[,{}]"), ("invalid_json", Some(1), Some(0)));
    assert_eq!(fault("[{},,{}]"), ("invalid_json", Some(4), Some(1)));
    assert_eq!(fault("{\n}\n{\n"), ("invalid_json", Some(6), Some(1)));
}

#[test]
fn words_of_other_languages_are_named_with_what_to_write() {
    for (value, word, advice) in [
        ("NaN", "`NaN`", "null"),
        ("Infinity", "`Infinity`", "null"),
        ("-Infinity", "`-Infinity`", "null"),
        ("nan", "`nan`", "null"),
        ("None", "`None`", "Write null"),
        ("True", "`True`", "Write true"),
        ("undefined", "`undefined`", "Write null"),
        ("cat", "`cat`", "double quotes"),
        ("'cat'", "single quotes", "double quotes"),
    ] {
        let unusable = items(&format!("[{{}}, {{\"a\":{value}}}]")).unwrap_err();
        assert_eq!((unusable.reason.as_str(), unusable.row_index), ("invalid_json", Some(1)), "{value}");
        assert!(unusable.detail.contains(word) && unusable.detail.contains(advice), "{unusable}");
    }
}

#[test]
fn a_bad_line_makes_the_whole_object_unusable() {
    assert_eq!(fault("{\"a\":1}\n{\"a\":\n{\"a\":3}"), ("invalid_json", Some(13), Some(1)));
    assert_eq!(fault("{\"a\":1}\n{\"a\":2} x\n"), ("invalid_json", Some(16), Some(1)));
}

#[test]
fn text_that_is_not_utf8_is_placed_at_its_first_bad_byte() {
    let read = |bytes: &[u8]| place(read("a.json", bytes, &Limits::default()));
    assert_eq!(read(b"{\"a\":\"caf\xe9\"}"), ("not_utf8", Some(9), None));
    assert_eq!(read(b"\xff\xfe{\0}\0"), ("not_utf8", Some(0), None));
    assert_eq!(read(b"{\0}\0"), ("not_utf8", Some(0), None));
    assert_eq!(read(b"\0{\0}"), ("not_utf8", Some(0), None));
}

#[test]
fn values_that_the_database_cannot_hold_are_found() {
    for (text, offset) in [
        (r#"{"a":"x\u0000"}"#, 7),
        (r#"{"\u0000":1}"#, 2),
        (r#"{"a":"\ud800"}"#, 6),
        (r#"{"a":"\udc00\ud800"}"#, 6),
        (r#"{"a":"\ud800\u0041"}"#, 6),
        (r#"{"a":1e999999}"#, 5),
        (r#"{"a":[-1.5e-999999]}"#, 6),
        (r#"{"a":1e99999999999999999999}"#, 5),
    ] {
        assert_eq!(fault(text), ("unsupported_value", Some(offset), Some(0)), "{text}");
    }
    items(r#"{"a":[1e131071, 1e-16383, 1.5e308]}"#).unwrap();
}

/// Goal: no item becomes a row that is too large to be read. Limits count numbers as the database prints them.
#[test]
fn an_item_that_the_database_would_print_too_long_is_found_at_the_number_that_makes_it_so() {
    let list = |number: &str, count: usize| format!("{{\"a\":[{}0]}}", format!("{number},").repeat(count));
    items(&list("1e131071", 200)).unwrap();
    // 256 of these numbers have as many digits as 32 MiB has bytes.
    assert_eq!(fault(&list("1e131071", 9_000)), ("too_large", Some(6 + 9 * 256), Some(0)));
    assert_eq!(fault(&list("1e-16383", 9_000)), ("too_large", Some(6 + 9 * 2_048), Some(0)));
    items(&list("0e131071", 9_000)).unwrap();
    items(&list("\"1e131071\"", 9_000)).unwrap();
    // The blanks that the database prints between parts count as well.
    let limits = Limits { max_item_bytes: 100, ..Limits::default() };
    read("a", format!("{{\"a\":[{}0]}}", "0,".repeat(29)).as_bytes(), &limits).unwrap();
    assert_eq!(place(read("a", list("0", 40).as_bytes(), &limits)).0, "too_large");
    // Many small items exceed the limit together.
    let items = format!("[{}{{}}]", r#"{"a":1e131071},"#.repeat(3_000));
    assert_eq!(fault(&items).0, "too_large");
}

#[test]
fn memory_is_counted_before_it_is_taken() {
    let limits = Limits::default();
    let many = format!("[{}{{}}]", "{},".repeat(50_000));
    let labels = format!("{{\"data\":{{}},\"annotations\":[{}{{}}]}}", "{},".repeat(50_000));
    let regions = format!("{{\"data\":{{}},\"annotations\":[{{\"result\":[{}{{}}]}}]}}", "{},".repeat(50_000));
    for (text, fits) in [(&many, 6 << 20), (&labels, 16 << 20), (&regions, 200 << 10)] {
        read_within(fits, "a.json", text.as_bytes(), &limits).unwrap();
        let unusable = read_within(text.len() + 10, "a.json", text.as_bytes(), &limits).unwrap_err();
        assert!(unusable.for_memory && unusable.reason.as_str() == "too_large", "{unusable:?}");
        assert!(unusable.detail.contains("LONGSHORE_MEMORY_MB"), "{unusable}");
    }
}

#[test]
fn reading_stops_once_no_attempt_waits_for_the_result() {
    let abandoned = CancellationToken::new();
    abandoned.cancel();
    let blank = super::packed::gzip(&vec![b' '; 100_000]);
    for (key, bytes) in [("a.json", b"[{},{}]".to_vec()), ("a.json.gz", blank)] {
        let mut budget = Budget::new(1 << 20, abandoned.clone());
        let read = super::super::read(key, bytes.into(), &TaskFormat::default(), &Limits::default(), &mut budget);
        assert!(read.unwrap_err().for_memory, "{key}");
    }
}

#[test]
fn nesting_has_a_limit_at_any_depth() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    items(&nested(99)).unwrap();
    assert_eq!(fault(&nested(100)), ("too_deep", Some(104), Some(0)));
    assert_eq!(fault(&"[".repeat(100_000)).0, "too_deep");
    assert_eq!(fault(&"{\"a\":".repeat(100_000)).0, "too_deep");
}

#[test]
fn limits_hold_for_the_object_and_for_each_item() {
    let limits = Limits {
        max_object_bytes: 40,
        max_unpacked_bytes: 40,
        max_printed_bytes: 40,
        max_item_bytes: 10,
        max_items: 3,
        max_depth: 5,
    };
    let read = |text: &str| read("a.json", text.as_bytes(), &limits);
    read("[{},{},{\"a\":123}]").unwrap();
    assert_eq!(place(read("[{},{},{\"a\":12345}]")), ("too_large", Some(7), Some(2)));
    assert_eq!(place(read("[{},{},{},{}]")), ("too_many_items", Some(10), Some(3)));
    assert_eq!(place(read("{}\n{}\n{}\n{}\n")), ("too_many_items", Some(9), Some(3)));
    assert_eq!(place(read(&" ".repeat(41))), ("too_large", None, None));
}

#[test]
fn labels_without_data_are_refused() {
    assert_eq!(fault(r#"{"text":"a","annotations":[{"result":[]}]}"#), ("missing_data", Some(26), Some(0)));
    assert_eq!(fault(r#"[{}, {"text":"a","predictions":[1]}]"#), ("missing_data", Some(31), Some(1)));
}

/// The fault of labels in which `^` marks its expected position.
fn marked_fault(name: &str, labels: &str) -> (&'static str, Option<i32>) {
    let marked = format!("{{\"data\":{{}},\"{name}\":{labels}}}");
    let (reason, offset, row) = fault(&marked.replace('^', ""));
    assert_eq!(offset, marked.find('^').map(|at| at as u64), "{labels}");
    (reason, row)
}

#[test]
fn bad_annotations_are_placed_at_the_part_that_is_bad() {
    for annotations in [
        "^true",
        "[{}, ^true]",
        r#"^"text""#,
        r#"[{"result":^"text"}]"#,
        r#"[{"result":^"[1]"}]"#,
        r#"[{"result":^"[1e1000]"}]"#,
        r#"[{"result":[{}, ^1]}]"#,
        r#"[{"result":[^"a", "b"]}]"#,
        r#"[{"result":^1.5}]"#,
        "[[{}, ^5]]",
        r#"{"1": {"result": []}, "2": {"result": ^5}}"#,
        r#"^"[{\"result\": 5}]""#,
    ] {
        assert_eq!(marked_fault("annotations", annotations), ("invalid_annotations", Some(0)));
    }
}

#[test]
fn the_excerpt_shows_the_text_around_the_fault_in_one_short_line() {
    let unusable = items("{\"a\":\t1,\n \"b\": oops}").unwrap_err();
    assert_eq!(unusable.excerpt.as_deref(), Some("{\"a\":\\t1,\\n \"b\": oops}"));

    let long = format!("{{\"a\":\"{}\",x{}", "ä".repeat(500), "\u{1f600}".repeat(500));
    let excerpt = items(&long).unwrap_err().excerpt.unwrap();
    assert_eq!(excerpt, format!("{}\",x{}", "ä".repeat(38), "\u{1f600}".repeat(79)));
}
