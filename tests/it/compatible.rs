//! Stores that call themselves compatible with S3 and list as they like: every key becomes one task, whatever dies.

use std::collections::BTreeMap;

use futures::future::join_all;
use longshore_rig::compatible::{
    AWS, CompatibleStore, KeyOrder, Profile, STORES, SecondVersion, Spelling, Start, UNLISTABLE,
};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, RigOptions, StorageHandle};
use serde_json::{Value, json};

/// Keys of a store: more than ten pages, with signs that stores spell, order and group in their own ways, also on the last page.
fn keys() -> Vec<String> {
    let odd = [
        "a+b.jpg",
        "a b.jpg",
        "100%.jpg",
        "%2B.jpg",
        "Z.jpg",
        "z.jpg",
        "ü.jpg",
        "\u{1}.jpg",
        "deep/er/1.jpg",
        "deep-1.jpg",
        "deep/1.jpg",
        "zz/a+b c%20d.jpg",
        "zz/\u{FF08}.jpg",
        "zz/😀.jpg",
    ];
    let plain = (0..1_050).map(|n| format!("images/{n:05}.jpg"));
    plain.chain(odd.iter().map(|name| format!("images/{name}"))).collect()
}

/// Keys outside of the storage's prefix. No store shows them but those that ignore it.
const OUTSIDE: [&str; 3] = ["image.jpg", "images.jpg", "videos/1.mp4"];

fn stored() -> impl Iterator<Item = String> {
    keys().into_iter().chain(OUTSIDE.map(str::to_owned))
}

fn settings(store: &CompatibleStore) -> Value {
    json!({"s3_endpoint": store.endpoint(), "prefix": "images/", "use_blob_urls": true, "region_name": "us-east-1"})
}

/// Workers with a slot for each store, so that one that waits does not hold up others.
fn rig() -> RigOptions {
    Rig::with().workers(2).env("LONGSHORE_JOBS", "32").env("LONGSHORE_ALLOWED_ENDPOINTS", "127.0.0.0/8")
}

/// A store, and its storage in the rig.
struct Case {
    store: CompatibleStore,
    profile: Profile,
    storage: StorageHandle,
}

async fn case(rig: &Rig, profile: Profile) -> Case {
    let store = CompatibleStore::start(profile, stored()).await;
    let storage = rig.import_storage(rig.project().await, "bucket", settings(&store)).await;
    Case { store, profile, storage }
}

impl Case {
    /// Checks that each key became one task, and that another sync makes none.
    async fn check(&self, rig: &Rig, sync: i64, expected: &BTreeMap<String, usize>) {
        let ended = rig.ended(sync).await;
        assert_eq!(ended["status"], "completed", "{}: {ended}", self.profile.name);
        rig.check_import(&self.storage, &ended, expected, &[]).await;
        rig.check_first_counts(&ended, expected, 0);
        let outside = if self.profile.ignores_prefix { OUTSIDE.len() } else { 0 };
        assert_eq!(ended["counts"]["skipped"]["prefix"], outside, "{}: {ended}", self.profile.name);
        let again = rig.sync_to_end(&self.storage).await;
        assert_eq!(again["status"], "completed", "{}: {again}", self.profile.name);
        assert_eq!(
            (&again["counts"]["created"], &again["counts"]["existed"]),
            (&json!(0), &json!(expected.len())),
            "{}: {again}",
            self.profile.name
        );
    }
}

/// Imports each store while all workers are killed in the middle of its listing.
async fn all_stores_with_a_kill(options: RigOptions) {
    let rig = options.start().await;
    let expected = one_each(keys());
    let cases = join_all(STORES.iter().map(|profile| case(&rig, *profile))).await;
    let mut syncs = Vec::new();
    for case in &cases {
        // Every attempt lists the first pages; those of a probe count, too.
        case.store.hold_after(6);
        syncs.push(rig.sync(&case.storage).await);
    }
    for case in cases.iter().filter(|case| case.profile.page < 1_000) {
        case.store.reached().await;
    }
    for n in 0..rig.workers.len() {
        rig.workers[n].process.kill().await.expect("killed");
    }
    for case in &cases {
        case.store.release();
    }
    for n in 0..rig.workers.len() {
        rig.restart_worker(n).await;
    }
    for (case, sync) in cases.iter().zip(syncs) {
        case.check(&rig, sync, &expected).await;
    }
}

