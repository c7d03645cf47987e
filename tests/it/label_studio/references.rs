//! Objects whose annotations name users, parents and unique IDs. Label Studio checks these at the commit only.

use longshore_rig::rig::until;
use serde_json::json;

use super::items::{annotated, predicted, put};
use super::{Twin, Twins};

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// The warnings of all syncs so far, as `code items`.
async fn warnings(twins: &Twins) -> Vec<String> {
    let text = "SELECT code || ' ' || sum(items) FROM job_warnings GROUP BY code ORDER BY code";
    twins.rig.database().await.query(text, &[]).await.expect("rows").iter().map(|row| row.get(0)).collect()
}

async fn ids(twins: &Twins, table: &str, twin: &Twin) -> Vec<i32> {
    let text = format!("SELECT id FROM public.{table} WHERE project_id = $1 ORDER BY id");
    let project = i32::try_from(twin.project).expect("an ID");
    let rows = twins.rig.database().await.query(&text, &[&project]).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Goal: no object is lost for a reference to another installation. Method: one sync with good and bad references, and a
/// second one, of another storage, that finds the unique ID taken.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_unknown_user_or_parent_or_a_doubled_unique_id_is_left_out_with_a_warning() {
    let twins = Twins::start().await;
    let parents = r#"{"data": {"image": "i"}, "annotations": [{"result": []}], "predictions": [{"result": []}]}"#;
    put(&twins, "parents", &[parents.to_owned()]);
    let first = twins.import("parents", json!({})).await;
    twins.sync_ours(&first).await;
    let (annotation, prediction) =
        (ids(&twins, "task_completion", &first).await[0], ids(&twins, "prediction", &first).await[0]);
    let named = |name: &str, value: &str| annotated(&format!(r#"{{"result": [], "{name}": {value}}}"#));
    let id = format!("\"{ID}\"");
    let (known, next) = (annotation.to_string(), (annotation + 1_000).to_string());
    put(
        &twins,
        "named",
        &[
            annotated(&format!(
                r#"{{"result": [], "parent_annotation": {known}, "parent_prediction": {prediction}, "last_created_by": 1}}"#
            )),
            named("completed_by", "999"),
            named("last_created_by", "998"),
            named("parent_annotation", &next),
            named("parent_prediction", &next),
            named("unique_id", &id),
            named("unique_id", &id),
            annotated(&format!(
                r#"{{"result": [], "unique_id": "00000000000040008000000000000002"}}, {{"result": [], "unique_id": "{}"}}"#,
                ID.replace("01", "02")
            )),
            named("completed_by", "3000000000"),
            predicted(r#"{"result": [], "model": 99}, {"result": [], "model_run": 98}"#),
        ],
    );
    let twin = twins.import("named", json!({})).await;
    let storage = twins.sync_ours(&twin).await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(10)), "{storage}");
    assert_eq!(warnings(&twins).await, ["annotator_unknown 2", "reference_ignored 4", "unique_id_ignored 2"]);
    let row = "SELECT count(*) FILTER (WHERE parent_annotation_id = $1 AND parent_prediction_id = $2 AND last_created_by_id = 1),
                      count(*) FILTER (WHERE unique_id = $4), count(*) FILTER (WHERE completed_by_id IS NOT NULL), count(*)
                 FROM public.task_completion WHERE project_id = $3";
    let project = i32::try_from(twin.project).expect("an ID");
    let unique: uuid::Uuid = ID.parse().expect("a UUID");
    let found = twins.rig.database().await.query_one(row, &[&annotation, &prediction, &project, &unique]).await;
    let found = found.expect("counts");
    assert_eq!([0, 1, 2, 3].map(|column| found.get::<_, i64>(column)), [1, 1, 0, 10]);

    put(&twins, "again", &[named("unique_id", &id), named("completed_by", "1")]);
    let again = twins.import("again", json!({})).await;
    let storage = twins.sync_ours(&again).await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(2)), "{storage}");
    assert_eq!(warnings(&twins).await, ["annotator_unknown 2", "reference_ignored 4", "unique_id_ignored 3"]);
}

