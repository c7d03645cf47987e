//! `longshore host`: the check before Longshore serves a Label Studio, and the way back.

use longshore_rig::label_studio::TOKEN;
use longshore_rig::rig::{Rig, send_json, until};
use serde_json::json;

use super::Twins;
use crate::programs::{Ended, cli, run};

async fn host(database_url: &str, arguments: &[&str]) -> Ended {
    let arguments: Vec<&str> = [&["host"], arguments].concat();
    run(cli(&arguments).env("DATABASE_URL", database_url)).await
}

/// Checks as the programs' role.
async fn check(rig: &Rig) -> Ended {
    host(&rig.roles.database_url, &["check"]).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs Label Studio: make test-label-studio"]
async fn the_check_names_what_longshore_would_refuse() {
    let rig = Rig::with().label_studio().workers(0).start().await;
    let checked = check(&rig).await;
    assert_eq!(checked.code, 0, "{}", checked.text);
    assert!(checked.text.contains("has all rights on Label Studio's tables"), "{}", checked.text);
    let db = rig.database().await;
    let app: reqwest::Url = rig.roles.database_url.parse().expect("a URL");
    let app = app.username();
    for (change, back, words) in [
        (
            "INSERT INTO public.django_migrations (app, name, applied) VALUES ('lse_tasks', '0001_initial', now())",
            "DELETE FROM public.django_migrations WHERE app = 'lse_tasks'",
            ["FAIL", "lse_tasks"],
        ),
        (
            "INSERT INTO public.core_asyncmigrationstatus (name, status, created_at, updated_at) VALUES ('0061_index', 'STARTED', now(), now())",
            "DELETE FROM public.core_asyncmigrationstatus WHERE name = '0061_index'",
            ["warn", "0061_index"],
        ),
        (
            &format!("REVOKE UPDATE ON public.task FROM {app}"),
            &format!("GRANT UPDATE ON public.task TO {app}"),
            ["FAIL", "UPDATE on task"],
        ),
        (
            "ALTER TABLE public.task ADD COLUMN reviewed boolean NOT NULL",
            "ALTER TABLE public.task DROP COLUMN reviewed",
            ["FAIL", "`reviewed`"],
        ),
    ] {
        db.batch_execute(change).await.unwrap_or_else(|error| panic!("{error:?}: {change}"));
        let checked = check(&rig).await;
        let line = checked.text.lines().find(|line| words.iter().all(|word| line.contains(word)));
        assert!(line.is_some(), "{words:?}: {}", checked.text);
        assert_eq!(checked.code, i32::from(words[0] == "FAIL"), "{}", checked.text);
        db.batch_execute(back).await.unwrap_or_else(|error| panic!("{error:?}: {back}"));
    }
    assert_eq!(check(&rig).await.code, 0);
}

/// Goal: no status of Longshore stays behind and keeps Label Studio from syncing. Method: removal in the middle of a sync.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn after_the_removal_label_studio_syncs_what_longshore_left_queued() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("left");
    twins.rig.s3.put_many("left", (0..5).map(|n| (format!("{n}.jpg"), "x")));
    let twin = twins.import("left", json!({"use_blob_urls": true})).await;
    for worker in &twins.rig.workers {
        worker.stop().await.expect("the worker ends");
    }
    let request = twins.rig.request("POST", &format!("/api/storages/s3/{}/sync", twin.storage));
    let request = request.header("authorization", format!("Token {TOKEN}")).header("prefer", "respond-async");
    let (status, queued) = send_json(request).await;
    assert_eq!((status, &queued["status"]), (200, &json!("queued")), "{queued}");
    assert_eq!(twins.sync_theirs(&twin).await["status"], "queued", "Label Studio leaves it alone");

    let url = twins.rig.database_url.clone();
    let unconfirmed = host(&url, &["remove"]).await;
    assert!(unconfirmed.code == 1 && unconfirmed.text.contains("--yes"), "{unconfirmed:?}");
    let running = host(&url, &["remove", "--yes"]).await;
    assert!(running.code == 1 && running.text.contains("longshore-scheduler"), "{running:?}");
    twins.rig.schedulers[0].stop().await.expect("the scheduler ends");
    until("the programs are disconnected", async || {
        let removed = host(&url, &["remove", "--yes"]).await;
        (removed.code == 0).then_some(())
    })
    .await;
    let db = twins.rig.database().await;
    let schema = db.query_one("SELECT to_regnamespace('longshore') IS NULL", &[]).await.expect("an answer");
    assert!(schema.get::<_, bool>(0), "the schema is gone");
    let synced = twins.sync_theirs(&twin).await;
    assert_eq!((&synced["status"], &synced["last_sync_count"]), (&json!("completed"), &json!(5)), "{synced}");
}

/// Goal: the operator hears before the first sync what would be refused. Method: a storage as users may leave it, and the trace
/// of a Redis queue.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_check_names_storages_that_longshore_could_not_sync() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("checked");
    let twin = twins.import("checked", json!({})).await;
    let checked = check(&twins.rig).await;
    assert!(checked.code == 0 && checked.text.contains("settings of 1 storages are valid"), "{}", checked.text);
    let storage = format!("s3 import storage {}", twin.storage);
    let db = twins.rig.database().await;
    for (change, back, code, words) in [
        ("bucket = NULL", "bucket = 'checked'", 0, ["warn", storage.as_str()]),
        ("last_sync_job = '8f1c'", "last_sync_job = NULL", 1, ["FAIL", "Redis queue"]),
    ] {
        let set = |value: &str| format!("UPDATE public.io_storages_s3importstorage SET {value}");
        db.batch_execute(&set(change)).await.expect("a change");
        let checked = check(&twins.rig).await;
        let line = checked.text.lines().find(|line| words.iter().all(|word| line.contains(word)));
        assert!(line.is_some_and(|line| line.contains(&storage)), "{words:?}: {}", checked.text);
        assert_eq!(checked.code, code, "{}", checked.text);
        db.batch_execute(&set(back)).await.expect("a change");
    }
}
