//! Usable objects.

use super::super::Item;
use super::super::labels::{AnnotationItem, PredictionItem};
use super::{data, items};

fn lone(data: &str) -> Item {
    Item { row_index: 0, is_numbered: false, data: data.to_owned().into(), about: None }
}

fn only(text: &str) -> Item {
    let [item] = <[Item; 1]>::try_from(items(text).unwrap()).unwrap();
    item
}

#[test]
fn one_object_is_one_item() {
    assert_eq!(items("{\"text\": \"sea\"}").unwrap(), [lone("{\"text\": \"sea\"}")]);
    assert_eq!(items("\n {\n  \"a\": [1,\n 2]\n}\r\n").unwrap(), [lone("{\n  \"a\": [1,\n 2]\n}")]);
    assert_eq!(items("{}").unwrap(), [lone("{}")]);
}

#[test]
fn a_list_has_an_item_per_element() {
    assert_eq!(data(" [ {\"a\":1} ,\n{} ]\n"), [(0, "{\"a\":1}".into()), (1, "{}".into())]);
    assert_eq!(items("[]").unwrap(), []);
    assert_eq!(items(" [ ] ").unwrap(), []);
}

#[test]
fn each_line_is_an_item_and_blank_lines_do_not_count() {
    let expected = [(0, "{\"a\":1}".into()), (1, "{\"a\":2}".into()), (2, "{}".into())];
    assert_eq!(data("{\"a\":1}\n\n{\"a\":2}\r\n \t\n{}"), expected);
    assert_eq!(data("\n{\"a\":1}\r\n{\"a\":2}\n {} \n\n"), expected);
}

#[test]
fn values_in_a_row_are_items_wherever_lines_end() {
    let expected = [(0, "{\"a\":1}".into()), (1, "{\"a\":2}".into()), (2, "{}".into())];
    for text in [
        "{\"a\":1}{\"a\":2}{}",
        "{\"a\":1} {\"a\":2}\n{}",
        "[{\"a\":1},{\"a\":2}][{}]",
        "[{\"a\":1}]\n[]\n[{\"a\":2},\n{}]",
        // As programs leave them that write a comma after each line, or join files.
        "{\"a\":1},{\"a\":2},{}",
        "{\"a\":1},\r\n{\"a\":2},\r\n{},\r\n",
        "{\"a\":1}\n,{\"a\":2}\n,{}",
        "[{\"a\":1},{\"a\":2},{},]",
        "[{\"a\":1},\n{\"a\":2},\n],[{}]",
        "{\"a\":1}\n[{\"a\":2}]\n{}",
        "[{\"a\":1}]{\"a\":2},[{}]",
        "\u{feff}{\"a\":1}\n\u{feff}[{\"a\":2}]\u{feff}\n{}\u{feff}",
        "\u{1e}{\"a\":1}\n\u{1e}{\"a\":2}\n\u{1e}{}\n",
    ] {
        assert_eq!(data(text), expected, "{text}");
    }
    let pretty = "{\n  \"a\": 1\n}\n{\"b\":\n2}{\n}\n\n{\"c\": 3}\n";
    let found: Vec<String> = data(pretty).into_iter().map(|(_, data)| data).collect();
    assert_eq!(found, ["{\n  \"a\": 1\n}", "{\"b\":\n2}", "{\n}", "{\"c\": 3}"]);
}

/// Goal: the time is linear in the length. If the end of the line were looked for at each object, this text would take minutes.
#[test]
fn a_line_of_many_objects_with_a_long_rest_is_read_in_one_pass() {
    let text = format!("{}{{\"a\":\"{}\"}}", "{}".repeat(99_999), "x".repeat(30 << 20));
    assert_eq!(items(&text).unwrap().len(), 100_000);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(data("\u{feff}{\"a\":1}"), [(0, "{\"a\":1}".into())]);
    assert_eq!(data("\u{feff}{\"a\":1}\n{\"a\":2}"), [(0, "{\"a\":1}".into()), (1, "{\"a\":2}".into())]);
    assert_eq!(items("\u{feff}[]").unwrap(), []);
}

#[test]
fn numbers_order_and_strings_keep_their_spelling() {
    let text = r#"{"z":1.50,"a":-0.0E+2,"m":12345678901234567890.12,"s":"\u00e9\/é\ud83d\ude00"}"#;
    assert_eq!(&*only(text).data, text);
}

#[test]
fn an_object_in_data_is_the_data_and_other_members_describe_the_task() {
    let item = only(
        r#"{"id": 7, "data": {"text": "sea"}, "meta": {"from": "x"}, "inner_id": 3,
            "annotations": [
              {"id": 1, "result": [{"id": "r"}, {}], "was_cancelled": true, "ground_truth": true, "lead_time": 1.5, "completed_by": 4},
              {"result": [], "completed_by": {"id": 5, "email": "e"}, "lead_time": null, "was_cancelled": null},
              {"completed_by": null}],
            "predictions": [
              {"result": [{"a": 1}], "score": 0.25, "model_version": "v\u0031"},
              {"result": {"choices": ["a"]}, "score": null, "model_version": 3}]}"#,
    );
    assert_eq!(item.row_index, 0);
    assert_eq!(&*item.data, r#"{"text": "sea"}"#);
    assert_eq!(item.meta(), Some(r#"{"from": "x"}"#));
    let none = AnnotationItem {
        result: Some("[]".to_owned().into()),
        was_cancelled: false,
        ground_truth: false,
        lead_time: None,
        completed_by: None,
        details: None,
    };
    assert_eq!(
        item.annotations(),
        [
            AnnotationItem {
                result: Some(r#"[{"id": "r"}, {}]"#.to_owned().into()),
                was_cancelled: true,
                ground_truth: true,
                lead_time: Some(1.5),
                completed_by: Some(4),
                details: None,
            },
            AnnotationItem { completed_by: Some(5), ..none.clone() },
            none,
        ]
    );
    assert_eq!(
        item.predictions(),
        [
            PredictionItem {
                result: Some(r#"[{"a": 1}]"#.to_owned().into()),
                score: Some(0.25),
                model_version: Some("v1".into()),
                details: None,
            },
            PredictionItem {
                result: Some(r#"[{"choices": ["a"]}]"#.to_owned().into()),
                score: None,
                model_version: Some("3".into()),
                details: None,
            },
        ]
    );
}

#[test]
fn without_an_object_in_data_the_whole_object_is_the_data() {
    for text in [
        r#"{"text": "sea"}"#,
        r#"{"data": "str"}"#,
        r#"{"data": null, "k": 1}"#,
        r#"{"data": [1], "meta": {"a": 1}}"#,
        r#"{"text": "sea", "annotations": [], "predictions": null}"#,
        r#"{"text": "sea", "annotations": [ ], "predictions": ""}"#,
    ] {
        assert_eq!(only(text), lone(text));
    }
}

#[test]
fn null_and_empty_labels_are_none() {
    let item = only(r#"{"data": {}, "annotations": null, "predictions": [], "meta": "not an object"}"#);
    assert_eq!(item, lone("{}"));
}

#[test]
fn the_last_of_repeated_names_counts_in_any_spelling() {
    assert_eq!(&*only(r#"{"data": {"a": 1}, "d\u0061ta": {"a": 2}}"#).data, r#"{"a": 2}"#);
}
