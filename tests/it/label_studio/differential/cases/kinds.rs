//! Cases on the other kinds: their own settings, names and listings.

use serde_json::{Value, json};

use super::{Case, TASK, annotated, stops, task};

const KEYS: &[&str] = &["a b+ü.jpg", "p/b.jpg", "p/c.png", "p/sub/d.jpg", "pp/e.jpg"];

/// Cases on a kind of storage.
pub(crate) fn of_kind(kind: &str) -> Vec<Case> {
    match kind {
        "gcs" => gcs(),
        "azure" => azure(),
        "redis" => redis(),
        "localfiles" => localfiles(),
        other => panic!("a kind with cases: {other}"),
    }
}

/// What cloud stores have in common.
fn clouds(kind: &str) -> Vec<Case> {
    let blobs = |name: &str| Case::blobs(&format!("{kind}-{name}"));
    let cases = vec![
        blobs("flat").keys(KEYS).settings(json!({"presign": false, "presign_ttl": 30})),
        blobs("deep").keys(KEYS).settings(json!({"recursive_scan": true})),
        blobs("prefix").keys(KEYS).settings(json!({"prefix": "p", "title": "Pictures"})),
        blobs("prefix-deep").keys(KEYS).settings(json!({"prefix": "p/", "recursive_scan": true})),
        blobs("regex").keys(KEYS).settings(json!({"regex_filter": r".*\.jpg$", "recursive_scan": true})),
        blobs("turns").keys(KEYS).later("z.jpg", "x").deleted(&["a b+ü.jpg"]),
        Case::new(&format!("{kind}-tasks"))
            .object("a.json", TASK)
            .object("b.json", r#"[{"image": "1"}, {"image": "2"}]"#)
            .object("c.jsonl", "{\"image\": \"3\"}\n{\"image\": \"4\"}\n")
            .object("d.json", annotated(r#"[{"result": [], "completed_by": 1}]"#)),
        stops("refused-object", &format!("{kind}-refused"), "a.json", "{"),
    ];
    cases
}

fn gcs() -> Vec<Case> {
    let mut cases = clouds("gcs");
    cases.push(Case::blobs("gcs-folders").keys(&["p/", "p/a.jpg", "q/"]).settings(json!({"recursive_scan": true})));
    // The credentials of both processes.
    let own = json!({"google_application_credentials": null, "google_project_id": null});
    cases.push(Case::new("gcs-own-identity").object("a.json", TASK).settings(own));
    cases
}

fn azure() -> Vec<Case> {
    let mut cases = clouds("azure");
    let own = json!({"account_name": null, "account_key": null});
    cases.push(Case::new("azure-own-identity").object("a.json", TASK).settings(own));
    let entry = "azure-folders";
    cases.push(
        Case::blobs("azure-folders")
            .keys(&["p/", "p/a.jpg", "q/"])
            .settings(json!({"recursive_scan": true}))
            .ends(
                entry,
                ["completed, 3 new, 0 existed, attempt 1", "completed, 1 new, 0 existed, attempt 1"],
                ["completed, 0 new, 3 existed, attempt 2", "completed, 0 new, 1 existed, attempt 2"],
            )
            .task(entry, "p/", blob("azure-blob://azure-folders/p/"), Value::Null)
            .task(entry, "q/", blob("azure-blob://azure-folders/q/"), Value::Null)
            .summary(entry, "columns", json!({"$undefined$": 3}), json!({"$undefined$": 1})),
    );
    cases
}

fn blob(uri: &str) -> Value {
    json!({"data": {"$undefined$": uri}})
}

/// The name of a case is the number of its database.
fn redis() -> Vec<Case> {
    let path = json!({"path": "t:"});
    let cases = vec![
        Case::new("1")
            .object("t:1", TASK)
            .object("t:2.json", r#"{"image": "x"}"#)
            .object("u:3", TASK)
            .settings(path.clone()),
        Case::new("2").object("a", r#"[{"image": "1"}, {"image": "2"}]"#).settings(json!({"path": ""})),
        Case::new("3")
            .object("t:1", annotated(r#"[{"result": []}]"#))
            .later("t:2", TASK)
            .deleted(&["t:1"])
            .settings(path.clone()),
        // Label Studio reads no key: it looks for those that begin with `None`.
        Case::new("4")
            .object("a", TASK)
            .settings(json!({"path": null}))
            .ends(
                "redis-without-path",
                ["completed, 0 new, 0 existed, attempt 1", "completed, 1 new, 0 existed, attempt 1"],
                ["completed, 0 new, 0 existed, attempt 2", "completed, 0 new, 1 existed, attempt 2"],
            )
            .task("redis-without-path", "a", Value::Null, task())
            .summary("redis-without-path", "columns", json!({}), json!({"image": 1}))
            .summary("redis-without-path", "common", json!([]), json!(["image"])),
        Case::new("5")
            .object("a1", TASK)
            .object("b1", TASK)
            .settings(json!({"path": "[ab]"}))
            .ends(
                "redis-glob",
                ["completed, 2 new, 0 existed, attempt 1", "completed, 0 new, 0 existed, attempt 1"],
                ["completed, 0 new, 2 existed, attempt 2", "completed, 0 new, 0 existed, attempt 2"],
            )
            .task("redis-glob", "a1", task(), Value::Null)
            .task("redis-glob", "b1", task(), Value::Null)
            .summary("redis-glob", "columns", json!({"image": 2}), json!({}))
            .summary("redis-glob", "common", json!(["image"]), json!([])),
        Case::new("6")
            .object("t:1", TASK)
            .object("t:2", TASK)
            .settings(json!({"path": "t:", "regex_filter": "t:1"}))
            .ends(
                "redis-filter",
                ["completed, 2 new, 0 existed, attempt 1", "completed, 1 new, 0 existed, attempt 1"],
                ["completed, 0 new, 2 existed, attempt 2", "completed, 0 new, 1 existed, attempt 2"],
            )
            .task("redis-filter", "t:2", task(), Value::Null)
            .summary("redis-filter", "columns", json!({"image": 2}), json!({"image": 1})),
        Case::blobs("7").object("t:1", TASK).settings(path),
    ];
    cases.into_iter().map(Case::unordered).collect()
}

fn localfiles() -> Vec<Case> {
    let files = &["a b+ü&%.jpg", "p/b.jpg", "p/sub/c.jpg", "d.png"];
    let by_name = json!(files);
    let by_path = json!(["a b+ü&%.jpg", "d.png", "p/b.jpg", "p/sub/c.jpg"]);
    vec![
        Case::blobs("local-flat").keys(files),
        Case::blobs("local-deep")
            .keys(files)
            .settings(json!({"recursive_scan": true}))
            .differs("local-order", "1 order", by_name.clone(), by_path.clone())
            .differs("local-order", "2 order", by_name, by_path),
        Case::blobs("local-regex").keys(files).settings(json!({"recursive_scan": true, "regex_filter": "[bc]"})),
        Case::new("local-tasks")
            .object("a.json", TASK)
            .object("b.json", r#"[{"image": "1"}, {"image": "2"}]"#)
            .object("c.json", annotated(r#"[{"result": [], "completed_by": 1}]"#)),
        Case::blobs("local-turns").keys(&["a.jpg", "b.jpg"]).later("c.jpg", "x").deleted(&["a.jpg"]),
        stops("refused-object", "local-refused", "a.json", "{"),
    ]
}
