//! Old and foreign shapes of tasks, and values of other types than expected.

use std::sync::Arc;

use bytes::Bytes;
use longshore_db::host::{ControlTags, TaskFormat};
use longshore_model::ItemWarning;
use tokio_util::sync::CancellationToken;

use super::super::{Budget, Contents, Item, Limits};

fn read(text: &str) -> Contents {
    let mut budget = Budget::new(1 << 20, CancellationToken::new());
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    super::super::read("a.json", bytes, &TaskFormat::default(), &Limits::default(), &mut budget).expect(text)
}

/// The only item, and the warnings of it.
fn only(text: &str) -> (Item, Vec<&'static str>) {
    let Contents { items, warnings, .. } = read(text);
    let [item] = <[Item; 1]>::try_from(items).expect("one item");
    (item, warnings.rows().map(|(warning, _)| warning.as_str()).collect())
}

/// The same in a project with these control tags.
fn read_with(text: &str, label_config: &str) -> (Item, Vec<&'static str>) {
    let mut budget = Budget::new(1 << 20, CancellationToken::new());
    let format = TaskFormat::Native(Arc::new(ControlTags::of_config(label_config)));
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let contents = super::super::read("a.json", bytes, &format, &Limits::default(), &mut budget).expect(text);
    let [item] = <[Item; 1]>::try_from(contents.items).expect("one item");
    (item, contents.warnings.rows().map(|(warning, _)| warning.as_str()).collect())
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
    assert_eq!(only(r#"{"data": {}, "annotations": [], "completions": [{"result": []}]}"#).0.annotations().len(), 1);
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
    assert!(only(&annotated(r#"{"result": null, "completed_by": null}"#)).1.is_empty());
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

/// A task with an annotation, and other members.
fn beside(members: &str) -> String {
    format!(r#"{{"data": {{"a": 1}}, "annotations": [{{"result": []}}], {members}}}"#)
}

#[test]
fn labels_in_other_forms_of_lists_are_read() {
    let region = r#"{"from_name": "a", "to_name": "b", "type": "choices", "value": {"choices": ["c"]}}"#;
    let list = format!("[{region}]");
    for annotations in [
        // Alone, by names, as JSON text, regions without their annotation, and results without it.
        format!(r#"{{"result": [{region}]}}"#),
        format!(r#"{{"17": {{"result": [{region}]}}}}"#),
        format!("[[{region}]]"),
        list.clone(),
        region.to_owned(),
        format!(r#"[{{"result": {region}}}]"#),
        serde_json::Value::from(format!(r#" [{{"result": [{region}]}}] "#)).to_string(),
        serde_json::Value::from(format!(r#"{{"result": [{region}]}}"#)).to_string(),
        format!(r#"[{{"result": {}}}]"#, serde_json::Value::from(region)),
    ] {
        for name in ["annotations", "completions", "predictions"] {
            let (item, warnings) = only(&format!(r#"{{"data": {{}}, "{name}": {annotations}}}"#));
            let results: Vec<_> = match name {
                "predictions" => item.predictions().iter().map(|found| found.result.as_deref()).collect(),
                _ => item.annotations().iter().map(|found| found.result.as_deref()).collect(),
            };
            assert_eq!((results, warnings.len()), (vec![Some(&*list)], 0), "{name} {annotations}");
        }
    }
    // Regions without their annotation are of one.
    let two = format!("[{region}, {region}]");
    let (item, _) = only(&format!(r#"{{"data": {{}}, "annotations": {two}, "predictions": {two}}}"#));
    let [annotation] = item.annotations() else { panic!("one annotation") };
    let [prediction] = item.predictions() else { panic!("one prediction") };
    assert_eq!((annotation.result.as_deref(), prediction.result.as_deref()), (Some(&*two), Some(&*two)));
    let (item, _) = only(r#"{"data": {}, "annotations": {"5": {"result": [{}]}, "6": {"result": []}, "7": {}}}"#);
    assert_eq!(item.annotations().len(), 3);
    assert!(only(r#"{"data": {}, "annotations": "[]", "predictions": " {} "}"#).0.annotations().is_empty());
}

#[test]
fn data_and_meta_may_be_json_texts() {
    let (item, warnings) =
        only(r#"{"data": " {\"text\": \"sea\"} ", "meta": "{\"m\": 1}", "annotations": [{"result": []}]}"#);
    assert_eq!((&*item.data, item.meta(), warnings.len()), (r#"{"text": "sea"}"#, Some(r#"{"m": 1}"#), 0));
    assert_eq!(item.annotations().len(), 1);
    let spelled = r#"{"data": "\n\t\u007b\"a\": 1}"}"#;
    assert_eq!(&*only(spelled).0.data, r#"{"a": 1}"#);
    for text in [r#"{"data": "[1]"}"#, r#"{"data": "{\"a\": 1e1000}"}"#, r#"{"data": "{"}"#] {
        assert_eq!(&*only(text).0.data, text, "no object");
    }
    let (item, _) =
        only(r#"{"d\u0061ta": [1], "\u00e9\n": "x", "predictions": [{"result": []}], "meta": {"m": 2}, "k": 1}"#);
    assert_eq!((&*item.data, item.meta()), (r#"{"data":[1],"é\n":"x","k":1}"#, Some(r#"{"m": 2}"#)));
}

#[test]
fn results_that_are_no_regions_become_regions_of_the_label_config() {
    let config = r#"<View><Image name="image" value="$image"/><Choices name="label" toName="image"/>
        <TextArea name="words" toName="image"/><Rating name="stars" toName="image"/></View>"#;
    let region = |kind: &str, name: &str, value: &str| {
        format!(r#"[{{"from_name": "{name}", "to_name": "image", "type": "{kind}", "value": {value}}}]"#)
    };
    for (result, expected) in [
        (r#""cat""#, region("choices", "label", r#"{"choices": ["cat"]}"#)),
        (r#"["cat", "dog"]"#, region("choices", "label", r#"{"choices": ["cat", "dog"]}"#)),
        (r#""[\"cat\"]""#, region("choices", "label", r#"{"choices": ["cat"]}"#)),
        (r#"{"textarea": ["a"]}"#, region("textarea", "words", r#"{"textarea": ["a"]}"#)),
        ("4", region("rating", "stars", r#"{"rating": [4]}"#)),
        (r#"{"x": 1}"#, r#"[{"x": 1}]"#.to_owned()),
        (r#""""#, "[]".to_owned()),
        ("{ }", "[]".to_owned()),
    ] {
        for labels in ["annotations", "predictions"] {
            let text = format!(r#"{{"data": {{}}, "{labels}": [{{"result": {result}}}]}}"#);
            let (item, warnings) = read_with(&text, config);
            let found = item.annotations().iter().map(|found| &found.result);
            let found: Vec<_> = found.chain(item.predictions().iter().map(|found| &found.result)).collect();
            assert_eq!((found[0].as_deref(), warnings.len()), (Some(&*expected), 0), "{labels} {result}");
        }
    }
    for predictions in [r#""cat""#, r#"["cat"]"#, r#"{"choices": ["cat"]}"#, r#"[{"choices": ["cat"], "score": 1}]"#] {
        let (item, _) = read_with(&format!(r#"{{"data": {{}}, "predictions": {predictions}}}"#), config);
        let result = item.predictions()[0].result.as_deref();
        assert!(result.is_some_and(|result| result.contains(r#""from_name": "label""#)), "{predictions} {result:?}");
    }
}

#[test]
fn what_exports_write_beside_the_data_needs_no_warning() {
    let exported = r#"{"id": "9", "data": {"a": 1}, "inner_id": 1.5, "overlap": "1", "is_labeled": "yes", "drafts": [],
        "file_upload": "f.json", "total_annotations": 1, "predictions": [], "project": null, "updated_by": [{"user_id": 1}],
        "comment_authors": [], "annotations": [{"result": [], "created_at": 1592222222, "created_username": "a b@c, 3",
        "reviews": [], "id": "x"}], "comments": [], "tags": null}"#;
    assert_eq!(only(exported).1, [""; 0]);
}

#[test]
fn tasks_inside_of_a_flat_item_are_one_task_with_a_warning() {
    for text in [
        r#"{"tasks": [{"data": {"a": 1}}, {"data": {}}]}"#,
        r#"{"data": [{"data": {}}]}"#,
        r#"{"1": {"data": {"a": 1}}, "2": {"data": {"a": 2}}}"#,
    ] {
        let (item, warnings) = only(text);
        assert_eq!((&*item.data, warnings), (text, vec!["tasks_in_data"]));
    }
    for text in [r#"{"data": [{"a": 1}]}"#, r#"{"a": {"data": 1}}"#, r#"{"a": []}"#, r#"{"data": {"b": {"data": {}}}}"#]
    {
        assert!(only(text).1.is_empty(), "{text}");
    }
}

/// Goal: no file is lost for a value that matters less than its labels. Method: one such value in each task.
#[test]
fn what_matters_less_than_the_labels_is_left_out_with_one_warning() {
    for (text, warning) in [
        (annotated(r#"{"result": [{}], "lead_time": "long"}"#), ItemWarning::LeadTimeIgnored),
        (annotated(r#"{"result": [{}], "lead_time": 1e400}"#), ItemWarning::LeadTimeIgnored),
        (annotated(r#"{"result": [{}]}, 17, 18"#), ItemWarning::LabelIdsIgnored),
        (annotated(r#"{"result": [{}]}, "17", null"#), ItemWarning::LabelIdsIgnored),
        (annotated(r#"{"result": [{}], "was_cancelled": "maybe"}"#), ItemWarning::WasCancelledIgnored),
        (annotated(r#"{"result": [{}], "ground_truth": 2}"#), ItemWarning::GroundTruthIgnored),
        (annotated(r#"{"bbox": [0, 0, 1, 1], "category_id": 1}"#), ItemWarning::ResultMissing),
        (beside(r#""predictions": [1, 2]"#), ItemWarning::LabelIdsIgnored),
        (beside(r#""predictions": 2"#), ItemWarning::LabelIdsIgnored),
        (beside(r#""predictions": [{"score": 0.5}]"#), ItemWarning::PredictionIgnored),
        (beside(r#""predictions": {"result": 1.5}"#), ItemWarning::PredictionIgnored),
        (beside(r#""predictions": [true]"#), ItemWarning::PredictionIgnored),
        (beside(r#""predictions": "cat""#), ItemWarning::PredictionIgnored),
        (beside(r#""predictions": [{"result": [], "score": "high"}]"#), ItemWarning::ScoreIgnored),
        (beside(r#""predictions": [{"result": [], "score": "95%"}]"#), ItemWarning::ScoreIgnored),
        (beside(r#""predictions": [{"result": [], "model_version": ["v"]}]"#), ItemWarning::ModelVersionIgnored),
        (beside(r#""meta": "m""#), ItemWarning::MetaIgnored),
        (beside(r#""meta": [1]"#), ItemWarning::MetaIgnored),
        (beside(r#""drafts": [{"result": [{}]}]"#), ItemWarning::DraftsIgnored),
        (beside(r#""labels": ["cat"], "prediction": {}"#), ItemWarning::FieldsIgnored),
        (r#"{"data": "s3://b/1.jpg", "annotations": [{"result": []}]}"#.to_owned(), ItemWarning::DataNoObject),
    ] {
        let (item, warnings) = only(&text);
        assert_eq!((item.annotations().len(), warnings), (1, vec![warning.as_str()]), "{text}");
    }
    // Each item counts once, and the first is the example.
    let list = format!(
        "[{{}}, {0}, {0}]",
        annotated(r#"{"result": [], "completed_by": "a@b"}, {"result": [], "completed_by": "c@d"}"#)
    );
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
fn labels_of_a_flat_export_become_an_annotation_by_the_label_config() {
    let config = r#"<View><Image name="image" value="$image"/><Choices name="label" toName="image"/>
        <RectangleLabels name="box" toName="image"/><TextArea name="words" toName="image"/><Rating name="stars" toName="image"/>
        <Taxonomy name="tree" toName="image"/></View>"#;
    let flat = |labels: &str| {
        format!(
            r#"{{"image": "a\u00e9", "id": 1, {labels}, "annotator": 3, "annotation_id": 5, "n": 1.50,
                "created_at": "2024-01-02T03:04:05Z", "updated_at": "2024-01-02T03:04:05Z", "lead_time": 2.5}}"#
        )
    };
    let region = |kind: &str, name: &str, value: &str| {
        format!(r#"{{"from_name": "{name}", "to_name": "image", "type": "{kind}", "value": {value}}}"#)
    };
    for (labels, expected) in [
        (r#""label": "Cat""#, region("choices", "label", r#"{"choices": ["Cat"]}"#)),
        (r#""label": {"choices": ["Cat", "Dog"]}"#, region("choices", "label", r#"{"choices": ["Cat", "Dog"]}"#)),
        (r#""words": "a text""#, region("textarea", "words", r#"{"text": ["a text"]}"#)),
        (r#""stars": [{"rating": 4}]"#, region("rating", "stars", r#"{"rating": 4}"#)),
        (r#""stars": 4"#, region("rating", "stars", r#"{"rating": 4}"#)),
        (r#""tree": [["a", "b"]]"#, region("taxonomy", "tree", r#"{"taxonomy": [["a", "b"]]}"#)),
        (
            r#""box": [{"x": 1.5, "rectanglelabels": ["Cat"], "original_width": 640}], "label": """#,
            r#"{"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": {"x": 1.5, "rectanglelabels": ["Cat"], "original_width": 640}, "original_width": 640}"#.to_owned(),
        ),
        (
            r#""words": ["a", "b"]"#,
            [r#"{"text": ["a"]}"#, r#"{"text": ["b"]}"#].map(|value| region("textarea", "words", value)).join(", "),
        ),
    ] {
        let (item, warnings) = read_with(&flat(labels), config);
        let [annotation] = item.annotations() else { panic!("one annotation") };
        assert_eq!(annotation.result.as_deref(), Some(&*format!("[{expected}]")), "{labels}");
        assert_eq!((annotation.completed_by, annotation.lead_time), (Some(3), Some(2.5)));
        assert_eq!((&*item.data, warnings.len()), (r#"{"image":"aé","n":1.50}"#.replace("aé", "a\\u00e9").as_str(), 0));
    }
    let text = flat(r#""other": "Cat""#);
    let (item, warnings) = read_with(&text, config);
    assert_eq!((&*item.data, warnings), (&*text, vec!["labels_in_data"]), "no control");
}

/// Goal: labels take memory before they are kept. Method: a control with a long name, and many labels.
#[test]
fn labels_of_a_flat_export_are_bounded_by_memory() {
    let config = format!(r#"<View><Choices name="c" toName="{}"/></View>"#, "i".repeat(100_000));
    let text = format!(r#"{{"annotation_id": 1, "annotator": 1, "c": [{}1]}}"#, "1,".repeat(10_000));
    let format = TaskFormat::Native(Arc::new(ControlTags::of_config(&config)));
    let mut budget = Budget::new(1 << 24, CancellationToken::new());
    let unusable = super::super::read("a.json", text.into(), &format, &Limits::default(), &mut budget).unwrap_err();
    assert!(unusable.for_memory && unusable.row_index == Some(0), "{unusable}");
}

#[test]
fn labels_of_a_flat_export_stay_in_the_data_with_a_warning() {
    let text = r#"{"image": "a", "id": 1, "label": "Cat", "annotator": 1, "annotation_id": 5, "lead_time": 2.5}"#;
    let (item, warnings) = only(text);
    assert_eq!((&*item.data, warnings), (text, vec!["labels_in_data"]));
}
