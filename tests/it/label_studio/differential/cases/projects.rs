//! Projects: label configs, and columns and labels of the summary.

use serde_json::json;

use super::{Case, TASK, annotated};

const SEVERAL: &str = r#"<View><Image name="image" value="$image"/><Text name="text" value="$caption"/>
    <RectangleLabels name="box" toName="image"><Label value="car"/><Label value="bus"/></RectangleLabels>
    <Choices name="label" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices>
    <Taxonomy name="tax" toName="text"><Choice value="a"><Choice value="b"/></Choice></Taxonomy>
    <TextArea name="words" toName="image"/><Rating name="stars" toName="image"/></View>"#;

pub(super) fn cases() -> Vec<Case> {
    let regions = r#"[{"id": "1", "from_name": "box", "to_name": "image", "type": "rectanglelabels", "original_width": 10,
          "original_height": 10, "image_rotation": 0,
          "value": {"x": 1.5, "y": 2, "width": 3, "height": 4, "rotation": 0, "rectanglelabels": ["car"]}},
        {"id": "2", "from_name": "tax", "to_name": "text", "type": "taxonomy", "value": {"taxonomy": [["a", "b"]]}},
        {"id": "3", "from_name": "words", "to_name": "image", "type": "textarea", "value": {"text": ["one", "two"]}},
        {"id": "4", "from_name": "stars", "to_name": "image", "type": "rating", "value": {"rating": 4}}]"#;
    vec![
        Case::blobs("config-without-object").keys(&["a.jpg"]).config("<View></View>"),
        Case::blobs("config-of-text").keys(&["a.txt"]).config(
            r#"<View><Text name="t" value="$words"/><Choices name="c" toName="t"><Choice value="x"/></Choices></View>"#,
        ),
        Case::new("config-several").config(SEVERAL).object("a.json", annotated(&format!(r#"[{{"result": {regions}}}]"#))),
        Case::new("unknown-controls").object(
            "a.json",
            annotated(r#"[{"result": [{"from_name": "x", "to_name": ["a", "b"], "type": "Labels", "value": {"labels": ["new"]}}]}]"#),
        ),
        Case::new("labels-of-new-control")
            .object(
                "a.json",
                annotated(
                    r#"[{"result": [{"id": "1", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}},
                        {"id": "2", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["dog"]}},
                        {"id": "3", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["dog"]}}]}]"#,
                ),
            )
            .summary("labels", "labels", json!({"label": {"dog": 1}}), json!({"label": {"cat": 1, "dog": 2}})),
        Case::new("labels-cancelled").object(
            "a.json",
            annotated(
                r#"[{"was_cancelled": true, "result": [{"id": "1", "from_name": "label", "to_name": "image", "type": "choices",
                     "value": {"choices": ["cat"]}}]}]"#,
            ),
        ),
        Case::new("columns-in-common")
            .object("a.json", r#"{"x": 1, "y": 2}"#)
            .object("b.json", r#"{"y": 1}"#)
            .object("c.json", r#"{"y": 1, "z": null}"#),
        Case::new("columns-in-no-common")
            .object("a.json", r#"{"x": 1}"#)
            .object("b.json", r#"{"y": 1}"#)
            .object("c.json", r#"{"z": 1}"#)
            // Label Studio reads the tasks in no order, and keeps the columns of the last.
            .summary("common-columns", "common", json!(["x"]), json!([]))
            .or_theirs([json!(["y"]), json!(["z"])]),
        Case::blobs("overlap-of-three").keys(&["a.jpg"]).project(json!({"maximum_annotations": 3})),
        (0..10)
            .fold(Case::blobs("cohort-of-half"), |case, n| case.object(&format!("{n}.jpg"), "x"))
            .project(json!({"maximum_annotations": 2, "overlap_cohort_percentage": 50}))
            .with_cohort(),
        (0..7)
            .fold(Case::blobs("cohort-rounded"), |case, n| case.object(&format!("{n}.jpg"), "x"))
            .project(json!({"maximum_annotations": 3, "overlap_cohort_percentage": 35}))
            .with_cohort(),
        Case::new("published").object("a.json", TASK).project(json!({"is_published": true, "show_skip_button": false})),
    ]
}
