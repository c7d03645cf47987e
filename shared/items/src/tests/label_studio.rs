//! Objects in the format of Label Studio.

use std::sync::Arc;

use bytes::Bytes;
use longshore_db::host::{AnnotationDetails, ControlTag, ControlTags, TaskFormat};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::labels::PredictionDetails;
use super::super::{Budget, Contents, Item, Limits, Unusable};

fn read(text: &str) -> Result<Contents, Unusable> {
    let control = ControlTag { name: "label".to_owned(), kind: "choices".to_owned(), to_name: "image".to_owned() };
    let format = TaskFormat::LabelStudio(ControlTags::new(vec![control]).into());
    let mut budget = Budget::new(1 << 30, CancellationToken::new());
    super::super::read("1.json", Bytes::copy_from_slice(text.as_bytes()), &format, &Limits::default(), &mut budget)
}

fn only(text: &str) -> Item {
    let [item] = <[Item; 1]>::try_from(read(text).expect("a usable object").items).expect("one item");
    item
}

/// The reason and the detail of an unusable object.
fn fault(text: &str) -> (&'static str, String) {
    let unusable = read(text).expect_err(text);
    (unusable.reason.as_str(), unusable.detail)
}

fn warned(text: &str) -> Vec<&'static str> {
    read(text).expect(text).warnings.rows().map(|(warning, _)| warning.as_str()).collect()
}

