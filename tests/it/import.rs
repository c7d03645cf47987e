//! Import: which objects become which tasks, at what cost, and what is told of the others.

use std::collections::BTreeMap;
use std::io::Write;

use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_tests::oracle::one_each;
use longshore_tests::rig::{Rig, rows, until};
use serde_json::{Value, json};

/// The tasks of a project with everything about them, in the order of their making.
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
async fn blob_mode_costs_one_list_a_thousand_keys_and_reads_nothing() {
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
async fn json_mode_makes_a_task_of_each_item_however_it_is_written() {
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

    // An object without items is known too: nothing is read again.
    assert_eq!(rig.s3.count(Op::Get), 8);
    let sync = rig.sync_to_end(&storage).await;
    rig.check_import(&storage, &sync, &expected, &[]).await;
    assert_eq!((rig.s3.count(Op::Get), &sync["counts"]["existed"]), (8, &json!(8)), "{sync}");
}

/// Key, content, reason, offset, item, excerpt.
type Bad<'a> = (&'a str, Vec<u8>, &'a str, Option<u64>, Option<u64>, Option<&'a str>);

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_used_is_set_aside_whole_with_reason_place_and_excerpt() {
    let rig = Rig::start().await;
    let many = format!("[{}{{}}]", "{},".repeat(100_000));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let too_deep = format!("{}{}", "[".repeat(41), "]".repeat(79));
    let half = r#"[{"a":1},{"annotations":[{}]}]"#;
    let objects: [Bad<'_>; 15] = [
        (
            "annotations.json",
            br#"{"data":{},"annotations":[{"result":5}]}"#.into(),
            "invalid_annotations",
            Some(36),
            Some(0),
            Some(r#"{"data":{},"annotations":[{"result":5}]}"#),
        ),
        ("blank.json", b" \n".into(), "empty", None, None, None),
        ("cut.json", br#"{"a":"#.into(), "invalid_json", Some(5), Some(0), Some(r#"{"a":"#)),
        ("deep.json", deep.into(), "too_deep", Some(104), Some(0), Some(&too_deep)),
        ("empty.json", Vec::new(), "empty", None, None, None),
        ("half.json", half.into(), "missing_data", Some(24), Some(1), Some(half)),
        ("large.json", vec![b' '; 64 * 1024 * 1024 + 1], "too_large", None, None, None),
        ("latin.json", b"{\"a\":\"caf\xe9\"}".into(), "not_utf8", Some(9), None, Some("{\"a\":\"caf\u{fffd}\"}")),
        ("many.json", many.clone().into(), "too_many_items", Some(300_001), Some(100_000), Some(&many[299_961..])),
        ("nul.json", br#"{"a":"x\u0000"}"#.into(), "unsupported_value", Some(7), Some(0), Some(r#"{"a":"x\u0000"}"#)),
        ("packed.json.gz", b"not gzip".into(), "corrupt_compression", None, None, None),
        ("photo.png", b"pixels".into(), "unsupported_extension", None, None, None),
        (
            "predictions.json",
            br#"{"data":{},"predictions":[{"score":1}]}"#.into(),
            "invalid_predictions",
            Some(26),
            Some(0),
            Some(r#"{"data":{},"predictions":[{"score":1}]}"#),
        ),
        ("wrong.jsonl", b"{\"a\":1}\n7\n".into(), "wrong_type", Some(8), Some(1), Some("{\"a\":1}\\n7\\n")),
        ("zero\0.json", b"{}".into(), "unsupported_key", Some(4), None, None),
    ];
    for (key, content, ..) in &objects {
        rig.s3.put("tasks", key, content.clone());
    }
    rig.s3.put("tasks", "good.json", r#"[{"a":1},{"a":2}]"#);
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    rig.s3.clear_calls();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let expected = BTreeMap::from([("good.json".to_owned(), 2)]);
    // With some of its digest: another key may have the sign itself.
    let shown = |key: &str| key.replace("zero\0.json", "zero\u{2400}.json\u{2026}c938841a98735fab");
    let keys: Vec<String> = objects.iter().map(|(key, ..)| shown(key)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    rig.check_import(&storage, &sync, &expected, &keys).await;
    rig.check_first_counts(&sync, &expected, 15);
    // What key and size alone condemn is not read; one has more items than its size lets expect, and is read again.
    assert_eq!(rig.s3.count(Op::Get), 13);

    let aside = rig.quarantine(&storage).await;
    for (row, (key, content, reason, offset, item, excerpt)) in aside.iter().zip(&objects) {
        assert_eq!((&row["key"], &row["reason"], &row["state"]), (&json!(shown(key)), &json!(reason), &json!("open")));
        let place = ["byte_offset", "row_index", "excerpt"].map(|name| row[name].clone());
        assert_eq!(place, [json!(offset), json!(item), json!(excerpt)], "{key}");
        assert_eq!(row["size"], content.len(), "{key}");
        assert!(row["etag"].is_string() && row["sync"] == sync["id"], "{row}");
        assert!(row["detail"].as_str().is_some_and(|detail| detail.len() > 20), "{row}");
    }
    let shown = rig.get(&format!("{}/{}", storage.path, storage.id)).await;
    assert_eq!(shown["status"], "completed_with_errors", "{shown}");
    let of_reason = rig.get(&format!("/api/quarantine?storage={}&reason=empty", storage.id)).await;
    assert_eq!(rows(&of_reason).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_database_refuses_costs_its_object_and_no_other() {
    let rig = Rig::start().await;
    let db = rig.database().await;
    // What the checks of a text let through, a stricter host may still refuse.
    db.batch_execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.data ? 'poison' THEN RAISE EXCEPTION 'no poison' USING ERRCODE = '22023'; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION refuse();",
    )
    .await
    .expect("a trigger");
    let key = |n: usize| format!("{n:03}.json");
    let content = |n: usize| if n % 50 == 7 { r#"[{"n":1},{"poison":1}]"# } else { r#"[{"n":1},{"n":2}]"# };
    rig.s3.put_many("tasks", (0..150).map(|n| (key(n), content(n))));
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let expected = (0..150).filter(|n| n % 50 != 7).map(|n| (key(n), 2)).collect();
    let refused = ["007.json", "057.json", "107.json"];
    rig.check_import(&storage, &sync, &expected, &refused).await;
    rig.check_first_counts(&sync, &expected, 3);
    assert!(rig.quarantine(&storage).await.iter().all(|row| row["reason"] == "unsupported_value"));

    db.batch_execute("DROP TRIGGER refuse ON tasks").await.expect("no trigger");
    rig.post("/api/quarantine/replay", json!({"storage": storage.id})).await;
    let expected = (0..150).map(|n| (key(n), 2)).collect();
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed", "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
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
async fn two_storages_of_one_project_keep_to_themselves() {
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
async fn a_storage_deleted_in_mid_sync_leaves_its_tasks_and_nothing_else() {
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
            // The first page has begun to write: the deletion waits for it, and then takes it along.
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

        // The worker is free for others, and the tasks that were made stay.
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
async fn a_task_that_a_user_deleted_is_not_made_again() {
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
    // The third part fails once: the page is listed again, and the parts before it are not taken twice.
    rig.s3.fail(When::op(Op::Get).key("05.jsonl").times(4), Fault::Error(S3ErrorCode::InternalError));
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!((&sync["status"], &sync["counts"]["listed"]), (&json!("completed"), &json!(1_009)), "{sync}");
    rig.check_import(&storage, &sync, &expected, &[]).await;
    rig.check_first_counts(&sync, &expected, 0);
    let reads = rig.s3.calls().into_iter().filter(|call| call.op == Op::Get && call.key == "00.jsonl").count();
    assert_eq!(reads, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_takes_the_whole_memory_waits_for_no_page_that_writes_nothing() {
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
