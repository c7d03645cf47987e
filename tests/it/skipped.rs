//! What a sync skips, and how it says so.

use longshore_local::s3::Op;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, StorageHandle};
use serde_json::{Value, json};

/// What tools leave beside data.
const LEFT: [&str; 12] = [
    "_SUCCESS",
    "_committed_7",
    ".part-0000.json.crc",
    "dir_$folder$",
    "sub/",
    "sub/.gitkeep",
    ".DS_Store",
    "a/._photo.jpg",
    "a/Thumbs.db",
    "desktop.ini",
    "__MACOSX/a/photo.jpg",
    "t/_delta_log/0.json",
];

fn put_left(rig: &Rig) {
    for key in LEFT {
        let content = if key.ends_with(".gitkeep") || key.ends_with(['/', '$']) { "" } else { "\0\x05" };
        rig.s3.put("data", key, content);
    }
}

fn skipped(sync: &Value) -> Value {
    let rules = sync["counts"]["skipped"].as_object().expect("rules");
    rules
        .iter()
        .filter(|(_, keys)| **keys != 0)
        .map(|(rule, keys)| (rule.clone(), keys.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn codes(sync: &Value) -> Vec<&str> {
    sync["warnings"].as_array().expect("warnings").iter().filter_map(|warning| warning["code"].as_str()).collect()
}

/// Goal: markers of tools cost no task and no error, in both modes, unless they are asked for. Method: one object of data
/// beside them.
#[tokio::test(flavor = "multi_thread")]
async fn what_tools_leave_beside_the_data_is_skipped_and_counted_by_rule() {
    let rig = Rig::start().await;
    put_left(&rig);
    rig.s3.put("data", "a/photo.json", r#"{"text": "a"}"#);
    let expected = one_each(["a/photo.json"]);
    for blob in [false, true] {
        let storage = rig.import_storage(rig.project().await, "data", json!({"use_blob_urls": blob})).await;
        rig.s3.clear_calls();
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed", "{sync}");
        rig.check_import(&storage, &sync, &expected, &[]).await;
        assert_eq!(skipped(&sync), json!({"folder": 3, "hadoop": 4, "desktop": 5}), "{sync}");
        assert_eq!((rig.s3.count(Op::List), rig.s3.count(Op::Get)), (1, usize::from(!blob)), "{sync}");
        let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
        assert_eq!(shown["meta"]["skipped"], skipped(&sync), "{shown}");
        let settings = json!({"use_blob_urls": blob, "import_all_objects": true});
        let storage = rig.import_storage(rig.project().await, "data", settings).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!((skipped(&sync), &sync["counts"]["matched"]), (json!({"folder": 1}), &json!(LEFT.len())), "{sync}");
    }
}

/// Goal: an update to this release cleans up. Method: quarantine markers with the rules off, then switch them on.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_skipped_now_leave_the_quarantine() {
    let rig = Rig::start().await;
    put_left(&rig);
    let storage = rig.import_storage(rig.project().await, "data", json!({"import_all_objects": true})).await;
    rig.sync_to_end(&storage).await;
    assert!(!rig.quarantine(&storage).await.is_empty());
    rig.patch(&storage, json!({"import_all_objects": false})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], codes(&sync)), (&json!("completed"), vec!["all_skipped"]), "{sync}");
    assert!(rig.quarantine(&storage).await.is_empty());
}

/// Goal: an empty object is a folder only if other keys lie below it, wherever the pages end. Method: an empty object as
/// the last key of a page whose children come on the next page, with and without keys between them.
#[tokio::test(flavor = "multi_thread")]
async fn empty_objects_with_keys_below_them_are_folders_across_pages() {
    let rig = Rig::start().await;
    for (bucket, dir, between) in
        [("next", "dir", 0), ("later", "dir", 1_500), ("date", "2024.05.01", 0), ("name", "set.jpg", 1_500)]
    {
        rig.s3.put_many(bucket, (0..999).map(|n| (format!("{n:04}.png"), "pixels")));
        rig.s3.put(bucket, dir, "");
        // A dash comes before a slash.
        rig.s3.put_many(bucket, (0..between).map(|n| (format!("{dir}-{n:04}.png"), "pixels")));
        rig.s3.put(bucket, &format!("{dir}/1.png"), "pixels");
        rig.s3.put(bucket, &format!("{dir}t"), "");
        let storage = rig.import_storage(rig.project().await, bucket, json!({"use_blob_urls": true})).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(skipped(&sync), json!({"folder": 1}), "{sync}");
        assert_eq!(sync["counts"]["created"], 999 + between + 2, "{sync}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_imports_nothing_says_why() {
    let rig = Rig::start().await;
    rig.s3.put_many("data", (0..5).map(|n| (format!("images/{n}.png"), "pixels")));
    for (settings, code, word) in [
        (json!({"regex_filter": ".png"}), "all_skipped", "file filter 5"),
        (json!({"prefix": "Images"}), "nothing_listed", "prefix"),
        (json!({"recursive_scan": false}), "all_skipped", "recursive"),
    ] {
        let storage = rig.import_storage(rig.project().await, "data", settings).await;
        rig.patch(&storage, json!({"use_blob_urls": true})).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!((&sync["status"], codes(&sync)), (&json!("completed"), vec![code]), "{sync}");
        rig.check_no_unfinished_work(&storage).await;
        let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
        assert_eq!(shown["meta"]["warnings"][0]["code"], code, "{shown}");
        let detail = shown["meta"]["warnings"][0]["detail"].as_str().expect("words");
        assert!(detail.contains(word), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_finds_nothing_new_is_completed_and_says_what_is_still_in_quarantine() {
    let rig = Rig::start().await;
    for (key, content) in [("bad.json", "{"), ("good.json", "{}"), ("worse.json", "x")] {
        rig.s3.put("data", key, content);
    }
    let storage = rig.import_storage(rig.project().await, "data", json!({})).await;
    let first = rig.sync_to_end(&storage).await;
    assert_eq!((&first["status"], codes(&first)), (&json!("completed_with_errors"), vec![]), "{first}");
    let second = rig.sync_to_end(&storage).await;
    assert_eq!((&second["status"], codes(&second)), (&json!("completed"), vec!["still_quarantined"]), "{second}");
    assert_eq!(second["warnings"][0]["count"], 2, "{second}");
    // New errors are errors.
    rig.s3.put("data", "worst.json", "[");
    let third = rig.sync_to_end(&storage).await;
    assert_eq!(third["status"], "completed_with_errors", "{third}");
    assert_eq!(third["warnings"][0]["count"], 2, "{third}");
}

/// Goal: exports into a bucket do not become tasks of the import from it, in both modes and shapes.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_exports_of_the_same_project_wrote_become_no_tasks() {
    let rig = Rig::start().await;
    for n in 0..3 {
        let task = json!({"data": {"text": "a"}, "annotations": [{"result": []}]});
        rig.s3.put("data", &format!("in/{n}.json"), task.to_string());
    }
    let project = rig.project().await;
    let source = rig.import_storage(project, "data", json!({"prefix": "in"})).await;
    rig.sync_to_end(&source).await;
    for (prefix, settings) in [("out", json!({})), ("tasks", json!({"export_tasks": true})), ("", json!({}))] {
        let target = rig.export_storage(project, "data", settings).await;
        rig.patch(&target, json!({"prefix": prefix})).await;
        let sync = rig.sync_to_end(&target).await;
        assert_eq!(sync["counts"]["exported"], 3, "{sync}");
    }
    // A file of a user with such a name, where nothing was exported.
    rig.s3.put("data", "other/1", r#"{"text": "b"}"#);
    let expected = one_each(["in/0.json", "in/1.json", "in/2.json", "other/1"]);
    for blob in [false, true] {
        let storage = rig.import_storage(project, "data", json!({"use_blob_urls": blob})).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!((&sync["status"], skipped(&sync)), (&json!("completed"), json!({"export": 9})), "{sync}");
        rig.check_import(&storage, &sync, &expected, &[]).await;
        check_previews(&rig, &storage).await;
    }
}

/// Goal: what users see before a sync has the same rule. Method: the list of files, a report and a dry run of the storage.
async fn check_previews(rig: &Rig, storage: &StorageHandle) {
    let settings = json!({
        "project": storage.project, "bucket": "data", "s3_endpoint": rig.s3.endpoint(), "recursive_scan": true,
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
    });
    let preview = rig.post(&format!("{}/files", storage.path), settings.clone()).await;
    let keys: Vec<&Value> = rows_of(&preview, "files").iter().map(|file| &file["key"]).collect();
    assert_eq!(
        (json!(keys), rows_of(&preview, "skipped").len()),
        (json!(["in/0.json", "in/1.json", "in/2.json", "other/1"]), 9)
    );
    let rules = |report: &Value| {
        let rules = rows_of(report, "skipped").iter().map(|rule| json!([rule["rule"], rule["keys"]]));
        json!([report["matched"], rules.collect::<Vec<_>>()])
    };
    let validated = rig.post(&format!("{}/validate", storage.path), settings).await;
    assert_eq!(rules(&validated["report"]), json!([4, [["export", 9]]]), "{validated}");
    let path = format!("{}/{}/dry-run", storage.path, storage.id);
    let answer = rig.request("POST", &path).bearer_auth(rig.token()).send().await.expect("an answer");
    let text = answer.text().await.expect("events");
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().expect("an event");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(rules(&last["forecast"]["report"]), json!([4, [["export", 9]]]), "{last}");
}

fn rows_of<'v>(answer: &'v Value, name: &str) -> &'v [Value] {
    answer[name].as_array().unwrap_or_else(|| panic!("{name}: {answer}"))
}
