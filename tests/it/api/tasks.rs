//! Tasks and their annotations, as far as a client needs them around a sync.

use longshore_rig::rig::{Rig, rows};
use serde_json::{Value, json};

use super::{refused, text};

/// A rig with a project of five tasks from a storage. Returns the project and the IDs of the tasks.
async fn with_tasks() -> (Rig, i64, Vec<i64>) {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    rig.s3.create_bucket("pics");
    let storage = rig.import_storage(project, "pics", json!({})).await;
    let db = rig.database().await;
    let insert = "INSERT INTO tasks (project_id, data, storage_id, storage_key, total_predictions)
                  SELECT $1, jsonb_build_object('image', 's3://pics/' || n), $2, n || '.png', CASE n WHEN 1 THEN 2 ELSE 0 END
                    FROM generate_series(1, 5) n RETURNING id";
    let ids: Vec<i64> =
        db.query(insert, &[&project, &storage.id]).await.expect("tasks").iter().map(|row| row.get(0)).collect();
    let predictions = "INSERT INTO predictions (task_id, project_id, result, score, model_version)
                       VALUES ($1, $2, '[{\"x\": 1}]', 0.25, 'v1'), ($1, $2, '[]', 0.75, 'v2')";
    db.execute(predictions, &[&ids[0], &project]).await.expect("predictions");
    (rig, project, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_by_project_and_page() {
    let (rig, project, ids) = with_tasks().await;
    let page = rig.get(&format!("/api/tasks/?project={project}&page=2&page_size=2")).await;
    assert_eq!((&page["total"], &page["total_predictions"]), (&json!(5), &json!(2)));
    assert_eq!(page["total_annotations"], 0);
    let shown: Vec<&Value> = rows(&page).iter().map(|task| &task["id"]).collect();
    assert_eq!(shown, [ids[2], ids[3]]);
    assert!(rows(&page)[0].get("annotations").is_none(), "only with fields=all");
    let full = rig.get(&format!("/api/tasks?project={project}&fields=all&page_size=1")).await;
    assert_eq!(rows(&full)[0]["predictions"].as_array().map(Vec::len), Some(2));
    assert_eq!(rows(&full)[0]["annotations"], json!([]));

    for page in ["4", "0", "-1", "9223372036854775807"] {
        let path = format!("/api/tasks?project={project}&page={page}&page_size=2");
        assert_eq!(refused(&rig, "GET", &path, None, 404, "invalid_page").await["detail"], "Invalid page.");
    }
    let path = "/api/tasks";
    let body = refused(&rig, "GET", path, None, 400, "missing_project").await;
    assert_eq!(body["detail"], "query parameter \"project\" is required");
    let empty = rig.project().await;
    assert_eq!(rig.get(&format!("/api/tasks?project={empty}&page=1")).await["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_in_order_use_cursors_and_large_totals_are_estimated() {
    let (rig, project, ids) = with_tasks().await;
    let page = async |query: String| {
        let list = rig.get(&format!("/api/tasks?project={project}&page_size=2&{query}")).await;
        let ids: Vec<i64> = rows(&list).iter().filter_map(|task| task["id"].as_i64()).collect();
        (ids, list)
    };
    assert_eq!(page(format!("after={}", ids[1])).await.0, ids[2..4]);
    assert_eq!(page(format!("after={}", ids[4])).await.0, [0_i64; 0], "an end, and no error");
    let (first, list) = page("page=1".to_owned()).await;
    assert_eq!((first.as_slice(), &list["totals_are_exact"]), (&ids[..2], &json!(true)));
    let db = rig.database().await;
    db.execute("DELETE FROM tasks WHERE id = $1", &[&ids[0]]).await.expect("a task goes");
    assert_eq!(page("page=2".to_owned()).await.0, ids[2..4], "counted off, the page would begin with the fourth");

    let more = "INSERT INTO tasks (project_id, data) SELECT $1, '{}' FROM generate_series(1, 12000)";
    db.execute(more, &[&project]).await.expect("tasks");
    db.batch_execute("ANALYZE tasks").await.expect("statistics");
    let list = page("page=1".to_owned()).await.1;
    let total = list["total"].as_i64().expect("a number");
    assert!((11_900..12_100).contains(&total) && list["totals_are_exact"] == false, "{total}");
    assert_eq!(page("page=6002".to_owned()).await.0.len(), 2, "the last page");
    refused(&rig, "GET", &format!("/api/tasks?project={project}&page=6003&page_size=2"), None, 404, "invalid_page")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_label_studios_fields_in_their_order() {
    let (rig, project, ids) = with_tasks().await;
    let id = ids[0];
    let (status, shown) = text(&rig, "GET", &format!("/api/tasks/{id}/?resolve_uri=false"), None).await;
    let task: Value = serde_json::from_str(&shown).expect("JSON");
    let (time, predictions) = (&task["created_at"], &task["predictions"]);
    let prediction = |index: usize, result: &str, score: &str, version: &str| {
        format!(
            r#"{{"id":{},"task":{id},"project":{project},"result":{result},"score":{score},"model_version":"{version}","created_at":{},"updated_at":{}}}"#,
            predictions[index]["id"], predictions[index]["created_at"], predictions[index]["updated_at"]
        )
    };
    let predictions = [prediction(0, r#"[{"x": 1}]"#, "0.25", "v1"), prediction(1, "[]", "0.75", "v2")].join(",");
    let expected = format!(
        r#"{{"id":{id},"predictions":[{predictions}],"annotations":[],"drafts":[],"annotators":[],"inner_id":null,"cancelled_annotations":0,"total_annotations":0,"total_predictions":2,"completed_at":null,"annotations_results":"","predictions_results":"","predictions_score":0.5,"file_upload":null,"storage_filename":"1.png","annotations_ids":"","predictions_model_versions":"v1,v2","avg_lead_time":null,"draft_exists":false,"updated_by":[],"data":{{"image": "s3://pics/1"}},"meta":{{}},"created_at":{time},"updated_at":{time},"is_labeled":false,"overlap":1,"comment_count":0,"unresolved_comment_count":0,"last_comment_updated_at":null,"project":{project},"comment_authors":[]}}"#
    );
    assert_eq!((status, shown), (200, expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_are_written_and_their_task_counts_them() {
    let (rig, project, ids) = with_tasks().await;
    let task = ids[0];
    let of_task = format!("/api/tasks/{task}/annotations/");
    let counted = async |done: i64, cancelled: i64, labeled: bool| {
        let shown = rig.get(&format!("/api/tasks/{task}")).await;
        assert_eq!((&shown["total_annotations"], &shown["cancelled_annotations"]), (&json!(done), &json!(cancelled)));
        assert_eq!(shown["is_labeled"], labeled);
        let all = rig.get(&format!("/api/tasks?project={project}")).await;
        assert_eq!(all["total_annotations"], done);
        shown
    };
    let regions = json!([{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["a"]}}]);
    let new = json!({"result": regions, "lead_time": 2.5, "completed_by": 7, "ground_truth": true});
    let first = rig.post(&of_task, new).await;
    assert_eq!((&first["task"], &first["project"], &first["result"]), (&json!(task), &json!(project), &regions));
    assert_eq!((&first["lead_time"], &first["was_cancelled"]), (&json!(2.5), &json!(false)));
    let shown = counted(1, 0, true).await;
    assert_eq!((&shown["annotators"], &shown["annotations_ids"]), (&json!([7]), &json!(first["id"].to_string())));
    assert_eq!(shown["annotations"], json!([first]));
    assert_eq!(rig.get(&of_task).await, json!([first]));

    let skipped = rig.post(&of_task, json!({"result": [], "was_cancelled": true})).await;
    counted(1, 1, true).await;
    let path = format!("/api/annotations/{}", first["id"]);
    let patched = rig.call("PATCH", &path, Some(json!({"was_cancelled": true, "lead_time": null}))).await;
    assert_eq!((patched.0, &patched.1["result"]), (200, &regions), "what is not sent stays");
    assert_eq!((&patched.1["lead_time"], &patched.1["completed_by"]), (&Value::Null, &json!(7)));
    assert_ne!(patched.1["updated_at"], first["updated_at"]);
    assert_eq!(rig.get(&path).await, patched.1);
    counted(0, 2, false).await;

    assert_eq!(text(&rig, "DELETE", &path, None).await, (204, String::new()));
    refused(&rig, "DELETE", &path, None, 404, "not_found").await;
    counted(0, 1, false).await;
    assert_eq!(rig.call("DELETE", &format!("/api/annotations/{}/", skipped["id"]), None).await.0, 204);
    counted(0, 0, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_that_the_database_could_not_hold_is_refused() {
    let (rig, _, ids) = with_tasks().await;
    let of_task = format!("/api/tasks/{}/annotations", ids[0]);
    let cases = [
        (json!({}), "This field is required."),
        (json!({"result": {"a": 1}}), "Expected a list of regions."),
        (json!({"result": [{"text": "a\u{0}b"}]}), "Null characters are not allowed."),
    ];
    for (sent, message) in cases {
        let body = refused(&rig, "POST", &of_task, Some(sent), 400, "validation_error").await;
        assert_eq!(body["validation_errors"], json!({"result": [message]}));
    }
    let number = format!("{{\"result\": [1e{}]}}", 200_000);
    let request = rig.request("POST", &of_task).bearer_auth(rig.token());
    let request = request.header("content-type", "application/json").body(number);
    let (status, body) = longshore_rig::rig::send_json(request).await;
    assert_eq!((status, &body["code"]), (400, &json!("validation_error")), "{body}");
    assert_eq!(rig.get(&of_task).await, json!([]));
}
