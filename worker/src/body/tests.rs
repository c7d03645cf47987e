//! Literal bodies, taken from the output of the host.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::ago::ago;
use bytes::Bytes;

use longshore_db::host::{AnnotationRowDetails, TaskDetails, UserNames};

use super::encode::{Layout, encode};
use super::{AnnotationRow, TaskRow, object_key};

struct Body {
    bytes: Bytes,
    digest: [u8; 32],
}

fn annotation_body(annotation: &AnnotationRow, task: &TaskRow, now: Timestamp) -> Body {
    let measured = super::measure_annotation(annotation, task, Layout::OneLine);
    let bytes = super::annotation_body(annotation, task, now, measured, Layout::OneLine);
    assert!((measured.length..measured.length + 64).contains(&bytes.len()));
    Body { bytes, digest: measured.digest }
}

fn task_body(task: &TaskRow, annotations: &[AnnotationRow]) -> Body {
    let measured = super::measure_task(task, annotations, Layout::OneLine);
    let bytes = super::task_body(task, annotations, measured, Layout::OneLine);
    assert_eq!(bytes.len(), measured.length);
    Body { bytes, digest: measured.digest }
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn annotation() -> AnnotationRow {
    AnnotationRow {
        id: 12,
        task_id: 7,
        project_id: 3,
        result: raw(r#"[{"value":{"choices":["Straße"]},"score":1.50}]"#),
        was_cancelled: false,
        ground_truth: true,
        lead_time: Some(4.25),
        completed_by: Some(5),
        created_at: at("2026-03-01T10:00:00.123456Z"),
        updated_at: at("2026-03-01T10:00:05Z"),
        details: AnnotationRowDetails::of_native(),
    }
}

fn task() -> TaskRow {
    TaskRow {
        id: 7,
        data: raw(r#"{ "z" : "s3://b/ä, :x.jpg" , "a" : [ ] , "n" : 1.0E+2 }"#),
        meta: raw("{}"),
        created_at: at("2026-02-01T00:00:00.000010Z"),
        updated_at: at("2026-02-02T00:00:00.100Z"),
        total_annotations: 1,
        cancelled_annotations: 0,
        total_predictions: 2,
        project_id: 3,
        details: TaskDetails::of_native(1),
    }
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    std::str::from_utf8(bytes.as_ref()).unwrap().to_owned()
}

const ANNOTATION: &str = concat!(
    r#"{"id": 12, "result": [{"value": {"choices": ["Stra\u00dfe"]}, "score": 1.50}], "created_username": " , 5", "#,
    r#""created_ago": "2\u00a0days, 3\u00a0hours", "completed_by": {"id": 5}, "#,
    r#""task": {"id": 7, "data": {"z": "s3://b/\u00e4, :x.jpg", "a": [], "n": 1.0E+2}, "meta": {}, "#,
    r#""created_at": "2026-02-01T00:00:00.000010Z", "updated_at": "2026-02-02T00:00:00.100000Z", "is_labeled": true, "#,
    r#""allow_skip": true, "overlap": 1, "inner_id": null, "total_annotations": 1, "cancelled_annotations": 0, "#,
    r#""total_predictions": 2, "precomputed_agreement": null, "comment_count": 0, "unresolved_comment_count": 0, "#,
    r#""last_comment_updated_at": null, "project": 3, "updated_by": null, "file_upload": null, "comment_authors": []}, "#,
    r#""was_cancelled": false, "ground_truth": true, "created_at": "2026-03-01T10:00:00.123456Z", "#,
    r#""updated_at": "2026-03-01T10:00:05Z", "draft_created_at": null, "lead_time": 4.25, "import_id": null, "#,
    r#""last_action": null, "bulk_created": false, "project": 3, "updated_by": null, "parent_prediction": null, "#,
    r#""parent_annotation": null, "last_created_by": null}"#,
);

const TASK: &str = concat!(
    r#"{"id": 7, "annotations": [{"id": 12, "completed_by": null, "#,
    r#""result": [{"value": {"choices": ["Stra\u00dfe"]}, "score": 1.50}], "was_cancelled": false, "ground_truth": true, "#,
    r#""created_at": "2026-03-01T10:00:00.123456Z", "updated_at": "2026-03-01T10:00:05Z", "draft_created_at": null, "#,
    r#""lead_time": null, "prediction": null, "result_count": 1, "unique_id": null, "import_id": null, "#,
    r#""last_action": null, "bulk_created": false, "task": 7, "project": 3, "updated_by": null, "#,
    r#""parent_prediction": null, "parent_annotation": null, "last_created_by": null}], "drafts": [], "#,
    r#""predictions": [], "data": {"z": "s3://b/\u00e4, :x.jpg", "a": [], "n": 1.0E+2}, "meta": {}, "#,
    r#""created_at": "2026-02-01T00:00:00.000010Z", "updated_at": "2026-02-02T00:00:00.100000Z", "allow_skip": true, "#,
    r#""inner_id": null, "total_annotations": 1, "cancelled_annotations": 0, "total_predictions": 2, "#,
    r#""comment_count": 0, "unresolved_comment_count": 0, "last_comment_updated_at": null, "project": 3, "#,
    r#""updated_by": null, "comment_authors": []}"#,
);

#[test]
fn an_annotation_is_written_with_its_task_as_the_host_writes_it() {
    let body = annotation_body(&annotation(), &task(), at("2026-03-03T13:30:00Z"));
    assert_eq!(text(body.bytes), ANNOTATION);
}

#[test]
fn a_task_is_written_with_its_annotations_as_the_host_writes_it() {
    let annotation = AnnotationRow { completed_by: None, lead_time: None, ..annotation() };
    assert_eq!(text(task_body(&task(), &[annotation]).bytes), TASK);
    assert!(text(task_body(&task(), &[]).bytes).starts_with(r#"{"id": 7, "annotations": [], "drafts": [], "#));
}

#[test]
fn the_names_of_users_are_written_where_label_studio_is_the_host() {
    let names = |last_name: &str| UserNames {
        first_name: "Zoë".to_owned(),
        last_name: last_name.to_owned(),
        email: "z@example.com".to_owned(),
    };
    for (last_name, expected) in [("Li", "Zo\\u00eb Li z@example.com, 5"), ("", "Zo\\u00eb z@example.com, 5")] {
        let details = AnnotationRowDetails { user: Some(names(last_name)), ..AnnotationRowDetails::of_native() };
        let annotation = AnnotationRow { details, ..annotation() };
        let body = text(annotation_body(&annotation, &task(), annotation.created_at).bytes);
        assert!(body.contains(&format!(r#""created_username": "{expected}", "#)), "{body}");
        let user = format!(
            r#""completed_by": {{"id": 5, "first_name": "Zo\u00eb", "last_name": "{last_name}", "email": "z@example.com"}}, "#
        );
        assert!(body.contains(&user), "{body}");
        let body = text(task_body(&task(), &[annotation]).bytes);
        let user = format!(
            r#""completed_by": {{"id": 5, "email": "z@example.com", "first_name": "Zo\u00eb", "last_name": "{last_name}"}}, "#
        );
        assert!(body.contains(&user), "{body}");
    }
}

#[test]
fn a_task_names_its_uploaded_file_only_if_it_has_one() {
    let details = TaskDetails { file_upload: Some("upload/3/a.json".to_owned()), ..TaskDetails::of_native(1) };
    let body = text(task_body(&TaskRow { details, ..task() }, &[]).bytes);
    assert!(body.contains(r#""annotations": [], "file_upload": "a.json", "drafts": [], "#), "{body}");
    assert!(!text(task_body(&task(), &[]).bytes).contains("file_upload"));
}

#[test]
fn lines_are_indented_as_python_indents_them() {
    let json = r#"{"a":[1,[],{}, {"b" : [null,"x, y"]}],"c":{"d":-0.5}}"#;
    let expected = concat!(
        "{\n  \"a\": [\n    1,\n    [],\n    {},\n    {\n      \"b\": [\n        null,\n        \"x, y\"\n      ]\n    }\n  ],\n",
        "  \"c\": {\n    \"d\": -0.5\n  }\n}",
    );
    assert_eq!(text(encode(&raw(json), 0, Layout::Lines)), expected);
    let value: Value = serde_json::from_str(json).unwrap();
    assert_eq!(text(encode(&value, 0, Layout::Lines)), expected);
}

#[test]
fn an_annotation_without_user_has_no_completed_by() {
    let annotation = AnnotationRow { completed_by: None, ..annotation() };
    let body = text(annotation_body(&annotation, &task(), annotation.created_at).bytes);
    assert!(body.contains(r#""created_username": "", "created_ago": "0\u00a0minutes", "completed_by": null, "#));
}

#[test]
fn the_digest_ignores_the_time_and_depends_on_all_other_values() {
    let (now, later) = (at("2026-03-03T13:30:00Z"), at("2026-05-03T13:30:00Z"));
    let body = annotation_body(&annotation(), &task(), now);
    let same = annotation_body(&annotation(), &task(), later);
    assert_ne!(body.bytes, same.bytes);
    assert_eq!(body.digest, same.digest);

    let changed = AnnotationRow { lead_time: Some(4.5), ..annotation() };
    assert_ne!(annotation_body(&changed, &task(), now).digest, body.digest);
    let moved = TaskRow { meta: raw("[]"), ..task() };
    assert_ne!(annotation_body(&annotation(), &moved, now).digest, body.digest);
    assert_ne!(task_body(&task(), &[]).digest, task_body(&task(), &[annotation()]).digest);
}

#[test]
fn time_spans_have_two_units_at_most() {
    for (then, now, expected) in [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:59Z", "0 minutes"),
        ("2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z", "0 minutes"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "1 minute"),
        ("2026-01-01T00:00:00Z", "2026-01-01T05:01:00Z", "5 hours, 1 minute"),
        ("2026-01-01T00:00:00Z", "2026-01-02T00:59:00Z", "1 day"),
        ("2026-01-01T00:00:00Z", "2026-01-16T23:00:00Z", "2 weeks, 1 day"),
        ("2026-01-15T12:00:00Z", "2026-03-15T11:00:00Z", "1 month, 3 weeks"),
        ("2026-01-15T12:00:00Z", "2026-03-15T12:00:00Z", "2 months"),
        ("2024-02-29T00:00:00Z", "2026-03-01T00:00:00Z", "2 years"),
        ("2020-05-01T00:00:00Z", "2026-04-30T00:00:00Z", "5 years, 11 months"),
    ] {
        assert_eq!(ago(at(then), at(now)).replace('\u{a0}', " "), expected, "{then} to {now}");
    }
}

#[test]
fn keys_are_the_prefix_and_the_id_and_end_in_json_where_they_should() {
    for (prefix, json_suffix, expected) in [
        ("", false, "5"),
        ("", true, "5.json"),
        ("out/", true, "out/5.json"),
        ("a//b/c/", true, "a//b/c/5.json"),
        ("ann:", false, "ann:5"),
    ] {
        assert_eq!(object_key(prefix, 5, json_suffix), expected);
    }
}

#[test]
fn raw_parts_keep_order_numbers_and_escapes_and_become_ascii() {
    let encoded = |json: &str| text(encode(&raw(json), 0, Layout::OneLine));
    assert_eq!(encoded("{\"b\":1e5,\n\t\"a\" : -0.10}"), r#"{"b": 1e5, "a": -0.10}"#);
    assert_eq!(encoded(r#"["\"," ,"\\","\\\":","a\u00e9\n"]"#), r#"["\",", "\\", "\\\":", "a\u00e9\n"]"#);
    assert_eq!(encoded("[\"é\u{7f}\u{1f600}\",true , null]"), r#"["\u00e9\u007f\ud83d\ude00", true, null]"#);
    assert_eq!(encoded("12345678901234567890.5"), "12345678901234567890.5");
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), ".{0,8}".prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn encoding_changes_no_value_and_has_one_form(value in json()) {
        let from_value = text(encode(&value, 0, Layout::OneLine));
        let from_compact = text(encode(&raw(&value.to_string()), 0, Layout::OneLine));
        let indented = text(encode(&raw(&value.to_string()), 0, Layout::Lines));
        prop_assert_eq!(&indented, &serde_json::to_string_pretty(&serde_json::from_str::<Value>(&indented).unwrap())
            .map(|pretty| text(encode(&raw(&pretty), 0, Layout::Lines))).unwrap());
        prop_assert_eq!(&serde_json::from_str::<Value>(&indented).unwrap(), &value);
        let from_pretty = text(encode(&raw(&serde_json::to_string_pretty(&value).unwrap()), 0, Layout::OneLine));
        prop_assert_eq!(&from_compact, &from_pretty);
        prop_assert_eq!(&from_value, &from_compact);
        prop_assert!(from_value.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        prop_assert_eq!(serde_json::from_str::<Value>(&from_value).unwrap(), value);
    }
}
