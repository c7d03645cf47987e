//! The tasks and annotations that both sides export.

use serde_json::{Value, json};

use super::super::Twins;

/// IDs of a project's tasks, and of all of their annotations.
pub(super) struct Content {
    pub(super) project: i64,
    pub(super) tasks: Vec<i64>,
    pub(super) annotations: Vec<i64>,
}

/// Tasks as Label Studio imports them, each of another kind.
fn tasks() -> Value {
    let region = |choice: &str| json!({"id": "r1", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [choice]}});
    let data = |name: &str| json!({"image": format!("s3://x/{name}.jpg"), "name": name});
    json!([
        {"data": {"image": "s3://x/Grün 😀.jpg", "text": "\"\\ /\u{7f}\u{1}\n\u{2028}é"},
         "annotations": [{"result": [region("größe")], "lead_time": 2.5}]},
        {"data": data("skipped"), "annotations": [{"result": [], "was_cancelled": true}]},
        {"data": data("truth"), "annotations": [{"result": [region("cat")], "ground_truth": true, "lead_time": 4.0}]},
        {"data": data("empty"), "annotations": [{"result": []}]},
        {"data": data("of a deleted user"), "annotations": [{"result": [region("dog")]}]},
        {"data": data("two"), "annotations": [{"result": [region("cat")]}, {"result": [region("dog"), region("cat")]}]},
        {"data": data("predicted"), "annotations": [{"result": [region("cat")]}],
         "predictions": [{"result": [region("cat")], "score": 0.5, "model_version": "v1"}, {"result": []}]},
        {"data": data("drafts"), "annotations": [{"result": [region("cat")]}]},
        {"data": data("comments"), "annotations": [{"result": [region("cat")]}]},
        {"data": data("blob"), "annotations": [{"result": [region("cat")]}]},
        {"data": data("uploaded"), "annotations": [{"result": [region("cat")]}]},
        {"data": data("nulls"), "annotations": [{"result": [region("cat")]}]},
        {"data": {"image": "numbers", "n": [1.50, 1e2, 12_345_678_901_234_567_890_u64, 0.1, 1e-7, -0.0, 1e21, true]},
         "annotations": [{"result": [{"value": {"x": 33.333_333_333_333_336, "n": 1}}], "lead_time": 0.1}]},
        {"data": data("imported"), "annotations": [{"result": [region("cat")]}]},
        {"data": data("none")},
        {"data": {"image": "i", "deep": {"a": [[], {}, [[1, []]]], "b": {"c": {"d": null}}}},
         "annotations": [{"result": [{"value": {"points": [[1, 2], [3, 4]], "empty": {}, "list": []}}]}]},
    ])
}

