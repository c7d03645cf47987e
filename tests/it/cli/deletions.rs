//! Deletions: what they take is said first, and `--yes` confirms it.

use longshore_rig::rig::Rig;
use serde_json::json;

use super::{longshore, made};

/// Goal: nothing is deleted by accident. Method: each deletion without `--yes`, which deletes nothing and says how much it
/// would take, and then with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_says_what_it_takes_and_needs_yes() {
    let rig = Rig::start().await;
    for key in ["a.png", "b.png", "c.png"] {
        rig.s3.put("images", key, "image");
    }
    let storage = made(&rig, "images", "--blob --title pets").await;
    let (id, project) = (storage.id, storage.project);
    let sync = async || rig.sync_to_end(&storage).await["counts"]["created"].clone();
    assert_eq!(sync().await, 3);
    let tasks = async || {
        let list = longshore(&rig, &format!("task list --project {project} --json")).await.json();
        list["tasks"].as_array().expect("tasks").iter().map(|task| task["id"].clone()).collect::<Vec<_>>()
    };
    let first = tasks().await[0].clone();
    for (words, takes) in [
        (format!("task delete {first}"), "this deletes 1 task"),
        (format!("task delete --storage {id}"), "this deletes 3 tasks"),
        (format!("task delete --project {project}"), "this deletes 3 tasks"),
        (format!("storage delete {id}"), "this deletes storage"),
        (format!("storage delete {id} --tasks"), "this deletes 3 tasks"),
        (format!("project delete {project}"), "this deletes 3 tasks"),
    ] {
        let refused = longshore(&rig, &words).await;
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{words}: {}", refused.err);
        assert!(refused.err.contains(takes) && refused.err.contains("add --yes"), "{words}: {}", refused.err);
        let refused = longshore(&rig, &format!("{words} --json")).await;
        assert!(refused.err.contains("\"confirmation_required\""), "{words}: {}", refused.err);
        assert_eq!(tasks().await.len(), 3, "{words}");
    }

    let deleted = longshore(&rig, &format!("task delete {first} --yes")).await;
    assert_eq!((deleted.code, deleted.out.as_str()), (0, "Deleted: 1 task.\n"), "{}", deleted.err);
    assert_eq!(tasks().await.len(), 2);
    assert_eq!(longshore(&rig, &format!("task delete {first} --yes")).await.code, 1, "it is deleted");
    let deleted = longshore(&rig, "task delete --storage pets --yes --follow").await;
    assert!(deleted.code == 0 && deleted.out.contains("deleted tasks 2"), "{}{}", deleted.out, deleted.err);
    assert_eq!(tasks().await, Vec::<serde_json::Value>::new());
    assert_eq!(sync().await, 3, "by default the objects are imported again");
    let deleted = longshore(&rig, &format!("task delete --project {project} --keep --yes --follow")).await;
    assert_eq!(deleted.code, 0, "{}{}", deleted.out, deleted.err);
    assert_eq!(sync().await, 0, "with --keep they are not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_is_deleted_with_its_tasks_and_a_project_with_everything() {
    let rig = Rig::start().await;
    rig.s3.put("images", "a.png", "image");
    let storage = made(&rig, "images", "--blob").await;
    rig.sync_to_end(&storage).await;
    let deleted = longshore(&rig, &format!("storage delete {} --tasks --yes --follow", storage.id)).await;
    assert_eq!(deleted.code, 0, "{}{}", deleted.out, deleted.err);
    assert_eq!(longshore(&rig, "storage list --json").await.json(), json!([]));
    let tasks = longshore(&rig, &format!("task list --project {}", storage.project)).await;
    assert_eq!(tasks.out, "(none)\n", "{}", tasks.err);

    let renamed = longshore(&rig, &format!("project update {} --title old --json", storage.project)).await.json();
    assert_eq!(renamed["title"], "old");
    let config = r#"<View><Image name="i" value="$image"/></View>"#;
    let mut update = super::command(&rig.url(), rig.token(), "project update old --json --label-config");
    update.arg(config);
    assert_eq!(super::run(update).await.json()["label_config"], config);
    assert_eq!(longshore(&rig, "project update old").await.code, 2, "nothing to change");

    let other = made(&rig, "images", "--blob").await;
    rig.sync_to_end(&other).await;
    let deleted = longshore(&rig, &format!("project delete {} --yes --follow", other.project)).await;
    assert_eq!(deleted.code, 0, "{}{}", deleted.out, deleted.err);
    // An empty one is deleted at once, but not without being asked for.
    let refused = longshore(&rig, "project delete old").await;
    assert!(refused.code == 1 && refused.err.contains("no tasks and no storages"), "{}", refused.err);
    assert_eq!(longshore(&rig, "project delete old --yes").await.out, "Deleted.\n");
    assert_eq!(longshore(&rig, "project list --json").await.json()["count"], 0);
}