fn annotated(annotation: &str) -> String {
    format!(r#"{{"data": {{"image": "i"}}, "annotations": [{annotation}]}}"#)
}

fn predicted(prediction: &str) -> String {
    format!(r#"{{"data": {{"image": "i"}}, "predictions": [{prediction}]}}"#)
}

#[test]
fn allow_skip_is_true_unless_the_object_says_otherwise() {
    for (text, allowed) in [
        (r#"{"data": {"a": 1}}"#, Some(true)),
        (r#"{"a": 1}"#, Some(true)),
        (r#"{"data": {"a": 1}, "allow_skip": null}"#, None),
        (r#"{"data": {"a": 1}, "allow_skip": false}"#, Some(false)),
        (r#"{"a": 1, "allow_skip": false}"#, Some(false)),
        (r#"{"a": 1, "allow_skip": 0}"#, Some(false)),
        (r#"{"data": {"a": 1, "allow_skip": false}}"#, Some(true)),
    ] {
        assert_eq!(only(text).allow_skip(), allowed, "{text}");
    }
    let bare = r#"{"a": 1, "allow_skip": false}"#;
    assert_eq!(&*only(bare).data, bare, "it stays in the data");
    for text in [r#"{"data": {}, "allow_skip": "no"}"#, r#"{"a": 1, "allow_skip": 2}"#] {
        assert_eq!((only(text).allow_skip(), warned(text)), (Some(true), vec!["value_ignored"]));
    }
    assert_eq!(only(r#"{"data": {}, "meta": {"a": 1}}"#).meta(), None, "Label Studio drops it");
}

#[test]
fn an_annotation_has_all_fields_that_label_studio_stores() {
    let item = only(&annotated(
        r#"{"id": 9, "result": [{"id": "a"}, {"id": "a"}, {}, {"id": null}], "was_cancelled": true, "completed_by": "4",
            "unique_id": "00000000-0000-0000-0000-000000000007", "import_id": 5000000000, "lead_time": "2.5",
            "last_action": "imported", "last_created_by": 3, "draft_created_at": "2024-01-02T03:04:05Z",
            "parent_prediction": 11.9, "parent_annotation": "12", "bulk_created": null}"#,
    ));
    let [annotation] = item.annotations() else { panic!("one annotation") };
    assert_eq!((annotation.was_cancelled, annotation.lead_time, annotation.completed_by), (true, Some(2.5), Some(4)));
    let expected = AnnotationDetails {
        unique_id: Some(Uuid::from_u128(7)),
        import_id: Some(5_000_000_000),
        last_action: Some("imported"),
        last_created_by: Some(3),
        draft_created_at: "2024-01-02T03:04:05Z".parse().ok(),
        parent_prediction: Some(11),
        parent_annotation: Some(12),
        bulk_created: None,
        result_count: 2,
        email: None,
    };
    assert_eq!(annotation.details.as_deref(), Some(&expected));
    let item = only(&annotated(r#"{"result": null, "unique_id": null}"#));
    let [annotation] = item.annotations() else { panic!("one annotation") };
    assert_eq!((annotation.result.as_deref(), annotation.completed_by), (None, None));
    assert_eq!(annotation.details.as_deref(), Some(&AnnotationDetails::default()));
}

/// Goal: an address counts more than an ID, which may be that of another user here. Method: annotators in all forms.
#[test]
fn an_annotator_is_an_id_or_an_address_to_look_up() {
    for (named, id, email) in [
        ("4", Some(4), None),
        (r#""4""#, Some(4), None),
        (r#"{"id": 4}"#, Some(4), None),
        (r#"{"id": "4", "email": null}"#, Some(4), None),
        (r#"{"id": 4, "email": " "}"#, Some(4), None),
        (r#""a@example.com""#, None, Some("a@example.com")),
        (r#"{"email": "a@example.com", "first_name": "A"}"#, None, Some("a@example.com")),
        (r#"{"id": 4, "email": " A@example.com "}"#, None, Some("A@example.com")),
        ("null", None, None),
    ] {
        let text = annotated(&format!(r#"{{"result": [], "completed_by": {named}}}"#));
        let (item, warnings) = (only(&text), warned(&text));
        let [annotation] = item.annotations() else { panic!("one annotation") };
        let found = annotation.details.as_ref().and_then(|details| details.email.as_deref());
        assert_eq!((annotation.completed_by, found, warnings.len()), (id, email, 0), "{named}");
    }
    let long = format!("\"a@{}\"", "b".repeat(300));
    for named in [r#""""#, r#"" ""#, "true", "[4]", "{}", r#""Ann""#, r#"{"username": "a"}"#, "1e30", &long] {
        let text = annotated(&format!(r#"{{"result": [], "completed_by": {named}}}"#));
        assert_eq!((only(&text).annotations()[0].completed_by, warned(&text)), (None, vec!["annotator_unknown"]));
    }
}

#[test]
fn a_result_may_be_the_text_of_a_list() {
    let contents = read(&annotated(
        r#"{"result": "[{\"id\": \"r\", \"type\": \"choices\", \"from_name\": \"label\", \"to_name\": \"image\", \"value\": {\"choices\": [\"cat\"]}}]"}"#,
    ));
    let contents = contents.expect("a usable object");
    let annotation = &contents.items[0].annotations()[0];
    assert!(annotation.result.as_deref().is_some_and(|result| result.starts_with(r#"[{"id": "r""#)));
    assert_eq!(annotation.details.as_ref().map(|details| details.result_count), Some(1));
    assert_eq!(contents.summary.labels["label"]["cat"], 1);
    for text in ["{}", "[5]", "[", "not JSON", "[] []", "[{\\\"a\\\": 1e131071}]", "[\\\"\\\\u0000\\\"]"] {
        let (reason, detail) = fault(&annotated(&format!(r#"{{"result": "{text}"}}"#)));
        assert_eq!(reason, "invalid_annotations", "{text}: {detail}");
    }
}

#[test]
fn an_annotation_whose_result_label_studio_would_drop_or_fail_on_is_a_fault() {
    for (annotation, word) in [
        (r#"{"result": {}}"#, "result"),
        (r#"{"result": ""}"#, "result"),
        (r#"{"result": [5]}"#, "result"),
        (r#"{"result": [{"type": "choices", "from_name": "a", "to_name": "b"}]}"#, "value"),
        (r#"{"result": [{"type": 5, "from_name": "a", "to_name": "b", "value": {}}]}"#, "type"),
        (r#"{"result": [{"id": ["a"]}]}"#, "id"),
        ("true", "list of objects"),
    ] {
        let (reason, detail) = fault(&annotated(annotation));
        assert!(reason == "invalid_annotations" && detail.contains(word), "{annotation}: {reason} {detail}");
    }
    assert_eq!(fault(r#"{"image": "i", "predictions": [{"result": []}]}"#).0, "missing_data");
    for text in [
        r#"{"data": {}, "annotations": {}, "predictions": ""}"#,
        r#"{"data": {}, "annotations": null, "predictions": -0.0}"#,
    ] {
        let item = only(text);
        assert_eq!((item.annotations(), item.predictions()), (&[][..], &[][..]), "empty, as in Python: {text}");
    }
}

/// Goal: no object is lost for a value that Label Studio drops all labels for. Method: one such value in each annotation.
#[test]
fn a_value_that_label_studio_does_not_take_is_left_out_with_a_warning() {
    for (member, warning) in [
        (r#""unique_id": "id-1""#, "unique_id_ignored"),
        (r#""unique_id": 5"#, "unique_id_ignored"),
        (r#""last_action": "slept""#, "value_ignored"),
        (r#""bulk_created": 2"#, "value_ignored"),
        (r#""parent_annotation": 3000000000"#, "value_ignored"),
        (r#""draft_created_at": "yesterday""#, "value_ignored"),
        (r#""draft_created_at": 1592222222"#, "value_ignored"),
        (r#""import_id": 1.5"#, "value_ignored"),
        (r#""lead_time": "long""#, "lead_time_ignored"),
        (r#""was_cancelled": "maybe""#, "was_cancelled_ignored"),
        (r#""ground_truth": 2"#, "ground_truth_ignored"),
    ] {
        let text = annotated(&format!(r#"{{"result": [], {member}}}"#));
        let item = only(&text);
        let [annotation] = item.annotations() else { panic!("one annotation") };
        assert_eq!(annotation.details.as_deref(), Some(&AnnotationDetails::default()), "{member}");
        assert_eq!(
            (annotation.was_cancelled, annotation.ground_truth, annotation.lead_time, warned(&text)),
            (false, false, None, vec![warning])
        );
    }
    let old = r#"{"data": {}, "completions": {"result": [], "was_cancelled": null, "skipped": true, "honeypot": 1}}"#;
    let item = only(old);
    let [annotation] = item.annotations() else { panic!("one annotation") };
    assert!(annotation.was_cancelled && annotation.ground_truth && warned(old).is_empty());
    let exported = r#"{"id": 5, "result": [], "completed_by": {"id": 3, "email": "e"}, "bulk_created": false,
        "task": {"id": 9, "data": {"image": "i"}, "meta": {"m": 1}}}"#;
    let item = only(exported);
    assert_eq!((&*item.data, item.meta(), item.annotations().len()), (r#"{"image": "i"}"#, None, 1));
}

#[test]
fn a_region_without_names_or_type_needs_no_value() {
    let item = only(&annotated(
        r#"{"result": [{"type": "relation", "from_id": "a"}, {"type": "choices"}, {"value": 5}, {"type": null, "from_name": 5}]}"#,
    ));
    assert_eq!(item.annotations().len(), 1);
}

#[test]
fn results_of_predictions_become_regions() {
    let region = |value: &str| {
        Some(format!(r#"[{{"from_name": "label", "to_name": "image", "type": "choices", "value": {value}}}]"#))
    };
    for (result, expected) in [
        (r#""cat""#, region(r#"{"choices": ["cat"]}"#)),
        (r#"{"choices": ["dog"]}"#, region(r#"{"choices": ["dog"]}"#)),
        ("[]", Some("[]".to_owned())),
        ("7", None),
    ] {
        let item = only(&predicted(&format!(r#"{{"result": {result}}}"#)));
        assert_eq!(item.predictions()[0].result.as_deref(), expected.as_deref(), "{result}");
    }
}

#[test]
fn a_prediction_has_all_fields_that_label_studio_stores() {
    let item = only(&predicted(
        r#"{"result": [], "score": "0.5", "model_version": 1.10, "cluster": 3, "neighbors": [1, 2], "mislabeling": 0.25,
            "model": 7, "model_run": "8"}"#,
    ));
    let [prediction] = item.predictions() else { panic!("one prediction") };
    assert_eq!((prediction.score, prediction.model_version.as_deref()), (Some(0.5), Some("1.1")));
    let details = PredictionDetails {
        cluster: Some(3),
        neighbors: Some("[1, 2]".to_owned().into()),
        mislabeling: 0.25,
        model: Some(7),
        model_run: Some(8),
    };
    assert_eq!(prediction.details.as_deref(), Some(&details));
    assert_eq!(only(&predicted(r#"{"result": []}"#)).predictions()[0].details, None);
    assert!(
        warned(&predicted(r#"{"result": [], "score": null, "model_version": null, "mislabeling": null}"#)).is_empty()
    );
    for (prediction, kept, warning) in [
        ("{}", 0, "prediction_ignored"),
        (r#"{"result": null}"#, 0, "prediction_ignored"),
        (r#"{"result": [5]}"#, 0, "prediction_ignored"),
        (r#"{"result": 1.5}"#, 0, "prediction_ignored"),
        ("[5]", 0, "prediction_ignored"),
        (r#"{"result": [], "score": "high"}"#, 1, "score_ignored"),
        (r#"{"result": [], "model_version": true}"#, 1, "model_version_ignored"),
        (r#"{"result": [], "cluster": "many"}"#, 1, "value_ignored"),
        (r#"{"result": [], "mislabeling": "x"}"#, 1, "value_ignored"),
        (r#"{"result": [], "model": {"id": 7}}"#, 1, "value_ignored"),
        (r#"{"result": [], "model_run": true}"#, 1, "value_ignored"),
    ] {
        let text = predicted(prediction);
        let item = only(&text);
        assert_eq!((item.predictions().len(), warned(&text)), (kept, vec![warning]), "{prediction}");
        assert!(item.predictions().iter().all(|found| found.details.is_none() && found.score.is_none()));
    }
}

#[test]
fn columns_regions_and_labels_are_counted_exactly() {
    let contents = read(
        r#"[{"x": 1, "\u0078": 2}, {"data": {"x": {"y": 1}, "z": []}, "annotations": [{"result": [
            {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}},
            {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["dog", "cat", 1.50]}},
            {"from_name": "label", "to_name": "image", "type": "Choices", "value": {"choices": ["not by this type"]}},
            {"from_name": "t", "to_name": ["a", "b"], "type": "taxonomy", "value": {"taxonomy": [["x", "y"]]}},
            {"from_name": "v", "to_name": "b", "type": "videorectangle", "value": {"labels": ["car"]}},
            {"from_name": "words", "to_name": "image", "type": "text", "value": {"text": ["no label"]}},
            {"from_name": "label", "to_name": "image", "type": "relation"}, {"type": "choices"}]}]}]"#,
    )
    .expect("a usable object");
    let counts = |map: &std::collections::BTreeMap<String, i64>| {
        map.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
    };
    let summary = contents.summary;
    assert_eq!((summary.tasks, counts(&summary.columns)), (2, "x 2, z 1".to_owned()));
    let regions = "label|image|choices 3, t|a,b|taxonomy 1, v|b|videorectangle 1, words|image|text 1";
    assert_eq!(counts(&summary.annotations), regions);
    let labels: Vec<String> = summary.labels.iter().map(|(name, of)| format!("{name}: {}", counts(of))).collect();
    assert_eq!(labels, ["label: 1.5 1, cat 2, dog 1", "t: x 1, y 1", "v: car 1", "words: "]);
}

/// Goal: the summary takes memory from the budget of its object. Method: an object of many short names.
#[test]
fn many_columns_need_memory_of_the_object_that_has_them() {
    let names: Vec<String> = (0..10_000).map(|n| format!("\"{n}\": 0")).collect();
    let text = format!("{{{}}}", names.join(", "));
    let mut budget = Budget::new(10 * text.len(), CancellationToken::new());
    let format = TaskFormat::LabelStudio(Arc::default());
    let limits = Limits::default();
    let read = super::super::read("1.json", text.clone().into(), &format, &limits, &mut budget);
    assert!(read.is_err_and(|unusable| unusable.for_memory));
    let mut budget = Budget::new(10 * text.len(), CancellationToken::new());
    assert!(super::super::read("1.json", text.into(), &TaskFormat::default(), &limits, &mut budget).is_ok());
}

/// Goal: with the native host, items take no memory for what only Label Studio stores.
#[test]
fn an_item_is_small() {
    use super::super::labels::{AnnotationItem, PredictionItem};
    assert_eq!(size_of::<Item>(), 32);
    assert_eq!((size_of::<AnnotationItem>(), size_of::<PredictionItem>()), (64, 64));
}