/// Goal: no store lists less than all. Method: many ways to list, an attempt for each page, and all workers killed between two
/// pages.
#[tokio::test(flavor = "multi_thread")]
async fn every_store_is_listed_to_its_end_by_attempts_of_one_page_although_workers_are_killed() {
    assert!(STORES.len() >= 16, "{} stores", STORES.len());
    all_stores_with_a_kill(rig().env("LONGSHORE_SPLIT_AFTER_PAGES", "0").env("LONGSHORE_QUANTUM_SECONDS", "0")).await;
}

/// Goal: no store is split that does not list in key order. Method: as above, with a split after each page.
#[tokio::test(flavor = "multi_thread")]
async fn every_store_is_listed_to_its_end_with_splits_although_workers_are_killed() {
    all_stores_with_a_kill(rig().env("LONGSHORE_SPLIT_AFTER_PAGES", "1").env("LONGSHORE_QUANTUM_SECONDS", "0")).await;
}

/// Goal: elements that are optional are not needed to read objects. Method: stores that leave them out; a second sync, and one
/// after an object that was unusable is corrected.
#[tokio::test(flavor = "multi_thread")]
async fn objects_are_read_although_the_listing_lacks_their_size_or_etag() {
    let rig = rig().start().await;
    let tasks: Vec<String> = (0..120).map(|n| format!("tasks/{n:03}.json")).collect();
    for omitted in [&["Size"][..], &["ETag"], &["LastModified", "Owner"], &["Size", "ETag", "LastModified"]] {
        let store = CompatibleStore::start(Profile { omitted, ..AWS }, tasks.clone()).await;
        let large = format!("{{\"image\": \"{}\"}}", "x".repeat(3_000_000));
        for (key, content) in [("tasks/bad.json", "{"), ("tasks/empty.json", ""), ("tasks/large.2024", &large)] {
            store.put(key, content);
        }
        let mut fields = settings(&store);
        fields
            .as_object_mut()
            .expect("an object")
            .extend(json!({"prefix": "tasks/", "use_blob_urls": false}).as_object().expect("an object").clone());
        let storage = rig.import_storage(rig.project().await, "bucket", fields).await;
        let first = rig.sync_to_end(&storage).await;
        let quarantine = rig.quarantine(&storage).await;
        let reasons: Vec<&str> = quarantine.iter().filter_map(|row| row["reason"].as_str()).collect();
        assert_eq!((&first["counts"]["created"], reasons), (&json!(121), vec!["invalid_json", "empty"]), "{omitted:?}");
        let second = rig.sync_to_end(&storage).await;
        assert_eq!((&second["status"], &second["counts"]["existed"]), (&json!("completed"), &json!(121)), "{second}");
        store.put("tasks/bad.json", "{\"image\": \"y\"}");
        rig.post("/api/quarantine/replay", json!({"storage": storage.id})).await;
        let third = rig.sync_to_end(&storage).await;
        assert_eq!(third["counts"]["created"], 1, "{omitted:?}: {third}");
    }
}

/// Goal: sub-folders stay out of a scan that is not recursive, whatever the store lists. Method: a store that rolls them up and
/// one that does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_is_not_recursive_imports_one_level_of_any_store() {
    let rig = rig().start().await;
    let expected = one_each(keys().into_iter().filter(|key| key.matches('/').count() == 1));
    for (profile, deep) in [(AWS, 2), (Profile { ignores_delimiter: true, ..AWS }, 5)] {
        let store = CompatibleStore::start(profile, stored()).await;
        let mut fields = settings(&store);
        fields["recursive_scan"] = json!(false);
        let storage = rig.import_storage(rig.project().await, "bucket", fields).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(
            (&sync["status"], &sync["counts"]["skipped"]["depth"]),
            (&json!("completed"), &json!(deep)),
            "{sync}"
        );
        rig.check_import(&storage, &sync, &expected, &[]).await;
    }
}

/// Goal: the listing follows what the server gives. Method: attempts that are long enough for all pages; the queries of the
/// server.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_follows_tokens_and_starts_after_a_key_only_in_another_attempt() {
    let rig = rig().env("LONGSHORE_SPLIT_AFTER_PAGES", "0").env("LONGSHORE_QUANTUM_SECONDS", "600").start().await;
    let case = case(&rig, AWS).await;
    let before = case.store.listings().len();
    let sync = rig.sync(&case.storage).await;
    rig.ended(sync).await;
    let listings = case.store.listings().split_off(before);
    let with = |name: &str| listings.iter().filter(|query| query.contains(name)).count();
    assert_eq!((listings.len(), with("continuation-token="), with("start-after=")), (11, 10, 0), "{listings:?}");
}

