//! Old and foreign shapes of tasks, and values of other types than expected.

use bytes::Bytes;
use longshore_db::host::TaskFormat;
use longshore_model::ItemWarning;
use tokio_util::sync::CancellationToken;

use super::super::{Budget, Contents, Item, Limits};

fn read(text: &str) -> Contents {
    let mut budget = Budget::new(1 << 20, CancellationToken::new());
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    super::super::read("a.json", bytes, &TaskFormat::Native, &Limits::default(), &mut budget).expect(text)
}

/// The only item, and the warnings of it.
fn only(text: &str) -> (Item, Vec<&'static str>) {
    let Contents { items, warnings, .. } = read(text);
    let [item] = <[Item; 1]>::try_from(items).expect("one item");
    (item, warnings.rows().map(|(warning, _)| warning.as_str()).collect())
}

fn annotated(annotation: &str) -> String {
    format!(r#"{{"data": {{"a": 1}}, "annotations": [{annotation}]}}"#)
}

#[test]
fn completions_of_old_files_are_annotations() {
    let (item, warnings) = only(
        r#"{"id": 1, "data": {"a": 1}, "completions": [
            {"id": 1001, "lead_time": 4.1, "result": [{"id": "r"}]}, {"result": [], "skipped": true, "honeypot": true}]}"#,
    );
    let [first, second] = item.annotations() else { panic!("two annotations") };
    assert_eq!((first.result.as_deref(), first.lead_time), (Some(r#"[{"id": "r"}]"#), Some(4.1)));
    assert!(second.was_cancelled && second.ground_truth && warnings.is_empty());
    let (item, warnings) = only(r#"{"data": {}, "annotations": [{"result": []}], "completions": [{"result": [{}]}]}"#);
    assert_eq!(item.annotations()[0].result.as_deref(), Some("[]"));
    assert_eq!(warnings, ["completions_ignored"]);
    assert!(only(r#"{"data": {}, "annotations": [], "completions": []}"#).1.is_empty());
    assert_eq!(only(r#"{"data": {}, "annotations": [], "completions": [{}]}"#).0.annotations().len(), 1);
}

#[test]
fn an_annotator_that_is_no_id_is_left_out_with_a_warning() {
    for (completed_by, id) in
        [("4", 4), (r#""4""#, 4), (r#"{"id": 5, "email": "e"}"#, 5), (r#"{"id": "6"}"#, 6), ("7.0", 7)]
    {
        let (item, warnings) = only(&annotated(&format!(r#"{{"result": [], "completed_by": {completed_by}}}"#)));
        assert_eq!((item.annotations()[0].completed_by, warnings.len()), (Some(id), 0), "{completed_by}");
    }
    for completed_by in
        [r#""a@example.org""#, r#"{"email": "a@example.org"}"#, r#"{"id": null, "email": "a"}"#, "[4]", "true", "{}"]
    {
        let (item, warnings) = only(&annotated(&format!(r#"{{"result": [{{}}], "completed_by": {completed_by}}}"#)));
        assert_eq!(item.annotations()[0].completed_by, None);
        assert_eq!((item.annotations()[0].result.as_deref(), warnings), (Some("[{}]"), vec!["annotator_unknown"]));
    }
    assert!(only(&annotated(r#"{"completed_by": null}"#)).1.is_empty());
}

#[test]
fn values_of_another_type_that_mean_one_thing_are_read() {
    let (item, warnings) = only(&annotated(
        r#"{"result": "[{\"id\": \"r\"}]", "was_cancelled": 1, "ground_truth": "false", "lead_time": "1.5"}"#,
    ));
    let [annotation] = item.annotations() else { panic!("one annotation") };
    assert_eq!(annotation.result.as_deref(), Some(r#"[{"id": "r"}]"#));
    assert_eq!((annotation.was_cancelled, annotation.ground_truth, annotation.lead_time), (true, false, Some(1.5)));
    assert!(warnings.is_empty());
    for labels in ["null", "[]", "{}", "0", r#""""#, "false"] {
        let (item, warnings) = only(&format!(r#"{{"data": {{}}, "annotations": {labels}, "predictions": {labels}}}"#));
        assert!(item.annotations().is_empty() && item.predictions().is_empty() && warnings.is_empty(), "{labels}");
    }
    let alone = r#"{"data": {}, "annotations": {"result": [{}]}, "predictions": {"result": [{}], "score": "0.5"}}"#;
    let (item, warnings) = only(alone);
    assert_eq!((item.annotations().len(), item.predictions()[0].score, warnings.len()), (1, Some(0.5), 0));
}

/// Goal: no file is lost for a value that matters less than its labels. Method: one such value in each task.
#[test]
fn what_matters_less_than_the_labels_is_left_out_with_one_warning() {
    for (text, warning) in [
        (annotated(r#"{"result": [{}], "lead_time": "long"}"#), ItemWarning::LeadTimeIgnored),
        (annotated(r#"{"result": [{}], "lead_time": 1e400}"#), ItemWarning::LeadTimeIgnored),
        (annotated(r#"{"result": [{}]}, 17, 18"#), ItemWarning::LabelIdsIgnored),
        (r#"{"data": {}, "predictions": [1, 2], "annotations": [{}]}"#.to_owned(), ItemWarning::LabelIdsIgnored),
        (r#"{"data": {}, "meta": "m", "annotations": [{}]}"#.to_owned(), ItemWarning::MetaIgnored),
        (
            r#"{"data": {}, "annotations": [{}], "predictions": [{"result": [], "score": "high"}]}"#.to_owned(),
            ItemWarning::ScoreIgnored,
        ),
        (
            r#"{"data": {}, "annotations": [{}], "predictions": [{"result": [], "model_version": ["v"]}]}"#.to_owned(),
            ItemWarning::ModelVersionIgnored,
        ),
    ] {
        let (item, warnings) = only(&text);
        assert_eq!((item.annotations().len(), warnings), (1, vec![warning.as_str()]), "{text}");
    }
    // Each item counts once, and the first is the example.
    let list = format!("[{{}}, {0}, {0}]", annotated(r#"{"completed_by": "a@b"}, {"completed_by": "c@d"}"#));
    let Contents { warnings, .. } = read(&list);
    let found: Vec<_> = warnings.rows().map(|(warning, rows)| (warning.as_str(), rows.items, rows.first)).collect();
    assert_eq!(found, [("annotator_unknown", 2, 1)]);
}

#[test]
fn an_exported_annotation_is_its_task_with_that_annotation() {
    let (item, warnings) = only(
        r#"{"id": 5, "result": [{"id": "r"}], "created_username": " , 1", "created_ago": "1 day", "completed_by": {"id": 3},
            "task": {"id": 9, "data": {"image": "s3://b/1.jpg"}, "meta": {"m": 1}, "inner_id": 2, "total_annotations": 1},
            "was_cancelled": true, "ground_truth": false, "lead_time": 1.5, "project": 7}"#,
    );
    assert_eq!((&*item.data, item.meta()), (r#"{"image": "s3://b/1.jpg"}"#, Some(r#"{"m": 1}"#)));
    let [annotation] = item.annotations() else { panic!("one annotation") };
    assert_eq!(annotation.result.as_deref(), Some(r#"[{"id": "r"}]"#));
    assert_eq!((annotation.was_cancelled, annotation.completed_by, annotation.lead_time), (true, Some(3), Some(1.5)));
    assert!(warnings.is_empty());
    // Data that only looks like it.
    for text in [
        r#"{"task": {"data": {}}, "id": 5}"#,
        r#"{"task": "label it", "result": "good"}"#,
        r#"{"task": {"a": 1}, "result": []}"#,
    ] {
        assert_eq!(&*only(text).0.data, text);
    }
}

#[test]
fn labels_of_a_flat_export_stay_in_the_data_with_a_warning() {
    let text = r#"{"image": "a", "id": 1, "label": "Cat", "annotator": 1, "annotation_id": 5, "lead_time": 2.5}"#;
    let (item, warnings) = only(text);
    assert_eq!((&*item.data, warnings), (text, vec!["labels_in_data"]));
}
