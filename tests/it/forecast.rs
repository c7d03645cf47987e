//! What a sync would do, as the API says it when a storage is saved or validated: counts by rule, examples, the first task, and
//! warnings of mistakes.

mod counts;
mod siblings;

use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_rig::redis::{PASSWORD, RedisServer};
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, send_json};
use serde_json::{Value, json};

const CONFIG: &str = r#"<View><Image name="i" value="$image"/></View>"#;

/// A rig with a project and a bucket of five images, two task files and a folder.
async fn rig() -> (Rig, i64) {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.put_many("pets", (0..5).map(|n| (format!("images/{n}.png"), "x")));
    rig.s3.put("pets", "labels/a.json", r#"[{"data": {"n": 1.5}}, {"text": "b"}]"#);
    rig.s3.put("pets", "labels/b.json", r#"{"text": "c"}"#);
    rig.s3.put("pets", "empty/", "");
    let project = rig.post("/api/projects", json!({"title": "Pets", "label_config": CONFIG})).await["id"].as_i64();
    (rig, project.expect("an id"))
}

fn settings(rig: &Rig, project: i64, own: &Value) -> Value {
    let mut all = json!({
        "project": project, "bucket": "pets", "s3_endpoint": rig.s3.endpoint(), "recursive_scan": true,
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
    });
    all.as_object_mut().expect("an object").extend(own.as_object().expect("an object").clone());
    all
}

/// The warnings of an answer: code, field and suggestion of each.
fn warnings(answer: &Value) -> Vec<(&str, Option<&str>, Option<&str>)> {
    let all = answer["warnings"].as_array().unwrap_or_else(|| panic!("warnings: {answer}"));
    for warning in all {
        let detail = warning["detail"].as_str().expect("a text");
        assert!(detail.ends_with('.') && detail.len() > 20, "{detail}");
    }
    all.iter()
        .map(|warning| {
            (warning["code"].as_str().expect("a code"), warning["field"].as_str(), warning["suggestion"].as_str())
        })
        .collect()
}

fn codes(answer: &Value) -> Vec<&str> {
    warnings(answer).into_iter().map(|(code, ..)| code).collect()
}

/// Goal: each way to save or validate a storage says what a sync would do, with counts by rule, examples and the first task.
#[tokio::test(flavor = "multi_thread")]
async fn saving_or_validating_a_storage_says_what_a_sync_would_do() {
    let (rig, project) = rig().await;
    let images = settings(&rig, project, &json!({"use_blob_urls": true, "regex_filter": r"images/.*\.png"}));
    let validated = rig.post("/api/storages/s3/validate", images.clone()).await;
    let created = rig.post("/api/storages/s3", images).await;
    assert_eq!(created["report"], validated["report"]);
    assert_eq!((codes(&created), codes(&validated)), (vec![], vec![]));
    let skipped = |report: &Value, rule: &str| {
        let all = report["skipped"].as_array().expect("a list");
        all.iter().find(|group| group["rule"] == rule).cloned().unwrap_or_default()
    };
    let report = &created["report"];
    assert_eq!((&report["looked_at"], &report["complete"], &report["matched"]), (&json!(8), &json!(true), &json!(5)));
    assert_eq!(report["examples"], json!(["images/0.png", "images/1.png", "images/2.png"]));
    assert_eq!(skipped(report, "regex")["keys"], 2);
    assert_eq!(skipped(report, "folder")["examples"], json!(["empty/"]));
    assert_eq!(report["first_task"], json!({"data": {"image": "s3://pets/images/0.png"}}));
    assert_eq!((&report["error"], &report["refused"]), (&Value::Null, &json!([])));

    // The same storage without the filter, for task files.
    let path = format!("/api/storages/s3/{}", created["id"]);
    let files = json!({"prefix": "labels", "regex_filter": null, "use_blob_urls": false});
    let (status, changed) = rig.call("PATCH", &path, Some(files)).await;
    assert_eq!(status, 200, "{changed}");
    let report = &changed["report"];
    // The label config of the project shows another field than the tasks have.
    assert_eq!((&report["matched"], codes(&changed)), (&json!(2), vec!["missing_data_key"]));
    assert_eq!(report["first_task"].to_string(), r#"{"data":{"n":1.5}}"#);
    assert_eq!(report["first_object"], json!({"key": "labels/a.json", "tasks": 2, "reason": null, "detail": null}));

    // A title changes nothing about what a sync takes.
    rig.s3.clear_calls();
    let (_, titled) = rig.call("PATCH", &path, Some(json!({"title": "T"}))).await;
    assert!(titled.get("report").is_none() && rig.s3.calls().is_empty(), "{titled}");
    let stored = rig.get(&path).await;
    assert!(stored.get("report").is_none() && stored.get("warnings").is_none(), "{stored}");
}

/// Goal: a mistake in the prefix or the filter has a warning with the value that was meant. Method: mistakes of public tickets,
/// on a real server.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_prefix_and_filter_are_warned_of_with_what_was_meant() {
    let (rig, project) = rig().await;
    let validate = async |own: Value| {
        let sent = settings(&rig, project, &own);
        rig.post("/api/storages/s3/validate", sent).await
    };
    for (prefix, code, meant) in [
        ("/images", "prefix_leading_slash", Some("images")),
        ("./images", "prefix_leading_slash", Some("images")),
        ("Images", "prefix_case", Some("images")),
        ("IMAGES/", "prefix_case", Some("images/")),
        ("images/*", "prefix_glob", Some("images")),
        ("s3://pets/images", "prefix_uri", Some("images")),
        ("images ", "prefix_blanks", Some("images")),
        ("videos", "nothing_below_prefix", None),
    ] {
        let answer = validate(json!({"prefix": prefix, "use_blob_urls": true})).await;
        let found = warnings(&answer);
        assert!(found.contains(&(code, Some("prefix"), meant)), "{prefix}: {found:?}");
        assert!(found.contains(&("nothing_matches", None, None)), "{prefix}: {found:?}");
    }
    for (filter, code, meant) in [
        (".png", "filter_not_from_start", ".*.png"),
        ("jpg|png", "filter_not_from_start", ".*(jpg|png)"),
        (" .*", "filter_blanks", ".*"),
        ("/images/.*", "filter_leading_slash", "images/.*"),
        (r".*\\.png", "filter_doubled_backslash", r".*\.png"),
        (r".*\.PNG", "filter_case", r"(?i).*\.PNG"),
        ("images/*.png", "glob_filter", r"images/[^/]*\.png"),
    ] {
        let answer = validate(json!({"prefix": "images", "regex_filter": filter, "use_blob_urls": true})).await;
        let found = warnings(&answer);
        assert!(found.contains(&(code, Some("regex_filter"), Some(meant))), "{filter}: {found:?}");
        assert!(found.contains(&("nothing_matches", Some("regex_filter"), None)), "{filter}: {found:?}");
        assert_eq!(answer["report"]["skipped"][0]["keys"], 5, "{filter}: {answer}");
    }
    let deep = validate(json!({"recursive_scan": false, "use_blob_urls": true})).await;
    assert_eq!(warnings(&deep), [("nothing_matches", Some("recursive_scan"), None)]);
    for fine in [json!({"prefix": "images"}), json!({"regex_filter": r"images/\d\.png"})] {
        let mut own = fine.clone();
        own["use_blob_urls"] = json!(true);
        assert_eq!(codes(&validate(own).await), Vec::<&str>::new(), "{fine}");
    }
    let exported = settings(&rig, project, &json!({"prefix": "/out", "recursive_scan": null}));
    let answer = rig.post("/api/storages/export/s3/validate", exported).await;
    assert_eq!((codes(&answer), answer.get("report")), (vec!["prefix_leading_slash"], None));
}

/// Goal: a mode that does not fit the objects, a label config without a data key, fields of other kinds, and a place that another
/// storage has, are warned of; and a caller learns of no storage outside of their projects.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_the_objects_the_project_or_other_storages_is_warned_of() {
    let (rig, project) = rig().await;
    let validate =
        async |project: i64, own: Value| rig.post("/api/storages/s3/validate", settings(&rig, project, &own)).await;
    let media = validate(project, json!({"prefix": "images"})).await;
    assert_eq!(codes(&media), ["json_mode_on_media"]);
    assert_eq!(media["report"]["refused"][0]["rule"], "unsupported_extension");
    assert_eq!(media["report"]["refused"][0]["keys"], 5);
    assert_eq!(
        codes(&validate(project, json!({"prefix": "labels", "use_blob_urls": true})).await),
        ["blob_mode_on_json"]
    );
    let bare = rig.project().await;
    let config = json!({"title": "No config", "label_config": "<View/>"});
    let unnamed = rig.post("/api/projects", config).await["id"].as_i64().expect("an id");
    let undefined = validate(unnamed, json!({"prefix": "images", "use_blob_urls": true})).await;
    assert_eq!(codes(&undefined), ["undefined_data_key"]);
    assert_eq!(undefined["report"]["first_task"]["data"]["$undefined$"], "s3://pets/images/0.png");
    let foreign = validate(project, json!({"prefix": "images", "use_blob_urls": true, "container": "c"})).await;
    assert_eq!(codes(&foreign), ["ignored_field"]);

    let own = json!({"prefix": "images", "use_blob_urls": true});
    let first = rig.post("/api/storages/s3", settings(&rig, project, &own)).await;
    let slashed = json!({"prefix": "images/", "use_blob_urls": true});
    let twin = validate(project, slashed.clone()).await;
    assert_eq!(warnings(&twin), [("same_place", Some("bucket"), None)]);
    let mut same = settings(&rig, project, &own);
    same["id"] = first["id"].clone();
    assert_eq!(codes(&rig.post("/api/storages/s3/validate", same).await), Vec::<&str>::new(), "not of itself");
    let new = json!({"name": "other", "role": "admin", "projects": [bare]});
    let token = rig.post("/api/tokens", new).await["token"].as_str().expect("a token").to_owned();
    let request = rig.request("POST", "/api/storages/s3/validate").bearer_auth(token);
    let (status, hidden) = send_json(request.json(&settings(&rig, bare, &slashed))).await;
    assert_eq!(status, 200, "{hidden}");
    assert!(!codes(&hidden).contains(&"same_place"), "{hidden}");
}

/// Goal: `strict` refuses what has warnings, and stores nothing; and a report that fails does not fail the save.
#[tokio::test(flavor = "multi_thread")]
async fn strict_refuses_warnings_and_a_failed_report_saves_the_storage() {
    let (rig, project) = rig().await;
    let wrong = settings(&rig, project, &json!({"prefix": "/images", "use_blob_urls": true}));
    for path in ["/api/storages/s3?strict=true", "/api/storages/s3/validate?strict=1"] {
        let (status, body) = rig.call("POST", path, Some(wrong.clone())).await;
        assert_eq!((status, &body["code"]), (400, &json!("warnings")), "{body}");
        assert!(
            body["validation_errors"]["prefix"][0].as_str().is_some_and(|text| text.contains("`images`")),
            "{body}"
        );
    }
    assert_eq!(rig.get("/api/storages").await, json!([]), "nothing was stored");
    let right = settings(&rig, project, &json!({"prefix": "images", "use_blob_urls": true}));
    let stored = rig.post("/api/storages/s3?strict=true", right.clone()).await;
    let path = format!("/api/storages/s3/{}", stored["id"]);
    let (status, body) = rig.call("PATCH", &format!("{path}?strict=true"), Some(json!({"regex_filter": "png"}))).await;
    assert_eq!((status, &body["code"]), (400, &json!("warnings")), "{body}");
    assert_eq!(rig.get(&path).await["regex_filter"], Value::Null);

    rig.s3.clear_calls();
    let quiet = rig.post("/api/storages/s3?report=false", right.clone()).await;
    assert!(quiet.get("report").is_none(), "{quiet}");
    // The listing of the report comes after those of the probe.
    let probes = rig.s3.calls().iter().filter(|call| call.op == Op::List).count();
    rig.s3.fail(When::op(Op::List).nth(probes + 1), Fault::Error(S3ErrorCode::AccessDenied));
    let saved = rig.post("/api/storages/s3", right).await;
    assert!(saved["id"].is_i64() && codes(&saved).contains(&"report_failed"), "{saved}");
    assert!(saved["report"]["error"].as_str().is_some_and(|text| text.contains("denied")), "{saved}");
}

/// Goal: an empty Redis database is warned of while another one holds keys, in the words of Redis.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_beside_one_with_keys_is_warned_of() {
    let (rig, server) = (Rig::with().workers(0).start().await, RedisServer::start().await);
    let mut db = server.db(3).await;
    for n in 0..4 {
        redis::cmd("SET").arg(format!("task:{n}")).arg("{}").exec_async(&mut db).await.expect("a value");
    }
    let project = rig.project().await;
    let settings = |own: Value| {
        let mut all = json!({"project": project, "host": "127.0.0.1", "port": server.port.to_string(),
                             "password": PASSWORD});
        all.as_object_mut().expect("an object").extend(own.as_object().expect("an object").clone());
        all
    };
    let answer = rig.post("/api/storages/redis", settings(json!({}))).await;
    assert_eq!(warnings(&answer), [("nothing_matches", None, None), ("empty_database", Some("db"), Some("3"))]);
    assert!(!answer["warnings"].to_string().contains("bucket"), "{answer}");
    let full = rig.post("/api/storages/redis", settings(json!({"db": 3, "path": "task:*"}))).await;
    assert_eq!(warnings(&full), [("nothing_matches", None, None), ("prefix_glob", Some("path"), Some("task:"))]);
    let whole = rig.post("/api/storages/redis", settings(json!({"db": 3}))).await;
    assert_eq!(codes(&whole), ["overlapping_place", "missing_data_key"], "{whole}");
}

