//! What a second sync does with a bucket that changed.

use serde_json::json;

use super::{Case, TASK};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::blobs("new-objects").keys(&["a.jpg", "c.jpg"]).later("b.jpg", "x").later("d.jpg", "x"),
        Case::new("changed-object").object("a.json", TASK).later("a.json", r#"{"image": "changed"}"#),
        Case::new("longer-list")
            .object("a.json", r#"[{"image": "1"}]"#)
            .later("a.json", r#"[{"image": "1"}, {"image": "2"}]"#),
        Case::new("rows-counted")
            .object("a.json", r#"[{"image": "1"}, {"image": "2"}, {"image": "3"}]"#)
            .object("b.json", TASK)
            .later("c.json", TASK),
        Case::blobs("deleted-tasks").keys(&["a.jpg", "b.jpg", "c.jpg"]).deleted(&["a.jpg", "c.jpg"]),
        Case::new("deleted-list")
            .object("a.json", r#"[{"image": "1"}, {"image": "2"}]"#)
            .object("b.json", TASK)
            .deleted(&["a.json"]),
        Case::new("deleted-and-changed")
            .object("a.json", TASK)
            .later("a.json", r#"{"data": {"image": "changed"}, "allow_skip": false}"#)
            .deleted(&["a.json"]),
        Case::new("list-no-longer-empty")
            .object("a.json", "[]")
            .later("a.json", r#"[{"image": "1"}]"#)
            .differs(
                "empty-list",
                "2 storage",
                json!("completed, 1 new, 0 existed, attempt 2"),
                json!("completed, 0 new, 0 existed, attempt 2"),
            )
            .differs("empty-list", "2 task a.json[0]", json!({"data": {"image": "1"}}), json!(null))
            .summary("empty-list", "columns", json!({"image": 1}), json!({}))
            .summary("empty-list", "common", json!(["image"]), json!([])),
        repaired(),
    ]
}

/// Both import an object that was replaced by a readable one. Label Studio still shows why the first sync failed.
fn repaired() -> Case {
    Case::new("repaired")
        .object("a.json", "{")
        .later("a.json", TASK)
        .differs("refused-object", "1 storage", json!(super::FAILED), json!(super::with_errors(0)))
        .differs(
            "old-traceback",
            "2 storage",
            json!("completed, 1 new, 0 existed, attempt 2, traceback"),
            json!("completed, 1 new, 0 existed, attempt 2"),
        )
}
