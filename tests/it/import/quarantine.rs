//! Objects that cannot be imported.

use std::collections::BTreeMap;

use longshore_local::s3::Op;
use longshore_rig::rig::{Rig, rows};
use serde_json::json;

/// Key, content, reason, offset, item, excerpt.
type InvalidObject<'a> = (&'a str, Vec<u8>, &'a str, Option<u64>, Option<u64>, Option<&'a str>);

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_object_is_quarantined_with_reason_position_and_excerpt() {
    let rig = Rig::start().await;
    let many = format!("[{}{{}}]", "{},".repeat(100_000));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let too_deep = format!("{}{}", "[".repeat(41), "]".repeat(79));
    let half = r#"[{"a":1},{"annotations":[{}]}]"#;
    let objects: [InvalidObject<'_>; 14] = [
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
    // With part of its digest, because another key may contain the replacement character itself.
    let shown = |key: &str| key.replace("zero\0.json", "zero\u{2400}.json\u{2026}c938841a98735fab");
    let keys: Vec<String> = objects.iter().map(|(key, ..)| shown(key)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    rig.check_import(&storage, &sync, &expected, &keys).await;
    rig.check_first_counts(&sync, &expected, 14);
    // Objects that are unusable by key or size are not read; one has more items than expected from its size, and is
    // read again.
    assert_eq!(rig.s3.count(Op::Get), 12);

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
async fn a_value_that_the_database_refuses_quarantines_only_its_object() {
    let rig = Rig::start().await;
    let db = rig.database().await;
    // A host may refuse text that passes Longshore's checks.
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
