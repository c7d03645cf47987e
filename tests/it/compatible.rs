//! Stores that call themselves compatible with S3 and list as they like: every key becomes one task, whatever dies.

use std::collections::BTreeMap;

use futures::future::join_all;
use longshore_rig::compatible::{AWS, CompatibleStore, KeyOrder, Profile, STORES, Spelling, Start, UNLISTABLE};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, RigOptions, StorageHandle};
use serde_json::{Value, json};

/// Keys of a store: more than ten pages, with signs that stores spell, order and group in their own ways.
fn keys() -> Vec<String> {
    let odd = [
        "a+b.jpg",
        "a b.jpg",
        "100%.jpg",
        "%2B.jpg",
        "Z.jpg",
        "z.jpg",
        "ü.jpg",
        "deep/er/1.jpg",
        "deep-1.jpg",
        "deep/1.jpg",
    ];
    let plain = (0..1_050).map(|n| format!("images/{n:05}.jpg"));
    plain.chain(odd.iter().map(|name| format!("images/{name}"))).collect()
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
    let store = CompatibleStore::start(profile, keys()).await;
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

/// Goal: no store lists less than all. Method: 24 ways to list, an attempt for each page, and all workers killed between two
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
        let store = CompatibleStore::start(*profile, keys()).await;
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

/// Goal: the user learns why one worker lists. Method: the doctor's step about pages, for three stores.
#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_how_the_listing_of_a_store_is_continued() {
    let rig = rig().start().await;
    for (profile, note) in [
        (AWS, "in key order"),
        (Profile { order: KeyOrder::Hash, start: Start::Ignored, ..AWS }, "tokens"),
        (Profile { start: Start::Inclusive, ..AWS }, "begins with the key"),
        (Profile { is_first_version: true, start: Start::Ignored, ..AWS }, "markers"),
        (Profile { spelling: Spelling::ClaimedUrl, ..AWS }, "says that it encodes keys"),
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
    for profile in STORES {
        let store = CompatibleStore::start(*profile, keys()).await;
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
        assert_eq!(status, 200, "{}: {answer}", profile.name);
        let files = answer["files"].as_array().expect("files");
        let mut found: Vec<String> = files.iter().filter_map(|file| file["key"].as_str().map(str::to_owned)).collect();
        found.sort();
        assert_eq!(found, expected, "{}", profile.name);
    }
}
