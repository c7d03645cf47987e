//! Keys are exact bytes everywhere between a bucket and its tasks.
//!
//! Every expectation comes from the list of keys that a test put into the bucket.

use std::collections::BTreeMap;

use longshore_local::s3::Op;
use longshore_rig::moto::Moto;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, StorageHandle, rows};
use longshore_storage::conformance::odd_keys;
use serde_json::{Value, json};

/// Odd keys at the root of a bucket, in the order of a listing.
fn keys() -> Vec<String> {
    let mut keys = odd_keys("");
    // Alone, each of these is a whole key.
    keys.extend(["/", " ", "+", "&", "?", "#", "*", "\\", "\n", "\"", "<", "dir//", "dir/inside"].map(str::to_owned));
    keys.sort();
    keys
}

/// Keys of folders have no content.
fn is_folder(key: &str) -> bool {
    key.ends_with('/')
}

/// The data of the task in the object of a key.
fn data_of(key: &str) -> Value {
    json!({"image": format!("image of {key}"), "key": key})
}

/// The object that holds one task, with its data.
fn object_of(key: &str) -> String {
    json!({"data": data_of(key)}).to_string()
}

/// Key and data of every task of a project, as the API shows them, by key.
async fn tasks(rig: &Rig, project: i64) -> Vec<(String, Value)> {
    let page = rig.get(&format!("/api/tasks/?project={project}&page_size=1000&resolve_uri=false")).await;
    let shown = rows(&page).iter().map(|task| {
        let key = task["storage_filename"].as_str().unwrap_or_else(|| panic!("no key: {task}"));
        (key.to_owned(), task["data"].clone())
    });
    let mut shown: Vec<_> = shown.collect();
    shown.sort_by(|(a, _), (b, _)| a.cmp(b));
    shown
}

