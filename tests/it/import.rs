//! Import: which objects become which tasks, and with which requests.

mod departures;
mod quarantine;

use std::collections::BTreeMap;
use std::io::Write;

use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_rig::oracle::one_each;
use longshore_rig::rig::{Rig, rows, until};
use serde_json::{Value, json};

/// The tasks of a project with all fields, in order of creation.
async fn tasks(rig: &Rig, project: i64) -> Vec<Value> {
    rows(&rig.get(&format!("/api/tasks/?project={project}&page_size=1000&fields=all&resolve_uri=false")).await).to_vec()
}

/// The data of each task.
fn data(tasks: &[Value]) -> Vec<Value> {
    tasks.iter().map(|task| task["data"].clone()).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(content).expect("a vector takes all");
    packed.finish().expect("a vector takes all")
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

#[tokio::test(flavor = "multi_thread")]
async fn blob_mode_costs_one_list_per_thousand_keys_and_no_get() {
    let rig = Rig::start().await;
    for (bucket, keys, lists) in [("none", 0, 1), ("one", 1, 1), ("full", 2_000, 2), ("more", 2_001, 3)] {
        rig.s3.create_bucket(bucket);
        let key = |n: usize| format!("{n:05}.png");
        rig.s3.put_many(bucket, (0..keys).map(|n| (key(n), "pixels")));
        let project = rig.project().await;
        let storage = rig.import_storage(project, bucket, json!({"use_blob_urls": true})).await;
        let expected = one_each((0..keys).map(key));

        rig.s3.clear_calls();
        let sync = rig.sync_to_end(&storage).await;
        rig.check_import(&storage, &sync, &expected, &[]).await;
        rig.check_first_counts(&sync, &expected, 0);
        assert_eq!((rig.s3.count(Op::List), rig.s3.calls().len()), (lists, lists), "{bucket}: a first sync");

        rig.s3.clear_calls();
        let sync = rig.sync_to_end(&storage).await;
        rig.check_import(&storage, &sync, &expected, &[]).await;
        assert_eq!((&sync["counts"]["created"], &sync["counts"]["existed"]), (&json!(0), &json!(keys)), "{sync}");
        assert_eq!((rig.s3.count(Op::List), rig.s3.calls().len()), (lists, lists), "{bucket}: a second sync");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_mode_makes_a_task_of_each_item_in_every_format() {
    let rig = Rig::start().await;
    let put = |key: &str, content: &[u8]| rig.s3.put("tasks", key, content.to_vec());
    put("1-object.json", br#"{"n": 1}"#);
    put("2-list.json", br#"[{"n": 2}, {"n": 3}]"#);
    put("3-lines.jsonl", b"{\"n\": 4}\n\n{\"n\": 5}\n{\"n\": 6}");
    put("4-packed.json.gz", &gzip(br#"{"n": 7}"#));
    put("5-packed.jsonl.zst", &zstd(b"{\"n\": 8}\n{\"n\": 9}\n"));
    put("6-nothing.json", b"[]");
    put("7-no-extension", br#"{"n": 10}"#);
    put(
        "8-labels.json",
        br#"{"id": 77, "data": {"n": 11}, "meta": {"from": "test"}, "annotations": [
             {"result": [{"from_name": "c", "value": {"choices": ["a"]}}], "completed_by": 5, "lead_time": 1.5},
             {"result": [], "was_cancelled": true, "ground_truth": true}],
            "predictions": [{"result": [{"from_name": "c"}], "score": 0.75, "model_version": "v2"}]}"#,
    );
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    rig.s3.clear_calls();
    let sync = rig.sync_to_end(&storage).await;
    let expected = [
        ("1-object.json", 1),
        ("2-list.json", 2),
        ("3-lines.jsonl", 3),
        ("4-packed.json.gz", 1),
        ("5-packed.jsonl.zst", 2),
        ("6-nothing.json", 0),
        ("7-no-extension", 1),
        ("8-labels.json", 1),
    ];
    let expected: BTreeMap<String, usize> = expected.map(|(key, count)| (key.to_owned(), count)).into();
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);

    let tasks = tasks(&rig, project).await;
    assert_eq!(data(&tasks), (1..=11).map(|n| json!({"n": n})).collect::<Vec<_>>());
    let labeled = &tasks[10];
    assert_eq!((&labeled["meta"], &labeled["storage_filename"]), (&json!({"from": "test"}), &json!("8-labels.json")));
    let counted = ["total_annotations", "cancelled_annotations", "total_predictions"].map(|name| &labeled[name]);
    assert_eq!(counted, [1, 1, 1], "{labeled}");
    let annotation = &labeled["annotations"][0];
    assert_eq!(annotation["result"], json!([{"from_name": "c", "value": {"choices": ["a"]}}]));
    assert_eq!((&annotation["completed_by"], &annotation["lead_time"]), (&json!(5), &json!(1.5)));
    let annotation = &labeled["annotations"][1];
    assert_eq!((&annotation["was_cancelled"], &annotation["ground_truth"]), (&json!(true), &json!(true)));
    let prediction = &labeled["predictions"][0];
    assert_eq!((&prediction["score"], &prediction["model_version"]), (&json!(0.75), &json!("v2")), "{prediction}");

    // An object without items is in the ledger too: it is not read again.
    assert_eq!(rig.s3.count(Op::Get), 8);
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &expected, &[]).await;
    assert_eq!((rig.s3.count(Op::Get), &sync["counts"]["existed"]), (8, &json!(8)), "{sync}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefix_recursion_and_filter_choose_the_keys_as_label_studio_does() {
    let rig = Rig::start().await;
    let all = [
        "a.json",
        "tmp/train/e.png",
        "train/",
        "train/a.png",
        "train/b.png.bak",
        "train/sub/",
        "train/sub/c.png",
        "training/d.png",
    ];
    rig.s3.put_many("mixed", all.map(|key| (key, "x")));
    let project = rig.project().await;
    let choices: [(Value, &[&str]); 10] = [
        (json!({"recursive_scan": false}), &["a.json"]),
        (
            json!({}),
            &["a.json", "tmp/train/e.png", "train/a.png", "train/b.png.bak", "train/sub/c.png", "training/d.png"],
        ),
        (json!({"prefix": "train", "recursive_scan": false}), &["train/a.png", "train/b.png.bak"]),
        (json!({"prefix": "train/", "recursive_scan": false}), &["train/a.png", "train/b.png.bak"]),
        (json!({"prefix": "train"}), &["train/a.png", "train/b.png.bak", "train/sub/c.png"]),
        (json!({"prefix": "no/such"}), &[]),
        (json!({"regex_filter": r"train/.*\.png"}), &["train/a.png", "train/b.png.bak", "train/sub/c.png"]),
        (
            json!({"regex_filter": r".*\.png$"}),
            &["tmp/train/e.png", "train/a.png", "train/sub/c.png", "training/d.png"],
        ),
        (json!({"regex_filter": r"(?!tmp/|.*/sub/).*\.png\Z"}), &["train/a.png", "training/d.png"]),
        (json!({"prefix": "train", "regex_filter": "a"}), &[]),
    ];
    let mut syncs = Vec::new();
    for (mut settings, expected) in choices {
        settings["use_blob_urls"] = json!(true);
        let storage = rig.import_storage(project, "mixed", settings.clone()).await;
        syncs.push((rig.sync(&storage).await, storage, settings, expected));
    }
    for (sync, storage, settings, expected) in syncs {
        let sync = rig.ended(sync).await;
        assert_eq!(sync["status"], "completed", "{settings}: {sync}");
        let expected = one_each(expected.iter().copied());
        rig.check_import(&storage, &sync, &expected, &[]).await;
        rig.check_first_counts(&sync, &expected, 0);
    }
    let body = json!({"project": project, "bucket": "mixed", "regex_filter": "("});
    let (status, refused) = rig.call("POST", "/api/storages/s3", Some(body)).await;
    assert_eq!(status, 400, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_storages_of_one_project_do_not_affect_each_other() {
    let rig = Rig::with().workers(2).start().await;
    let key = |n: usize| format!("{n:05}.png");
    rig.s3.put_many("images", (0..1_500).map(|n| (key(n), "pixels")));
    let project = rig.project().await;
    let mut syncs = Vec::new();
    for _ in 0..2 {
        let storage = rig.import_storage(project, "images", json!({"use_blob_urls": true})).await;
        syncs.push((rig.sync(&storage).await, storage));
    }
    let expected = one_each((0..1_500).map(key));
    for (sync, storage) in syncs {
        let sync = rig.ended(sync).await;
        rig.check_import(&storage, &sync, &expected, &[]).await;
        rig.check_first_counts(&sync, &expected, 0);
    }
    assert_eq!(rig.get(&format!("/api/tasks/?project={project}&page_size=1")).await["total"], 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_deleted_in_mid_sync_leaves_only_its_tasks() {
    let rig = Rig::start().await;
    let key = |n: usize| format!("{n:05}.png");
    rig.s3.put_many("images", (0..2_500).map(|n| (key(n), "pixels")));
    let db = rig.database().await;
    for in_transaction in [false, true] {
        let project = rig.project().await;
        let storage = rig.import_storage(project, "images", json!({"use_blob_urls": true})).await;
        let path = format!("{}/{}", storage.path, storage.id);
        let hold = rig.s3.hold(When::op(Op::List).nth(2));
        if in_transaction {
            db.batch_execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
        }
        rig.sync(&storage).await;
        hold.reached().await;
        let delete = rig.call("DELETE", &path, None);
        if in_transaction {
            // The first page is being written: the deletion waits for it, and then deletes its rows too.
            let watch = rig.database().await;
            let open = async {
                until("the deletion waits for the page", || async {
                    let waiting = watch
                        .query_one(
                            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                                AND wait_event_type = 'Lock' AND query ~ '(FOR UPDATE OF j|COPY tasks)'",
                            &[],
                        )
                        .await
                        .expect("activity");
                    (waiting.get::<_, i64>(0) == 2).then_some(())
                })
                .await;
                db.batch_execute("COMMIT").await.expect("the lock is given back");
            };
            let ((status, body), ()) = tokio::join!(delete, open);
            assert_eq!(status, 204, "{body}");
        } else {
            until("the first page is committed", || async {
                let page = rig.get(&format!("/api/tasks/?project={project}&page_size=1")).await;
                (page["total"] == 1_000).then_some(())
            })
            .await;
            let (status, body) = delete.await;
            assert_eq!(status, 204, "{body}");
        }
        hold.release();

        for table in ["objects", "quarantine", "syncs"] {
            let left =
                db.query_one(&format!("SELECT count(*) FROM {table} WHERE storage_id = $1"), &[&storage.id]).await;
            assert_eq!(left.expect("a table").get::<_, i64>(0), 0, "{table}");
        }
        let left = db.query_one("SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM outbox)", &[]).await;
        assert_eq!(left.expect("jobs").get::<_, i64>(0), 0);
        assert_eq!(rig.call("GET", &path, None).await.0, 404);

        // The worker is free for other jobs, and the created tasks stay.
        let other = rig.project().await;
        rig.s3.put("few", "a.png", "pixels");
        let storage = rig.import_storage(other, "few", json!({"use_blob_urls": true})).await;
        let sync = rig.sync_to_end(&storage).await;
        rig.check_import(&storage, &sync, &one_each(["a.png"]), &[]).await;
        assert_eq!(rig.call("DELETE", &format!("{}/{}", storage.path, storage.id), None).await.0, 204);
        assert_eq!(rig.get(&format!("/api/tasks/?project={project}&page_size=1")).await["total"], 1_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_a_user_deleted_is_not_created_again() {
    let rig = Rig::start().await;
    rig.s3.put("tasks", "a.json", r#"[{"n":1},{"n":2}]"#);
    rig.s3.put("tasks", "b.json", r#"{"n":3}"#);
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    rig.sync_to_end(&storage).await;
    let db = rig.database().await;
    db.batch_execute("DELETE FROM tasks WHERE data IN ('{\"n\":1}', '{\"n\":3}')").await.expect("tasks");
    rig.s3.put("tasks", "b.json", r#"{"n":4}"#);
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["counts"]["created"], &sync["counts"]["existed"]), (&json!(0), &json!(2)), "{sync}");
    assert_eq!(data(&tasks(&rig, project).await), [json!({"n": 2})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_too_large_for_memory_is_committed_in_parts_and_counted_once() {
    let rig = Rig::with().env("LONGSHORE_MEMORY_MB", "4").start().await;
    let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(1024 * 1024));
    let key = |n: usize| format!("{n:02}.jsonl");
    for n in 0..8 {
        rig.s3.put("tasks", &key(n), line.repeat(3));
    }
    rig.s3.put("tasks", "08.jsonl.gz", gzip(line.repeat(3).as_bytes()));
    rig.s3.put_many("tasks", (0..1_000).map(|n| (format!("small/{n:04}.json"), "{}")));
    let mut expected: BTreeMap<String, usize> = (0..8).map(|n| (key(n), 3)).collect();
    expected.insert("08.jsonl.gz".to_owned(), 3);
    expected.extend(one_each((0..1_000).map(|n| format!("small/{n:04}.json"))));
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    rig.s3.clear_calls();
    // The third part fails once: the page is listed again, and earlier parts are not imported twice.
    rig.s3.fail(When::op(Op::Get).key("05.jsonl").times(4), Fault::Error(S3ErrorCode::InternalError));
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["listed"]), (&json!("completed"), &json!(1_009)), "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);
    let reads = rig.s3.calls().into_iter().filter(|call| call.op == Op::Get && call.key == "00.jsonl").count();
    assert_eq!(reads, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_needs_the_whole_memory_budget_does_not_wait_for_pages_without_writes() {
    let rig = Rig::with().env("LONGSHORE_MEMORY_MB", "1").start().await;
    let dense = format!("{{\"text\":{}\"x\"}}", " ".repeat(1024 * 1024));
    rig.s3.put("tasks", "dense.json.gz", gzip(dense.as_bytes()));
    rig.s3.put("tasks", "gone.json", "{}");
    rig.s3.fail(When::op(Op::Get).key("gone.json"), Fault::Error(S3ErrorCode::NoSuchKey));
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["vanished"]), (&json!("completed"), &json!(1)), "{sync}");
    assert_eq!(data(&tasks(&rig, project).await), [json!({"text": "x"})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_label_config_names_the_key_that_holds_a_blobs_address() {
    let rig = Rig::start().await;
    rig.s3.put("media", "a b.wav", "sound");
    for (config, key) in [
        (
            r#"<View><Header value="$title"/><Audio name="a" value="$audio"/><Text name="t" value="$text"/></View>"#,
            "audio",
        ),
        ("<View></View>", "$undefined$"),
    ] {
        let project = rig.post("/api/projects", json!({"title": "rig", "label_config": config})).await;
        let project = project["id"].as_i64().expect("an id");
        let storage = rig.import_storage(project, "media", json!({"use_blob_urls": true})).await;
        rig.sync_to_end(&storage).await;
        assert_eq!(data(&tasks(&rig, project).await), [json!({key: "s3://media/a b.wav"})], "{config}");
    }
}