/// Goal: a store that no client can list is refused before a sync lists a part of it. Method: stores whose tokens and markers
/// lead nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_listing_cannot_be_continued_is_refused_when_it_is_saved() {
    let rig = rig().start().await;
    let project = rig.project().await;
    for profile in UNLISTABLE {
        let store = CompatibleStore::start(*profile, stored().chain(["images/!/1.jpg".to_owned()])).await;
        let mut body = settings(&store);
        body.as_object_mut().expect("an object").extend([
            ("project".to_owned(), json!(project)),
            ("bucket".to_owned(), json!("bucket")),
            ("aws_access_key_id".to_owned(), json!("any")),
            ("aws_secret_access_key".to_owned(), json!("any")),
        ]);
        let (status, answer) = rig.call("POST", "/api/storages/s3", Some(body)).await;
        assert_eq!((status, &answer["code"]), (400, &json!("unsupported_listing")), "{}: {answer}", profile.name);
    }
}

/// Goal: what a probe could not see is no reason to lose keys. Method: a store that lists in key order when it is saved, and
/// out of order in the middle of a sync that is split.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_turns_out_to_be_unordered_in_the_middle_of_a_sync_is_listed_again_from_the_beginning() {
    let rig = rig().env("LONGSHORE_SPLIT_AFTER_PAGES", "1").env("LONGSHORE_QUANTUM_SECONDS", "0").start().await;
    let case = case(&rig, AWS).await;
    case.store.hold_after(5);
    let sync = rig.sync(&case.storage).await;
    case.store.reached().await;
    case.store.become_like(Profile { order: KeyOrder::Hash, start: Start::Ignored, ..AWS });
    case.store.release();
    case.check(&rig, sync, &one_each(keys())).await;
    let kept = rig.database().await;
    let row = kept.query_one("SELECT capabilities ->> 'paging' FROM storages", &[]).await.expect("a storage");
    assert_eq!(row.get::<_, &str>(0), "token");
}

/// Goal: keys that turn up after a storage was saved are read as they are spelled. Method: such keys on the last page, in stores
/// that encode keys otherwise than they say.
#[tokio::test(flavor = "multi_thread")]
async fn the_spelling_of_keys_is_found_out_on_any_page() {
    let rig = rig().start().await;
    let plain: Vec<String> = (0..450).map(|n| format!("images/{n:03}.jpg")).collect();
    let odd = ["images/a+b%20c.jpg", "images/a b+c.jpg", "images/100%.jpg"].map(str::to_owned);
    let expected = one_each(plain.iter().chain(&odd).cloned());
    for spelling in [Spelling::ClaimedUrl, Spelling::UnclaimedUrl, Spelling::Raw, Spelling::Url] {
        for (order, start) in [(KeyOrder::Bytes, Start::Strict), (KeyOrder::Hash, Start::Ignored)] {
            let store = CompatibleStore::start(Profile { spelling, order, start, ..AWS }, plain.clone()).await;
            let storage = rig.import_storage(rig.project().await, "bucket", settings(&store)).await;
            store.add(odd.clone());
            let sync = rig.sync_to_end(&storage).await;
            assert_eq!(sync["status"], "completed", "{spelling:?} {order:?}: {sync}");
            rig.check_import(&storage, &sync, &expected, &[]).await;
        }
    }
}

/// Goal: a bucket that changes during its listing costs no key that stays. Method: keys come and go between two pages, also
/// the last key of a page.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_come_and_go_during_a_listing_cost_none_that_stays() {
    let rig = rig().env("LONGSHORE_SPLIT_AFTER_PAGES", "1").env("LONGSHORE_QUANTUM_SECONDS", "0").start().await;
    let first_version = Profile { second_version: SecondVersion::AsFirst, start: Start::Ignored, ..AWS };
    for profile in [AWS, Profile { order: KeyOrder::Hash, start: Start::Ignored, ..AWS }, first_version] {
        let case = case(&rig, profile).await;
        case.store.hold_after(5);
        let sync = rig.sync(&case.storage).await;
        case.store.reached().await;
        case.store.remove(|key| key.ends_with("9.jpg"));
        case.store.add((0..300).map(|n| format!("images/{n:05}-new.jpg")));
        case.store.release();
        let ended = rig.ended(sync).await;
        assert_eq!(ended["status"], "completed", "{profile:?}: {ended}");
        let stayed = one_each(keys().into_iter().filter(|key| !key.ends_with("9.jpg")));
        let db = rig.database().await;
        let rows = db
            .query("SELECT key, count(task_id) FROM objects WHERE storage_id = $1 GROUP BY key", &[&case.storage.id])
            .await
            .expect("the ledger");
        let tasks: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert!(tasks.values().all(|tasks| *tasks == 1), "{profile:?}");
        let lost: Vec<&String> = stayed.keys().filter(|key| !tasks.contains_key(*key)).collect();
        assert!(lost.is_empty(), "{profile:?}: {lost:?}");
    }
}

