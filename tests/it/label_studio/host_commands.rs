//! `longshore host`: the check before Longshore serves a Label Studio, and the way back.

use longshore_rig::label_studio::TOKEN;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, send_json, until};
use longshore_uri::encode_fileuri;
use serde_json::{Value, json};

use super::items::put;
use super::{Twin, Twins};
use crate::programs::{Ended, cli, run, scheduler};

async fn host(database_url: &str, arguments: &[&str]) -> Ended {
    let arguments: Vec<&str> = [&["host"], arguments].concat();
    run(cli(&arguments).env("DATABASE_URL", database_url)).await
}

/// Checks as the programs' role.
pub(super) async fn check(rig: &Rig) -> Ended {
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
            &format!("GRANT UPDATE (is_labeled, overlap) ON public.task TO {app}"),
            ["FAIL", "UPDATE (is_labeled, overlap) on task"],
        ),
        (
            &format!("REVOKE ALL ON public.django_migrations FROM {app}"),
            &format!("GRANT SELECT ON public.django_migrations TO {app}"),
            ["FAIL", "SELECT on django_migrations"],
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
        (
            "aws_access_key_id = NULL, aws_secret_access_key = NULL",
            "aws_access_key_id = 'AK', aws_secret_access_key = 'S'",
            0,
            ["warn", "LONGSHORE_OWN_IDENTITY"],
        ),
        ("last_sync_job = '8f1c'", "last_sync_job = NULL", 0, ["warn", "Redis queue"]),
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

/// As in installations from before Django 4.1, whose columns keep their defaults.
const TO_SERIAL: &str = "
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attname = 'id' AND a.attidentity <> ''
        LOOP
            EXECUTE format('ALTER TABLE public.%I ALTER COLUMN id DROP IDENTITY', name);
            EXECUTE format('CREATE SEQUENCE public.%I OWNED BY public.%I.id', name || '_s', name);
            EXECUTE format('SELECT setval(%L, (SELECT coalesce(max(id), 0) + 1 FROM public.%I))', 'public.' || name || '_s', name);
            EXECUTE format('ALTER TABLE public.%I ALTER COLUMN id SET DEFAULT nextval(%L)', name, 'public.' || name || '_s');
        END LOOP;
    END $$";

/// Goal: the printed rights suffice beside old installations. Method: serial columns, whose sequences need rights of their
/// own, for each table that an import and an export write.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn the_rights_suffice_where_ids_come_from_serial_columns() {
    let twins = Twins::start().await;
    let object =
        r#"{"data": {"image": "s3://x/1.jpg"}, "annotations": [{"result": []}], "predictions": [{"result": []}]}"#;
    put(&twins, "serial", &[object.to_owned()]);
    let twin = twins.import("serial", json!({})).await;
    let target = json!({"project": twin.project, "bucket": "serial", "prefix": "out", "s3_endpoint": twins.rig.s3.endpoint(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY});
    let target = twins.studio.send("POST", "/api/storages/export/s3", Some(&target)).await;
    let db = twins.rig.database().await;
    db.batch_execute(TO_SERIAL).await.expect("a change");
    let checked = check(&twins.rig).await;
    for sequence in ["task_s", "task_completion_s", "prediction_s", "io_storages_s3exportstoragelink_s"] {
        assert!(checked.text.contains(&format!("USAGE on sequence public.{sequence}")), "{sequence}: {}", checked.text);
    }
    assert_eq!(checked.code, 1);

    let app: reqwest::Url = twins.rig.roles.database_url.parse().expect("a URL");
    let grants = run(&mut scheduler(&["grants", app.username(), "--label-studio"])).await;
    db.batch_execute(&grants.text).await.expect("grants");
    let checked = check(&twins.rig).await;
    assert_eq!(checked.code, 0, "{}", checked.text);
    let imported = twins.sync_ours(&twin).await;
    assert_eq!((&imported["status"], &imported["last_sync_count"]), (&json!("completed"), &json!(1)), "{imported}");
    let request = twins.rig.request("POST", &format!("/api/storages/export/s3/{}/sync", target["id"])).json(&json!({}));
    let (_, exported) = send_json(request.header("authorization", format!("Token {TOKEN}"))).await;
    assert_eq!((&exported["status"], &exported["last_sync_count"]), (&json!("completed"), &json!(1)), "{exported}");
    let links = "SELECT count(*) FROM public.io_storages_s3exportstoragelink";
    assert_eq!(db.query_one(links, &[]).await.expect("links").get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn what_users_write_to_one_storage_stops_no_other() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("shared");
    twins.rig.s3.put("shared", "a.jpg", "x");
    let broken = twins.import("shared", json!({"use_blob_urls": true})).await;
    let twin = Twin { project: broken.project, storage: second(&twins, &broken).await };
    assert_eq!(twins.sync_ours(&twin).await["last_sync_count"], json!(1));
    let db = twins.rig.database().await;
    let change = format!(
        "ALTER TABLE public.io_storages_s3importstorage DROP CONSTRAINT io_storages_s3importstorage_presign_ttl_check;
         UPDATE public.io_storages_s3importstorage SET presign_ttl = -1, last_sync_job = 'a-job' WHERE id = {}",
        broken.storage
    );
    db.batch_execute(&change).await.expect("a change");
    let checked = check(&twins.rig).await;
    assert!(
        checked.text.lines().any(|line| line.starts_with("warn") && line.contains("Redis queue")),
        "{}",
        checked.text
    );
    assert_eq!(checked.code, 0, "{}", checked.text);
    assert!(checked.text.contains("would refuse to sync s3 import storage"), "{}", checked.text);
    let task = db.query_one("SELECT id::bigint FROM public.task", &[]).await.expect("a task").get::<_, i64>(0);
    let image = format!("/tasks/{task}/resolve/?fileuri={}", encode_fileuri("s3://shared/a.jpg"));
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let request = http.expect("a client").get(format!("{}{image}", twins.rig.url()));
    let answer = request.header("authorization", format!("Token {TOKEN}")).send().await.expect("an answer");
    assert_eq!(answer.status(), 303);
    let deleted =
        format!("UPDATE public.io_storages_s3importstorage SET last_sync_job = NULL WHERE id = {}", broken.storage);
    db.batch_execute(&deleted).await.expect("a change");
    assert!(!check(&twins.rig).await.text.contains("Redis queue"));
}

/// Another import storage of the same project and bucket.
async fn second(twins: &Twins, twin: &Twin) -> i64 {
    let body = json!({"project": twin.project, "bucket": "shared", "s3_endpoint": twins.rig.s3.endpoint(), "use_blob_urls": true,
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY});
    twins.studio.send("POST", "/api/storages/s3", Some(&body)).await["id"].as_i64().expect("an ID")
}

/// Makes a role without other rights the owner of Label Studio's tables, as its own role is, and returns its URL.
async fn studio_role(rig: &Rig) -> String {
    let role = format!("{}_studio", rig.vhost);
    let text = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'studio-password';
         DO $$ DECLARE name text; BEGIN
             FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
                 EXECUTE format('ALTER TABLE public.%I OWNER TO {role}', name);
             END LOOP;
         END $$"
    );
    rig.database().await.batch_execute(&text).await.expect("a role");
    let mut url: reqwest::Url = rig.database_url.parse().expect("a URL");
    url.set_username(&role).expect("a URL that may have a user");
    url.set_password(Some("studio-password")).expect("a URL that may have a password");
    url.into()
}

/// Goal: a removal loses nothing without a word, and needs no superuser. Method: programs that are killed before they add
/// to the summary, and a sync of Label Studio itself on a storage that ours had.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_removal_adds_to_summaries_refuses_what_is_due_and_leaves_other_syncs_alone() {
    let twins = Twins::start().await;
    twins.rig.s3.create_bucket("gone");
    twins.rig.s3.put_many("gone", (0..5).map(|n| (format!("{n}.jpg"), "x")));
    let twin = twins.import("gone", json!({"use_blob_urls": true})).await;
    let db = twins.rig.database().await;
    db.batch_execute("BEGIN; LOCK TABLE public.projects_projectsummary IN EXCLUSIVE MODE").await.expect("a lock");
    assert_eq!(twins.sync_ours(&twin).await["last_sync_count"], json!(5));
    for program in twins.rig.workers.iter().chain(&twins.rig.schedulers) {
        program.process.kill().await.expect("it ends");
    }
    db.batch_execute("ROLLBACK").await.expect("no lock");
    let due = "UPDATE syncs SET exports_due = true, finished_at = NULL, status = 'in_progress';
               INSERT INTO webhook_deliveries (webhook_id, sync_id, project_id, first_ids, last_ids) VALUES (1, 1, 1, '{}', '{}')";
    db.batch_execute(due).await.expect("what is due");
    // Label Studio took ours for dead, and started its own.
    let theirs = "UPDATE public.io_storages_s3importstorage
                     SET status = 'in_progress', meta = meta || '{\"time_queued\": \"2030-01-01 00:00:00.000000+00:00\"}'";
    db.batch_execute(theirs).await.expect("their sync");

    let studio = studio_role(&twins.rig).await;
    for url in [&studio, &twins.rig.roles.owner_database_url] {
        let refused = until("the programs are disconnected", async || {
            let ended = host(url, &["remove", "--yes"]).await;
            (!ended.text.contains("are connected")).then_some(ended)
        })
        .await;
        assert!(refused.code == 1 && refused.text.contains("GRANT longshore_owner TO label_studio"), "{refused:?}");
    }
    let owner: reqwest::Url = twins.rig.roles.owner_database_url.parse().expect("a URL");
    let member = format!("GRANT {} TO {}_studio", owner.username(), twins.rig.vhost);
    db.batch_execute(&member).await.expect("a grant");
    let refused = host(&studio, &["remove", "--yes"]).await;
    let names = ["webhook calls to send: 1", "still to be exported: 1", "--force"];
    assert!(refused.code == 1 && names.iter().all(|name| refused.text.contains(name)), "{refused:?}");
    let removed = host(&studio, &["remove", "--yes", "--force"]).await;
    assert!(removed.code == 0 && removed.text.contains("sync now: 0"), "{removed:?}");
    let summary: Value = twins.summary(&twin).await;
    assert_eq!(summary["all"]["$undefined$"], json!(5), "{summary}");
    let status = db.query_one("SELECT status FROM public.io_storages_s3importstorage", &[]).await.expect("a storage");
    assert_eq!(status.get::<_, &str>(0), "in_progress", "their sync goes on");
    let app: reqwest::Url = twins.rig.roles.database_url.parse().expect("a URL");
    let roles = format!("{}, {}", app.username(), owner.username());
    db.batch_execute(&format!("DROP OWNED BY {roles}; DROP ROLE {roles}")).await.expect("no rights are left");
}