/// Goal: an address is matched with the members of the project's organization alone. Method: one of each.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_annotator_is_found_by_the_address_of_a_member_past_or_present() {
    let twins = Twins::start().await;
    let db = twins.rig.database().await;
    for (id, email) in
        [(71, "member@example.com"), (72, "past@example.com"), (73, "stranger@example.com"), (74, "Old@example.com")]
    {
        let user = format!(
            "INSERT INTO public.htx_user SELECT (jsonb_populate_record(u, '{{\"id\": {id}, \"username\": \"{email}\", \"email\": \"{email}\"}}')).*
               FROM public.htx_user u WHERE id = 1"
        );
        db.batch_execute(&user).await.expect("a user");
    }
    db.batch_execute(
        "INSERT INTO public.organizations_organizationmember (created_at, updated_at, organization_id, user_id, deleted_at)
         SELECT now(), now(), organization_id, new, CASE new WHEN 72 THEN now() END
           FROM public.organizations_organizationmember, unnest(ARRAY[71, 72, 74]) AS new WHERE user_id = 1",
    )
    .await
    .expect("members");
    let named = |user: &str| annotated(&format!(r#"{{"result": [], "completed_by": {user}}}"#));
    let users = [
        r#""member@example.com""#,
        r#"{"id": 1, "email": "Member@Example.com"}"#,
        r#"{"email": "past@example.com", "first_name": "P"}"#,
        r#"{"email": "stranger@example.com", "id": 1}"#,
        r#""unknown@example.com""#,
        r#""Old@example.com""#,
    ];
    put(&twins, "addresses", &users.map(named));
    let twin = twins.import("addresses", json!({})).await;
    let storage = twins.sync_ours(&twin).await;
    assert_eq!((&storage["status"], &storage["last_sync_count"]), (&json!("completed"), &json!(6)), "{storage}");
    let text = "SELECT a.completed_by_id FROM public.task_completion a JOIN public.io_storages_s3importstoragelink l
                    ON l.task_id = a.task_id WHERE a.project_id = $1 ORDER BY l.key";
    let rows = db.query(text, &[&i32::try_from(twin.project).expect("an ID")]).await.expect("rows");
    let found: Vec<Option<i32>> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(found, [Some(71), Some(71), Some(72), None, None, Some(74)]);
    assert_eq!(warnings(&twins).await, ["annotator_unknown 2"]);
}

/// Goal: what changes between the look-up and the commit costs nothing else. Method: another transaction takes the
/// unique ID and deletes a user, and commits when the page waits for it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_reference_that_breaks_during_the_commit_is_left_out_with_a_warning() {
    let twins = Twins::start().await;
    let user = "INSERT INTO public.htx_user SELECT (jsonb_populate_record(u, '{\"id\": 77, \"username\": \"x\", \"email\": \"x@example.com\"}')).*
                  FROM public.htx_user u WHERE id = 1";
    let annotation = format!(
        "INSERT INTO public.task_completion (was_cancelled, ground_truth, created_at, updated_at, result_count, unique_id)
         VALUES (false, false, now(), now(), 0, '{ID}')"
    );
    let backend = "INSERT INTO public.ml_mlbackend (id, project_id, is_interactive, timeout, auto_update, created_at, updated_at,
                       url, state, auth_method)
                   SELECT 78, min(id), false, 1, false, now(), now(), 'http://127.0.0.1', 'CO', 'NONE' FROM public.project";
    for (bucket, prepare, change, text, warning) in [
        (
            "taken",
            "SELECT 1",
            &*annotation,
            annotated(&format!(r#"{{"result": [], "unique_id": "{ID}"}}"#)),
            "unique_id_ignored 1",
        ),
        (
            "gone",
            user,
            "DELETE FROM public.htx_user WHERE id = 77",
            annotated(r#"{"result": [], "completed_by": 77}"#),
            "annotator_unknown 1",
        ),
        (
            "model",
            backend,
            "DELETE FROM public.ml_mlbackend WHERE id = 78",
            predicted(r#"{"result": [], "model": 78}"#),
            "reference_ignored 1",
        ),
    ] {
        let mut db = twins.rig.database().await;
        db.batch_execute(prepare).await.expect("a row");
        put(&twins, bucket, &[annotated(r#"{"result": [], "completed_by": 1}"#), text]);
        let twin = twins.import(bucket, json!({})).await;
        let tx = db.transaction().await.expect("a transaction");
        tx.batch_execute(change).await.expect("a change");
        let (storage, ()) = tokio::join!(twins.sync_ours(&twin), async {
            let watcher = twins.rig.database().await;
            until("the page waits for the change", async || {
                let text = "SELECT count(*) FROM pg_stat_activity
                             WHERE datname = current_database() AND wait_event_type = 'Lock'";
                let waits: i64 = watcher.query_one(text, &[]).await.expect("a count").get(0);
                (waits > 0).then_some(())
            })
            .await;
            tx.commit().await.expect("a commit");
        });
        assert_eq!(
            (&storage["status"], &storage["last_sync_count"]),
            (&json!("completed"), &json!(2)),
            "{bucket}: {storage}"
        );
        let seen = warnings(&twins).await;
        assert!(seen.contains(&warning.to_owned()), "{warning}: {seen:?}");
        // A failed attempt would be repeated, and then find it.
        let failed = "SELECT count(*) FROM jobs WHERE attempt > 1 OR failures > 0";
        let failed: i64 = db.query_one(failed, &[]).await.expect("jobs").get(0);
        assert_eq!(failed, 0, "{bucket}: one attempt finds the object");
    }
}