/// Goal: an empty object is a folder if keys lie below it, wherever a store lists them. Method: a store in no order.
#[tokio::test(flavor = "multi_thread")]
async fn empty_objects_with_keys_below_them_are_folders_in_stores_without_order() {
    let rig = rig().start().await;
    let store = CompatibleStore::start(Profile { order: KeyOrder::Hash, start: Start::Ignored, ..AWS }, keys()).await;
    for (key, content) in [
        ("images/photos", ""),
        ("images/photos/1.jpg", "x"),
        ("images/2024.05.01", ""),
        ("images/2024.05.01/1.jpg", "x"),
        ("images/alone", ""),
        ("images/empty.jpg", ""),
    ] {
        store.put(key, content);
    }
    let storage = rig.import_storage(rig.project().await, "bucket", settings(&store)).await;
    let sync = rig.sync_to_end(&storage).await;
    let more = ["images/photos/1.jpg", "images/2024.05.01/1.jpg", "images/alone", "images/empty.jpg"];
    rig.check_import(&storage, &sync, &one_each(keys().into_iter().chain(more.map(str::to_owned))), &[]).await;
    assert_eq!((&sync["status"], &sync["counts"]["skipped"]["folder"]), (&json!("completed"), &json!(2)), "{sync}");
}

/// Goal: the user learns why one worker lists. Method: the doctor's step about pages, for three stores.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_how_the_listing_of_a_store_is_continued() {
    let rig = rig().start().await;
    for (profile, note) in [
        (AWS, "in key order"),
        (Profile { order: KeyOrder::Hash, start: Start::Ignored, ..AWS }, "tokens"),
        (Profile { start: Start::Inclusive, ..AWS }, "begins with the key"),
        (Profile { second_version: SecondVersion::AsFirst, start: Start::Ignored, ..AWS }, "markers"),
        (Profile { spelling: Spelling::ClaimedUrl, ..AWS }, "sends keys as they are"),
    ] {
        let case = case(&rig, profile).await;
        let path = format!("/api/storages/s3/{}/doctor", case.storage.id);
        let (_, examination) = rig.call("POST", &path, Some(json!({}))).await;
        let steps = examination["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["step"] == "paging").expect("a step about pages");
        assert!(step["outcome"] == "ok" && step["note"].as_str().is_some_and(|text| text.contains(note)), "{step}");
    }
}

/// Goal: the preview shows what a sync would take, of any store. Method: each store's preview with a limit above its keys.
#[tokio::test(flavor = "multi_thread")]
async fn the_preview_of_every_store_shows_each_key_once() {
    let rig = rig().workers(0).start().await;
    let project = rig.project().await;
    let mut expected = keys();
    expected.sort();
    let mut wrong = Vec::new();
    for profile in STORES {
        let store = CompatibleStore::start(*profile, stored()).await;
        let mut body = settings(&store);
        body.as_object_mut().expect("an object").extend([
            ("project".to_owned(), json!(project)),
            ("bucket".to_owned(), json!("bucket")),
            ("recursive_scan".to_owned(), json!(true)),
            ("limit".to_owned(), json!(5_000)),
            ("aws_access_key_id".to_owned(), json!("any")),
            ("aws_secret_access_key".to_owned(), json!("any")),
        ]);
        let (status, answer) = rig.call("POST", "/api/storages/s3/files", Some(body)).await;
        let files = answer["files"].as_array().cloned().unwrap_or_default();
        let mut found: Vec<String> = files.iter().filter_map(|file| file["key"].as_str().map(str::to_owned)).collect();
        found.sort();
        if status != 200 {
            wrong.push(format!("{}: {answer}", profile.name));
        } else if found != expected {
            let odd: Vec<&String> = found.iter().filter(|key| !expected.contains(key)).collect();
            wrong.push(format!("{}: {} keys, of these not stored: {odd:?}", profile.name, found.len()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
