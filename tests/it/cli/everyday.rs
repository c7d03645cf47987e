//! The commands of every day: change a storage, look at objects, tasks, syncs and what went wrong.

use std::slice::from_ref;

use longshore_rig::rig::Rig;
use serde_json::json;

use super::{longshore, made};

/// Goal: a change changes what it names. Method: change one field after the other, and read the storage through the API.
#[tokio::test(flavor = "multi_thread")]
async fn storage_update_changes_only_what_is_named() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("images");
    let storage = made(&rig, "images", "--blob --title pets").await;
    let path = format!("/api/storages/s3/{}", storage.id);
    let before = rig.get(&path).await;

    // The environment of these commands has another S3_ENDPOINT by accident: a change must be asked for.
    let mut command =
        super::command(&rig.url(), rig.token(), &format!("storage update {} --prefix cats --json", storage.id));
    command.env("S3_ENDPOINT", "http://127.0.0.1:1");
    assert_eq!(super::run(command).await.json()["prefix"], "cats");
    let mut expected = before.clone();
    expected["prefix"] = json!("cats");
    assert_eq!(rig.get(&path).await, expected);

    let update = format!("storage update {} --recursive=false --no-presign --presign-ttl 7 --json", storage.id);
    let changed = longshore(&rig, &update).await.json();
    assert_eq!(
        (&changed["recursive_scan"], &changed["presign"], &changed["presign_ttl"]),
        (&json!(false), &json!(false), &json!(7))
    );
    let changed = longshore(&rig, &format!("storage update {} --no-presign=false --json", storage.id)).await.json();
    assert_eq!(changed["presign"], true);

    let refused = longshore(&rig, &format!("storage update {} --prefix /cats --strict", storage.id)).await;
    assert!(refused.code == 1 && refused.err.contains("[warnings]"), "{}", refused.err);
    assert_eq!(rig.get(&path).await["prefix"], "cats", "a refused change changes nothing");

    // A new value is probed first, and a dry run stores nothing.
    let stored = rig.get(&path).await;
    let wrong = longshore(&rig, &format!("storage update {} --bucket nowhere", storage.id)).await;
    assert!(wrong.code == 1 && wrong.err.contains("[no_such_bucket]"), "{}", wrong.err);
    let dry = longshore(&rig, &format!("storage update {} --bucket images --title x --dry-run", storage.id)).await;
    assert_eq!((dry.code, dry.out.as_str()), (0, "The connection works.\n"), "{}", dry.err);
    assert_eq!(rig.get(&path).await, stored);
}