/// Goal: a dry run judges the whole bucket with exact counts, and writes nothing. Method: a bucket of three pages, whose rows and
/// calls are counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_judges_all_keys_and_writes_nothing() {
    let (rig, project) = rig().await;
    rig.s3
        .put_many("pets", (0..2_300).map(|n| (format!("many/{n:04}.{}", if n % 2 == 0 { "png" } else { "txt" }), "x")));
    let own = json!({"use_blob_urls": true, "prefix": "many", "regex_filter": r".*\.png"});
    let storage = rig.post("/api/storages/s3?report=false", settings(&rig, project, &own)).await;
    let path = format!("/api/storages/s3/{}/dry-run", storage["id"]);
    rig.s3.clear_calls();
    let answer = rig.request("POST", &path).bearer_auth(rig.token()).send().await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["content-type"].to_str().ok()),
        (200, Some("text/event-stream"))
    );
    let text = answer.text().await.expect("events");
    let lines: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let (last, earlier) = lines.split_last().expect("an event");
    assert!(earlier.iter().all(|line| line["done"] == false), "{text}");
    assert_eq!((&last["done"], &last["looked_at"], &last["matched"]), (&json!(true), &json!(2_300), &json!(1_150)));
    let report = &last["forecast"]["report"];
    assert_eq!((&last["exact"], &report["complete"], &report["error"]), (&json!(true), &json!(true), &Value::Null));
    let skipped = json!([{
        "rule": "regex", "detail": report["skipped"][0]["detail"], "keys": 1_150,
        "examples": ["many/0001.txt", "many/0003.txt", "many/0005.txt"]
    }]);
    assert_eq!(report["skipped"], skipped);
    assert_eq!(report["first_task"], json!({"data": {"image": "s3://pets/many/0000.png"}}));
    assert_eq!(codes(&last["forecast"]), Vec::<&str>::new());
    let calls = rig.s3.calls();
    assert!(calls.len() == 3 && calls.iter().all(|call| call.op == Op::List), "{calls:?}");
    let database = rig.database().await;
    for table in ["tasks", "syncs", "jobs", "objects", "quarantine"] {
        let count = database.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.expect("a count");
        assert_eq!(count.get::<_, i64>(0), 0, "{table}");
    }
    let (status, body) = rig.call("POST", "/api/storages/s3/999/dry-run", None).await;
    assert_eq!((status, &body["code"]), (404, &json!("not_found")), "{body}");
}
