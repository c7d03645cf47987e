//! The loops for the effects of imports, on the tables of Label Studio. No Label Studio runs: rows are written here.

use std::collections::BTreeMap;

use longshore_db::host::label_studio::{Cohort, deliver_batch, due_effects, end_effects};
use longshore_rig::rig::{Rig, until};
use tokio_postgres::Client;

/// Inserts a row with these values, and zeros in the other columns that must not be null. Returns its ID.
async fn insert(db: &Client, table: &str, values: &[(&str, String)]) -> i64 {
    let columns = "SELECT column_name, data_type FROM information_schema.columns
                    WHERE table_schema = 'public' AND table_name = $1 AND is_nullable = 'NO' AND column_default IS NULL
                      AND is_identity = 'NO' AND is_generated = 'NEVER'";
    let mut row = BTreeMap::new();
    for column in db.query(columns, &[&table]).await.expect("columns") {
        let zero = match column.get("data_type") {
            "jsonb" => "'{}'",
            "boolean" => "false",
            "timestamp with time zone" => "now()",
            "integer" | "bigint" | "smallint" => "0",
            _ => "''",
        };
        row.insert(column.get::<_, String>("column_name"), zero.to_owned());
    }
    row.extend(values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let (names, values): (Vec<String>, Vec<String>) = row.into_iter().unzip();
    let (names, values) = (names.join(", "), values.join(", "));
    let text = format!("INSERT INTO public.{table} ({names}) VALUES ({values}) RETURNING id::bigint");
    db.query_one(&text, &[]).await.expect("a row").get(0)
}

/// A project of Label Studio. Half of its tasks get two annotations if it has a cohort.
async fn project(db: &Client, has_cohort: bool) -> i64 {
    let organization: i32 =
        db.query_one("SELECT id FROM public.organization", &[]).await.expect("an organization").get(0);
    let (most, percentage) = if has_cohort { (2, 50) } else { (1, 100) };
    let values = [
        ("organization_id", organization.to_string()),
        ("maximum_annotations", most.to_string()),
        ("overlap_cohort_percentage", percentage.to_string()),
    ];
    insert(db, "project", &values).await
}

/// An ended import into the project whose effects or exports are due.
async fn ended(db: &Client, project: i64, due: &str) -> i64 {
    let text = format!(
        "WITH p AS (INSERT INTO projects (id, title) VALUES ($1, '') ON CONFLICT (id) DO UPDATE SET title = '' RETURNING id),
              s AS (INSERT INTO storages (project_id, kind, direction, settings, host_id)
                    SELECT id, 's3', 'import', '{{}}', 1000 + (SELECT count(*) FROM syncs) FROM p RETURNING id)
         INSERT INTO syncs (storage_id, project_id, status, requested_by, started_at, finished_at, {due})
         SELECT id, $1, 'completed', 'api', now(), now(), true FROM s RETURNING id"
    );
    db.query_one(&text, &[&project]).await.expect("a sync").get(0)
}

/// Waits until nothing is due of a sync.
async fn until_done(db: &Client, sync: i64) {
    until("the effects are done", async || {
        let left = "SELECT effects_due OR exports_due FROM syncs WHERE id = $1";
        (!db.query_one(left, &[&sync]).await.expect("a sync").get::<_, bool>(0)).then_some(())
    })
    .await;
}

async fn start(schedulers: usize) -> Rig {
    let mut rig = Rig::with()
        .label_studio()
        .env("LONGSHORE_LABEL_STUDIO_URL", "http://127.0.0.1:9")
        .workers(0)
        .schedulers(1)
        .start()
        .await;
    if schedulers == 0 {
        // It made the schema.
        rig.schedulers.remove(0).process.kill().await.expect("killed");
    }
    rig
}

/// Goal: no webhook misses a task. Method: the end of a sync while the loop makes a whole delivery of its tasks.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs Label Studio: make test-label-studio"]
async fn the_end_of_a_sync_loses_no_task_while_another_delivery_is_made() {
    let rig = start(0).await;
    let db = rig.database().await;
    let project = project(&db, false).await;
    let organization = db.query_one("SELECT id FROM public.organization", &[]).await.expect("an organization");
    let organization = organization.get::<_, i32>(0).to_string();
    let values =
        [("organization_id", organization), ("is_active", "true".into()), ("send_for_all_actions", "true".into())];
    insert(&db, "webhook", &values).await;
    let sync = ended(&db, project, "effects_due").await;
    for page in 0..7 {
        let (first, last) = (page * 1_000 + 1, (page + 1) * 1_000);
        let text = "INSERT INTO host_created_tasks (sync_id, project_id, first_ids, last_ids, tasks, annotations)
                    VALUES ($1, $2, ARRAY[$3::int], ARRAY[$4::int], 1000, 0)";
        db.execute(text, &[&sync, &project, &first, &last]).await.expect("a page");
    }
    let pool = rig.pool();
    let due = due_effects(&pool.client().await.expect("a connection"), Cohort::Without, 0).await.expect("syncs");
    assert_eq!(due.iter().map(|due| due.sync_id).collect::<Vec<_>>(), [sync]);

    let held = rig.freeze("SELECT 1 FROM host_created_tasks ORDER BY id LIMIT 1 FOR UPDATE").await;
    let batch = tokio::spawn({
        let mut client = pool.client().await.expect("a connection");
        async move { deliver_batch(&mut client, sync).await }
    });
    held.reached("DELETE FROM host_created_tasks").await;
    let end = tokio::spawn({
        let mut client = pool.client().await.expect("a connection");
        async move { end_effects(&mut client, &due[0]).await }
    });
    // Whatever the second one waits for.
    held.reached_by("", 2).await;
    held.release().await;
    batch.await.expect("no panic").expect("a delivery");
    assert!(end.await.expect("no panic").expect("the end"));

    let rows = db.query("SELECT first_ids, last_ids FROM webhook_deliveries ORDER BY id", &[]).await.expect("rows");
    let runs: Vec<(Vec<i32>, Vec<i32>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(runs, [(vec![1], vec![5_000]), (vec![5_001], vec![7_000])]);
    let left = db.query_one("SELECT count(*) FROM host_created_tasks", &[]).await.expect("a table");
    assert_eq!(left.get::<_, i64>(0), 0);
}

/// Goal: a storage with values that Longshore cannot read stops no other project. Method: an export storage without bucket.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs Label Studio: make test-label-studio"]
async fn an_unreadable_export_storage_holds_up_no_other_export() {
    let rig = start(1).await;
    let db = rig.database().await;
    let (broken, other) = (project(&db, false).await, project(&db, false).await);
    let values = [("project_id", broken.to_string()), ("bucket", "NULL".to_owned())];
    insert(&db, "io_storages_s3exportstorage", &values).await;
    let syncs = [ended(&db, broken, "exports_due").await, ended(&db, other, "exports_due").await];
    for sync in syncs {
        until_done(&db, sync).await;
    }
    assert!(rig.logs().contains("following_export_refused"), "no event");
}

/// Goal: one project cannot stop the ends of others, and its own sync ends, too. Method: a trigger refuses its tasks.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs Label Studio: make test-label-studio"]
async fn a_cohort_that_cannot_be_arranged_is_given_up_and_holds_up_no_other() {
    let rig = start(1).await;
    let db = rig.database().await;
    let (broken, other) = (project(&db, true).await, project(&db, true).await);
    for project in [broken, other] {
        for _ in 0..2 {
            insert(&db, "task", &[("project_id", project.to_string()), ("overlap", "2".to_owned())]).await;
        }
    }
    db.batch_execute(&format!(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END';
         CREATE TRIGGER refuse BEFORE UPDATE ON public.task FOR EACH ROW WHEN (OLD.project_id = {broken})
                EXECUTE FUNCTION public.refuse()"
    ))
    .await
    .expect("a trigger");
    let (first, second) = (ended(&db, broken, "effects_due").await, ended(&db, other, "effects_due").await);
    until_done(&db, second).await;
    until_done(&db, first).await;
    assert!(rig.logs().contains(r#""event":"cohort_given_up""#), "no event");
}