impl Twins {
    /// A project with tasks of all kinds. Label Studio's API makes what it can; its tables get the rest.
    pub(super) async fn content(&self) -> Content {
        let project = self.studio.project(super::super::CONFIG).await;
        self.studio.send("POST", &format!("/api/projects/{project}/import"), Some(&tasks())).await;
        let names = json!({"first_name": "Zoë", "last_name": "Müller"});
        self.studio.send("PATCH", "/api/users/1/", Some(&names)).await;
        let db = self.rig.database().await;
        let user = "INSERT INTO public.htx_user
            SELECT (jsonb_populate_record(NULL::public.htx_user, to_jsonb(u) || jsonb_build_object('id', nextval(
                   pg_get_serial_sequence('public.htx_user', 'id')), 'email', $1::text, 'username', $1::text,
                   'first_name', 'Ann', 'last_name', ''))).* FROM public.htx_user u WHERE id = 1 RETURNING id::bigint";
        let second: i64 = db.query_one(user, &[&format!("ann-{project}@example.com")]).await.expect("a user").get(0);
        let deleted: i64 = db.query_one(user, &[&format!("gone-{project}@example.com")]).await.expect("a user").get(0);
        let ids =
            |table: &str| format!("SELECT id::bigint FROM public.{table} WHERE project_id = {project} ORDER BY id");
        let read = async |table: &str| -> Vec<i64> {
            db.query(&ids(table), &[]).await.expect("IDs").iter().map(|row| row.get(0)).collect()
        };
        let (tasks, annotations) = (read("task").await, read("task_completion").await);
        let [_, _, _, _, of_deleted, two, .., imported, _] = annotations[..] else { panic!("annotations") };
        let [_, _, _, _, _, _, predicted, drafts, comments, blob, uploaded, nulls, ..] = tasks[..] else {
            panic!("tasks")
        };
        // The oldest version lacks some columns.
        let has = async |column: &str| {
            let text = "SELECT count(*) FROM information_schema.columns
                         WHERE table_schema = 'public' AND table_name = 'task' AND column_name = $1";
            db.query_one(text, &[&column]).await.expect("columns").get::<_, i64>(0) > 0
        };
        let agreement = if has("precomputed_agreement").await { ", precomputed_agreement = 0.25" } else { "" };
        let skip = if has("allow_skip").await { ", allow_skip = NULL" } else { "" };
        db.batch_execute(&format!(
            "SET search_path = public;
             UPDATE task_completion SET completed_by_id = {second} WHERE id = {two};
             UPDATE task_completion SET completed_by_id = {deleted} WHERE id = {of_deleted};
             UPDATE task_completion SET parent_prediction_id = (SELECT min(id) FROM prediction WHERE task_id = {predicted})
              WHERE task_id = {predicted};
             INSERT INTO tasks_annotationdraft (result, created_at, updated_at, task_id, user_id, was_postponed)
             VALUES ('[]', now(), now(), {drafts}, 1, false), ('[]', now(), now(), {drafts}, {second}, true);
             UPDATE task_completion SET draft_created_at = '2026-01-02 03:04:05+00' WHERE task_id = {drafts};
             INSERT INTO task_comment_authors (task_id, user_id) VALUES ({comments}, {second}), ({comments}, 1);
             UPDATE task SET comment_count = 3, unresolved_comment_count = 2, last_comment_updated_at = now(),
                    updated_by_id = {second}{agreement} WHERE id = {comments};
             UPDATE task SET data = '{{\"$undefined$\": \"s3://x/blob.jpg\"}}' WHERE id = {blob};
             WITH file AS (INSERT INTO data_import_fileupload (file, project_id, user_id)
                           VALUES ('upload/{project}/8f-täsks.json', {project}, 1) RETURNING id)
             UPDATE task SET file_upload_id = (SELECT id FROM file) WHERE id = {uploaded};
             UPDATE task SET meta = NULL{skip}, inner_id = NULL, updated_by_id = NULL, overlap = 3
              WHERE id = {nulls};
             UPDATE task_completion SET result = NULL, unique_id = NULL, prediction = NULL, bulk_created = NULL
              WHERE task_id = {nulls};
             UPDATE task_completion SET import_id = 12345678901, last_action = 'fixed_and_accepted',
                    parent_annotation_id = {two}, last_created_by_id = {second}, updated_by_id = {second},
                    bulk_created = true, prediction = '{{\"id\": 7}}' WHERE id = {imported};"
        ))
        .await
        .expect("changes of the tables");
        let member = format!(
            "INSERT INTO public.organizations_organizationmember (created_at, updated_at, organization_id, user_id)
             SELECT now(), now(), organization_id, {deleted} FROM public.project WHERE id = {project}"
        );
        db.batch_execute(&member).await.expect("a member");
        // Its annotations stay, without a user.
        self.studio.send("DELETE", &format!("/api/users/{deleted}/"), None).await;
        Content { project, tasks, annotations }
    }

    /// Changes of all kinds between two exports. They are made in the tables: when an annotation changes, Label Studio's
    /// API exports it to the storages of both sides.
    pub(super) async fn change(&self, content: &Content) {
        let [first, second, third, fourth, ..] = content.annotations[..] else { panic!("annotations") };
        let (project, unannotated) = (content.project, content.tasks[14]);
        self.rig
            .database()
            .await
            .batch_execute(&format!(
                "SET search_path = public;
                 UPDATE task_completion SET result = '[{{\"value\": {{\"text\": [\"später\"]}}}}]', result_count = 1,
                        updated_at = now() WHERE id = {first};
                 UPDATE task_completion SET was_cancelled = NOT was_cancelled, updated_at = now() WHERE id = {second};
                 UPDATE task SET data = data || '{{\"more\": 1}}', updated_at = now()
                  WHERE id = (SELECT task_id FROM task_completion WHERE id = {third});
                 UPDATE htx_user SET last_name = 'Meier' WHERE id = 1;
                 INSERT INTO task_completion (result, was_cancelled, ground_truth, created_at, updated_at, task_id,
                        result_count, project_id, completed_by_id, bulk_created)
                 VALUES ('[]', false, false, now(), now(), {unannotated}, 0, {project}, 1, false);
                 DELETE FROM io_storages_s3exportstoragelink WHERE annotation_id = {fourth};
                 DELETE FROM task_completion WHERE id = {fourth};"
            ))
            .await
            .expect("changes of the tables");
    }
}