/// Goal: an option that has no effect is not taken silently. Method: options of other kinds and of the other direction.
#[tokio::test(flavor = "multi_thread")]
async fn an_option_that_does_not_apply_is_refused() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("images");
    let import = made(&rig, "images", "--blob").await;
    let export = rig.export_storage(import.project, "images", json!({})).await;
    for (words, option) in [
        (format!("storage update {} --account-name a", import.id), "--account-name"),
        (format!("storage update {} --google-project a", import.id), "--google-project"),
        (format!("storage update {} --can-delete", import.id), "--can-delete"),
        (format!("storage update {} --recursive", export.id), "--recursive"),
        (format!("sync start {} --all", import.id), "--all"),
        (format!("sync start {} --task 1", import.id), "--task"),
    ] {
        let refused = longshore(&rig, &words).await;
        assert_eq!(refused.code, 2, "{words}: {}", refused.err);
        let expected = format!("error: option {option} does not apply to storage ");
        assert!(refused.err.starts_with(&expected) && refused.err.contains("\nhint: "), "{words}: {}", refused.err);
    }
    let nothing = longshore(&rig, &format!("storage update {}", import.id)).await;
    assert!(nothing.code == 2 && nothing.err.contains("nothing to change"), "{}", nothing.err);
    let range = longshore(&rig, &format!("storage update {} --presign-ttl 1e9", import.id)).await;
    assert!(range.code == 2 && range.err.contains("from 0 to 32767"), "{}", range.err);
    let files = longshore(&rig, &format!("storage files {}", export.id)).await;
    assert!(files.code == 2 && files.err.contains("export storage"), "{}", files.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_and_tasks_are_listed() {
    let rig = Rig::start().await;
    for key in ["a.png", "b.png", "note.txt"] {
        rig.s3.put("images", key, "image");
    }
    let storage = made(&rig, "images", "--blob --regex .*png").await;
    let files = longshore(&rig, &format!("storage files {}", storage.id)).await;
    for word in ["OBJECT", "a.png", "b.png", "SKIPPED", "note.txt"] {
        assert!(files.out.contains(word), "{word} in {}{}", files.out, files.err);
    }
    let first = longshore(&rig, &format!("storage files {} --limit 1", storage.id)).await;
    assert!(!first.out.contains("b.png") && first.out.contains("raise --limit"), "{}", first.out);

    assert_eq!(longshore(&rig, &format!("sync start {} --follow", storage.id)).await.code, 0);
    let list = format!("task list --project {}", storage.project);
    let all = longshore(&rig, &list).await;
    assert!(all.out.contains("a.png") && all.out.contains("s3://images/b.png"), "{}", all.out);
    let first = longshore(&rig, &format!("{list} --limit 1")).await;
    let tasks = longshore(&rig, &format!("{list} --json")).await.json();
    let ids: Vec<i64> =
        tasks["tasks"].as_array().expect("tasks").iter().filter_map(|task| task["id"].as_i64()).collect();
    assert_eq!(ids.len(), 2);
    assert!(first.out.ends_with(&format!("For the next page, add --after {}\n", ids[0])), "{}", first.out);
    let second = longshore(&rig, &format!("{list} --after {} --json", ids[0])).await.json();
    assert_eq!((&second["tasks"][0]["id"], second["tasks"].as_array().map(Vec::len)), (&json!(ids[1]), Some(1)));
    let shown = longshore(&rig, &format!("task show {} --json", ids[0])).await.json();
    // Without a labeling interface, the data has one key.
    let data: Vec<_> = shown["data"].as_object().expect("data").values().collect();
    assert_eq!((data, &shown["annotations"]), (vec![&json!("s3://images/a.png")], &json!([])));
    let missing = longshore(&rig, "task show 777").await;
    assert!(missing.code == 1 && missing.err.contains("[not_found]"), "{}", missing.err);
}

/// Goal: many objects with the same fault are one line. Method: three reasons, and one object looked at alone.
#[tokio::test(flavor = "multi_thread")]
async fn quarantine_is_shown_by_reason_with_examples_and_advice() {
    let rig = Rig::start().await;
    for n in 0..5 {
        rig.s3.put("tasks", &format!("cut-{n}.json"), "{\"image\":");
    }
    rig.s3.put("tasks", "empty.json", "");
    let storage = made(&rig, "tasks", "").await;
    assert_eq!(longshore(&rig, &format!("sync start {} --follow", storage.id)).await.code, 3);

    let shown = longshore(&rig, &format!("quarantine show --storage {} --json", storage.id)).await.json();
    assert_eq!((&shown["count"], &shown["complete"]), (&json!(6), &json!(true)));
    let groups = shown["reasons"].as_array().expect("groups");
    let counts: Vec<_> = groups.iter().map(|group| (&group["reason"], &group["count"])).collect();
    assert_eq!(counts, [(&json!("invalid_json"), &json!(5)), (&json!("empty"), &json!(1))]);
    assert_eq!(groups[0]["examples"].as_array().map(Vec::len), Some(3));
    let text = longshore(&rig, &format!("quarantine show --storage {}", storage.id)).await;
    for word in ["REASON", "OBJECTS", "invalid_json", "cut-4.json", "empty.json"] {
        assert!(text.out.contains(word), "{word} in {}", text.out);
    }

    let rows = rig.quarantine(&storage).await;
    let empty = rows.iter().find(|row| row["key"] == "empty.json").expect("the empty object");
    let one = longshore(&rig, &format!("quarantine show {} --json", empty["id"])).await.json();
    assert_eq!(&one, empty);
    assert_eq!(longshore(&rig, "quarantine show 777777").await.code, 1);
}

/// Goal: syncs of a storage and a time are found. Method: move one of two syncs into the past.
#[tokio::test(flavor = "multi_thread")]
async fn syncs_are_listed_by_storage_and_time_and_followed_by_storage() {
    let rig = Rig::start().await;
    rig.s3.put("tasks", "good.json", r#"{"image": "i"}"#);
    rig.s3.put("tasks", "bad.json", "{");
    let storage = made(&rig, "tasks", "").await;
    let old = rig.sync_to_end(&storage).await["id"].clone();
    let moved = "UPDATE longshore.syncs SET created_at = created_at - interval '3 days'";
    rig.database().await.batch_execute(moved).await.expect("the sync is moved");
    rig.s3.put("tasks", "worse.json", "[");
    let new = rig.sync_to_end(&storage).await["id"].clone();
    let other = rig.import_storage(storage.project, "tasks", json!({})).await;
    rig.sync_to_end(&other).await;

    let ids = async |filter: &str| {
        let list = format!("sync list --storage {} {filter} --json", storage.id);
        let list = longshore(&rig, &list).await.json();
        list["syncs"].as_array().expect("syncs").iter().map(|sync| sync["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids("").await, [new.clone(), old.clone()]);
    assert_eq!(ids("--since 1d").await, from_ref(&new));
    assert_eq!(ids("--until 1d").await, from_ref(&old));
    assert_eq!(ids("--since 4d --until 2d").await, from_ref(&old));
    assert_eq!(ids("--since 4d --limit 1").await, from_ref(&new));
    assert_eq!(longshore(&rig, "sync list --since soon").await.code, 2);

    // The exit code of a followed sync is its result, however it is named.
    let named = [
        (format!("sync follow {old}"), 3, old),
        (format!("sync follow {new}"), 3, new.clone()),
        (format!("sync follow --storage {}", storage.id), 3, new),
    ];
    for (words, code, sync) in named {
        let followed = longshore(&rig, &words).await;
        assert_eq!(followed.code, code, "{words}: {}{}", followed.out, followed.err);
        assert!(followed.out.contains(&format!("Sync {sync} ")), "{}", followed.out);
    }
}
