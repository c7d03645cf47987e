//! Objects whose annotations name users, parents and unique IDs. Label Studio checks these at the commit only.

use longshore_rig::rig::{rows, until};
use serde_json::{Value, json};

use super::items::{annotated, predicted, put};
use super::{Twin, Twins};

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// The keys in quarantine, each with its detail.
async fn quarantined(twins: &Twins) -> Vec<(String, String)> {
    let quarantine = twins.rig.get("/api/quarantine").await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = rows(&quarantine).iter().map(|row| (text(&row["key"]), text(&row["detail"]))).collect();
    found.sort_unstable();
    found
}

async fn ids(twins: &Twins, table: &str, twin: &Twin) -> Vec<i32> {
    let text = format!("SELECT id FROM public.{table} WHERE project_id = $1 ORDER BY id");
    let project = i32::try_from(twin.project).expect("an ID");
    let rows = twins.rig.database().await.query(&text, &[&project]).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Goal: one sync that adds an annotation for each good reference, and a second one, of another storage, that finds the
/// unique ID taken.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn an_unknown_user_or_parent_or_a_doubled_unique_id_quarantines_its_object_alone() {
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
                r#"{{"parent_annotation": {known}, "parent_prediction": {prediction}, "last_created_by": 1}}"#
            )),
            named("completed_by", "999"),
            named("last_created_by", "998"),
            named("parent_annotation", &next),
            named("parent_prediction", &next),
            named("unique_id", &id),
            named("unique_id", &id),
            annotated(&format!(
                r#"{{"unique_id": "00000000000040008000000000000002"}}, {{"unique_id": "{}"}}"#,
                ID.replace("01", "02")
            )),
            named("completed_by", "3000000000"),
        ],
    );
    let twin = twins.import("named", json!({})).await;
    let storage = twins.sync_ours(&twin).await;
    assert_eq!(
        (&storage["status"], &storage["last_sync_count"]),
        (&json!("completed_with_errors"), &json!(2)),
        "{storage}"
    );
    let faults = quarantined(&twins).await;
    let expected = [
        ("001", "names user 999, which"),
        ("002", "names user 998, which"),
        ("003", &*format!("names annotation {next}, which")),
        ("004", &*format!("names prediction {next}, which")),
        ("006", &*format!("\"unique_id\" {ID}, which")),
        ("007", "0002, which another annotation has"),
        ("008", "names user 3000000000, which"),
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for ((key, detail), (number, value)) in faults.iter().zip(expected) {
        assert!(key.starts_with(number) && detail.contains(value), "{number} {value}: {key} {detail}");
    }
    let row =
        "SELECT count(*) FROM public.task_completion WHERE parent_annotation_id = $1 AND parent_prediction_id = $2
                  AND last_created_by_id = 1";
    let found = twins.rig.database().await.query_one(row, &[&annotation, &prediction]).await.expect("a count");
    assert_eq!(found.get::<_, i64>(0), 1);

    put(&twins, "again", &[named("unique_id", &id), named("completed_by", "1")]);
    let again = twins.import("again", json!({})).await;
    let storage = twins.sync_ours(&again).await;
    assert_eq!(
        (&storage["status"], &storage["last_sync_count"]),
        (&json!("completed_with_errors"), &json!(1)),
        "{storage}"
    );
}

/// Goal: what changes between the look-up and the commit costs only its object. Method: another transaction takes the
/// unique ID and deletes a user, and commits when the page waits for it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn a_reference_that_breaks_during_the_commit_quarantines_its_object_alone() {
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
    for (bucket, prepare, change, text, value) in [
        ("taken", "SELECT 1", &*annotation, annotated(&format!(r#"{{"unique_id": "{ID}"}}"#)), ID),
        ("gone", user, "DELETE FROM public.htx_user WHERE id = 77", annotated(r#"{"completed_by": 77}"#), "77"),
        (
            "model",
            backend,
            "DELETE FROM public.ml_mlbackend WHERE id = 78",
            predicted(r#"{"result": [], "model": 78}"#),
            "78",
        ),
    ] {
        let mut db = twins.rig.database().await;
        db.batch_execute(prepare).await.expect("a row");
        put(&twins, bucket, &[annotated(r#"{"completed_by": 1}"#), text]);
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
            (&json!("completed_with_errors"), &json!(1)),
            "{bucket}: {storage}"
        );
        let faults = quarantined(&twins).await;
        assert!(faults.iter().any(|(key, detail)| key == "001.json" && detail.contains(value)), "{value}: {faults:?}");
        // A failed attempt would be repeated, and then find it.
        let failed = "SELECT count(*) FROM jobs WHERE attempt > 1 OR failures > 0";
        let failed: i64 = db.query_one(failed, &[]).await.expect("jobs").get(0);
        assert_eq!(failed, 0, "{bucket}: one attempt finds the object");
    }
}