/// Syncs twice: the first must take exactly the expected keys, each with its data, the second nothing.
async fn takes(rig: &Rig, storage: &StorageHandle, expected: &BTreeMap<String, Value>) -> Value {
    let count = one_each(expected.keys());
    let sync = rig.sync_to_end(storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(storage, &sync, &count, &[]).await;
    rig.check_first_counts(&sync, &count, 0);
    let expected: Vec<_> = expected.clone().into_iter().collect();
    assert_eq!(tasks(rig, storage.project).await, expected);

    let again = rig.sync_to_end(storage).await;
    assert_eq!(again["status"], "completed", "{again}");
    assert_eq!((&again["counts"]["created"], &again["counts"]["existed"]), (&json!(0), &json!(expected.len())));
    assert_eq!(tasks(rig, storage.project).await, expected, "after the second sync");
    sync
}

#[tokio::test(flavor = "multi_thread")]
async fn every_odd_key_on_our_server_becomes_the_task_in_its_object() {
    let rig = Rig::start().await;
    let (folders, files): (Vec<_>, Vec<_>) = keys().into_iter().partition(|key| is_folder(key));
    rig.s3.put_many("odd", files.iter().chain(&folders).map(|key| (key.as_str(), object_of(key))));
    let storage = rig.import_storage(rig.project().await, "odd", json!({})).await;

    let expected = files.iter().map(|key| (key.clone(), data_of(key))).collect();
    let sync = takes(&rig, &storage, &expected).await;
    assert_eq!(sync["counts"]["listed"], files.len() + folders.len(), "folders are seen: {sync}");

    // In two syncs each object was read once, and no folder ever.
    let gets = rig.s3.calls().into_iter().filter(|call| call.op == Op::Get);
    let mut gets: Vec<String> = gets.map(|call| call.key).collect();
    gets.sort();
    assert_eq!(gets, files);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_odd_key_on_moto_becomes_the_task_in_its_object() {
    let (rig, moto) = tokio::join!(Rig::start(), Moto::shared());
    let bucket = moto.create_bucket("odd").await;
    let keys: Vec<String> = keys().into_iter().filter(|key| Moto::holds(key)).collect();
    for key in &keys {
        moto.put(&bucket, key, object_of(key).as_bytes()).await;
    }
    let settings = json!({"s3_endpoint": moto.endpoint()});
    let storage = rig.import_storage(rig.project().await, &bucket, settings).await;

    let files = keys.iter().filter(|key| !is_folder(key));
    let sync = takes(&rig, &storage, &files.map(|key| (key.clone(), data_of(key))).collect()).await;
    assert_eq!(sync["counts"]["listed"], keys.len(), "folders are seen: {sync}");
}

/// What tasks in blob mode hold.
fn named<'a>(keys: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, Value> {
    keys.into_iter().map(|key| (key.clone(), json!({"image": format!("s3://odd/{key}")}))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_odd_key_is_named_unchanged_in_blob_mode() {
    let rig = Rig::start().await;
    let keys = keys();
    rig.s3.put_many("odd", keys.iter().map(|key| (key.as_str(), "anything")));
    let storage = rig.import_storage(rig.project().await, "odd", json!({"use_blob_urls": true})).await;

    let files = keys.iter().filter(|key| !is_folder(key));
    takes(&rig, &storage, &named(files)).await;
    assert_eq!(rig.s3.count(Op::Get), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_prefix_takes_the_keys_below_it() {
    let rig = Rig::start().await;
    // Each key is also a folder with a file and a deeper file; the longest keys are too long for that.
    let mut keys = keys();
    let folders: Vec<String> = keys.iter().filter(|key| !is_folder(key) && key.len() < 100).cloned().collect();
    keys.extend(folders.iter().flat_map(|folder| [format!("{folder}/file"), format!("{folder}/deep/er")]));
    keys.sort();
    rig.s3.put_many("odd", keys.iter().map(|key| (key.as_str(), "anything")));

    for folder in &folders {
        let below = format!("{folder}/");
        let files = || keys.iter().filter(|key| key.starts_with(&below) && !is_folder(key));
        for recursive in [true, false] {
            let settings = json!({"use_blob_urls": true, "prefix": folder, "recursive_scan": recursive});
            let storage = rig.import_storage(rig.project().await, "odd", settings).await;
            let expected = named(files().filter(|key| recursive || !key[below.len()..].contains('/')));
            assert!(expected.contains_key(&format!("{folder}/file")), "nothing to take below {folder:?}");
            takes(&rig, &storage, &expected).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_non_recursive_scan_takes_only_keys_without_a_slash() {
    let rig = Rig::start().await;
    let keys = keys();
    rig.s3.put_many("odd", keys.iter().map(|key| (key.as_str(), object_of(key))));
    let settings = json!({"recursive_scan": false});
    let storage = rig.import_storage(rig.project().await, "odd", settings).await;

    let files = keys.iter().filter(|key| !key.contains('/'));
    takes(&rig, &storage, &files.map(|key| (key.clone(), data_of(key))).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_filter_sees_odd_keys_as_they_are() {
    let rig = Rig::start().await;
    let keys = keys();
    rig.s3.put_many("odd", keys.iter().map(|key| (key.as_str(), "anything")));

    let cases: [(&str, &[&str]); 14] = [
        // The start of the key has to match, not its end.
        ("a.*b", &["a b", "a+b", "a/../b", "a//b"]),
        (r"\.+$", &[".", ".."]),
        ("/lead", &["/lead"]),
        (" ", &[" ", " lead space"]),
        (r".* \Z", &[" ", "trail space "]),
        (r"\+|%2F|100%$", &["%2F", "+", "100%"]),
        (r".*\?y=1&z#", &["x?y=1&z#w"]),
        (r"[\\*]", &["*", "\\"]),
        (r".*\\", &["\\", "back\\slash~"]),
        // A dot is everything but a line break.
        ("new.line", &[]),
        (r"new\sline", &["new\nline"]),
        // One letter in two spellings is two keys.
        ("nfc \u{e9}|nfd \u{e9}", &["nfc \u{e9}"]),
        ("[Cc]ase(?<!c...)", &["Case"]),
        (r"emoji .$", &["emoji 😀"]),
    ];
    for (regex, expected) in cases {
        let settings = json!({"use_blob_urls": true, "regex_filter": regex});
        let storage = rig.import_storage(rig.project().await, "odd", settings).await;
        let expected: Vec<String> = expected.iter().map(|key| (*key).to_owned()).collect();
        takes(&rig, &storage, &named(&expected)).await;
    }
}
