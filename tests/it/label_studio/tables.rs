//! Versions of Label Studio with other columns, and upgrades while Longshore runs.

use longshore_local::app::program;
use longshore_rig::rig::Rig;
use serde_json::{Value, json};

use super::items::{annotated, put};
use super::{Twin, Twins};

/// Puts another object and syncs.
async fn sync_one_more(twins: &Twins, twin: &Twin, key: &str) -> Value {
    twins.rig.s3.put("upgrades", key, annotated(r#"{"result": []}"#).into_bytes());
    twins.sync_ours(twin).await
}

/// Goal: no restart is needed. Method: the changes of upgrades, with the prepared statements and the knowledge of a first
/// sync.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn tables_that_change_while_longshore_runs_are_read_again_or_refused_by_name() {
    let twins = Twins::start().await;
    put(&twins, "upgrades", &[annotated(r#"{"result": []}"#)]);
    let twin = twins.import("upgrades", json!({})).await;
    let db = twins.rig.database().await;
    assert_eq!(twins.sync_ours(&twin).await["last_sync_count"], json!(1));

    // A column of a later version is missing, as in 1.21.
    let to_1_21 = "ALTER TABLE public.task DROP COLUMN allow_skip, DROP COLUMN precomputed_agreement;
                   DELETE FROM public.django_migrations WHERE app = 'tasks' AND name ~ '^00(58|59|60)'";
    db.batch_execute(to_1_21).await.expect("a change");
    let storage = sync_one_more(&twins, &twin, "1.json").await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(1)), "{storage}");

    // Columns that a row may lack.
    let harmless = "ALTER TABLE public.task ADD COLUMN note text;
                    ALTER TABLE public.task_completion ADD COLUMN reviewed boolean NOT NULL DEFAULT false";
    db.batch_execute(harmless).await.expect("a change");
    let storage = sync_one_more(&twins, &twin, "2.json").await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(1)), "{storage}");

    // A column that a row may not lack.
    db.batch_execute("ALTER TABLE public.task_completion ALTER COLUMN reviewed DROP DEFAULT").await.expect("a change");
    let count = "SELECT (SELECT count(*) FROM public.task), (SELECT count(*) FROM host_deltas), (SELECT count(*) FROM quarantine)";
    let storage = sync_one_more(&twins, &twin, "3.json").await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("failed"), &json!(0)), "{storage}");
    let says = storage["traceback"].as_str().is_some_and(|text| text.contains("`reviewed`"));
    assert!(says, "{storage}");
    let row = db.query_one(count, &[]).await.expect("counts");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(2)), (3, 0), "nothing half written, and no object blamed");

    // Back to the version of the start, with columns of another type.
    let back = "ALTER TABLE public.task_completion DROP COLUMN reviewed;
                ALTER TABLE public.task ADD COLUMN allow_skip boolean;
                ALTER TABLE public.project ALTER COLUMN maximum_annotations TYPE bigint";
    db.batch_execute(back).await.expect("a change");
    let storage = sync_one_more(&twins, &twin, "4.json").await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(2)), "{storage}");

    // Columns that are written have another type: longer than the values, and shorter.
    for (change, back, word) in [
        ("task ALTER COLUMN id TYPE bigint", "task ALTER COLUMN id TYPE integer", "`id`"),
        ("task ALTER COLUMN inner_id TYPE integer", "task ALTER COLUMN inner_id TYPE bigint", "`inner_id`"),
    ] {
        db.batch_execute(&format!("ALTER TABLE public.{change}")).await.expect("a change");
        let storage = sync_one_more(&twins, &twin, "5.json").await;
        let text = storage["traceback"].as_str().unwrap_or_default();
        assert!(storage["status"] == "failed" && text.contains(word) && text.contains("type"), "{change}: {storage}");
        db.batch_execute(&format!("ALTER TABLE public.{back}")).await.expect("a change");
    }
    let row = db.query_one(count, &[]).await.expect("counts");
    assert_eq!(row.get::<_, i64>(2), 0, "no object blamed");
    let storage = sync_one_more(&twins, &twin, "5.json").await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(1)), "{storage}");
}

/// Runs a program until it ends, and returns what it says.
async fn start_error(rig: &Rig, name: &str) -> String {
    let mut command = std::process::Command::new(program(name).expect("the programs are built"));
    command
        .env_clear()
        .env("DATABASE_URL", &rig.database_url)
        .env("AMQP_URL", &rig.amqp_url)
        .env("LONGSHORE_SECRET_KEYS", rig.secret_keys())
        .env("LONGSHORE_TOKEN", rig.token())
        .env("LONGSHORE_LISTEN", "127.0.0.1:0")
        .env("LONGSHORE_LABEL_STUDIO_URL", "http://127.0.0.1:9")
        .env("LONGSHORE_METRICS_LISTEN", "127.0.0.1:0")
        .env("LONGSHORE_HOST", "label-studio");
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts");
    assert!(!output.status.success(), "it must not run");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs Label Studio: make test-label-studio"]
async fn a_program_does_not_start_beside_a_label_studio_that_it_cannot_write() {
    let rig = Rig::with().label_studio().workers(0).start().await;
    let db = rig.database().await;
    db.batch_execute("ALTER TABLE public.task ADD COLUMN reviewed boolean NOT NULL").await.expect("a change");
    for name in ["longshore-worker", "longshore-scheduler"] {
        let said = start_error(&rig, name).await;
        assert!(said.contains("LONGSHORE_HOST=label-studio") && said.contains("`reviewed`"), "{name}: {said}");
    }
}
