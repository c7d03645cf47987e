//! Annotations that people change in Label Studio while Longshore adds an import to the summary.

use longshore_rig::rig::until;
use serde_json::{Value, json};

use super::OBJECTS;
use crate::label_studio::{Twin, Twins};

/// Objects of each round. Their annotations have the label `dog`.
const NEW: usize = 3;

/// A change through Label Studio's API: method, path and body.
type Change = (&'static str, String, Option<Value>);

fn region(label: &str) -> Value {
    json!({"id": "r", "from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}})
}

impl Twins {
    /// The IDs of tasks, and of their first annotations, in the order of the tasks.
    async fn annotated_tasks(&self, twin: &Twin) -> Vec<(i64, Option<i64>)> {
        let text =
            "SELECT t.id::bigint, (SELECT min(a.id)::bigint FROM public.task_completion a WHERE a.task_id = t.id)
                      FROM public.task t WHERE t.project_id = $1::bigint ORDER BY t.inner_id";
        let rows = self.rig.database().await.query(text, &[&twin.project]).await.expect("tasks");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// What the rows of a project amount to: the counts of the summary, and the tasks whose own counters are wrong.
    async fn recounted(&self, twin: &Twin) -> (Value, Vec<i64>) {
        let db = self.rig.database().await;
        let text = "
            WITH regions AS (
                SELECT concat_ws('|', region ->> 'from_name', region ->> 'to_name', region ->> 'type') AS name,
                       region #>> '{value,choices,0}' AS label
                  FROM public.task_completion a CROSS JOIN jsonb_array_elements(a.result) each(region)
                 WHERE a.project_id = $1::bigint),
            columns AS (
                SELECT key, count(*) AS tasks FROM public.task t CROSS JOIN jsonb_object_keys(t.data) key
                 WHERE t.project_id = $1::bigint GROUP BY key),
            labels AS (SELECT label, count(*) AS regions FROM regions GROUP BY label)
            SELECT json_build_object(
                'common', (SELECT json_agg(key ORDER BY key) FROM columns WHERE tasks = (
                           SELECT count(*) FROM public.task WHERE project_id = $1::bigint)),
                'annotations', (SELECT json_object_agg(name, regions) FROM (
                                SELECT name, count(*) AS regions FROM regions GROUP BY name) each),
                'labels', json_build_object('label', (SELECT json_object_agg(label, regions) FROM labels)))::text";
        let summary: String = db.query_one(text, &[&twin.project]).await.expect("rows").get(0);
        let text = "
            SELECT t.id::bigint FROM public.task t CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE NOT was_cancelled) AS total, count(*) FILTER (WHERE was_cancelled) AS cancelled
                  FROM public.task_completion WHERE task_id = t.id) a
             WHERE t.project_id = $1::bigint AND (t.total_annotations, t.cancelled_annotations, t.is_labeled)
                   IS DISTINCT FROM (a.total, a.cancelled, a.total > 0)";
        let wrong = db.query(text, &[&twin.project]).await.expect("tasks");
        (serde_json::from_str(&summary).expect("JSON"), wrong.iter().map(|row| row.get(0)).collect())
    }

    /// Lets Label Studio read the summary while a fold has its lock, and write it back when the fold is committed.
    async fn change_during_a_fold(&self, twin: &Twin, (method, path, body): &Change) {
        let summary = self.rig.freeze("SELECT 1 FROM public.projects_projectsummary FOR UPDATE").await;
        self.request_sync(twin).await;
        summary.reached("SELECT all_data_columns").await;
        let commit = self.rig.freeze("LOCK TABLE host_projects IN SHARE MODE").await;
        summary.release().await;
        commit.reached("UPDATE host_projects SET summary_due_at").await;
        let folded = async {
            commit.reached("UPDATE \"projects_projectsummary\"").await;
            commit.release().await;
        };
        tokio::join!(self.studio.send(method, path, body.as_ref()), folded);
        self.until_ended(twin).await;
        self.until_folded().await;
    }
}

/// Goal: no annotation is counted twice or not at all. Method: before each change, an import is folded up to its commit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "starts Label Studio: make test-label-studio"]
async fn annotations_changed_in_label_studio_while_an_import_is_folded_are_counted_exactly() {
    let twins = Twins::start().await;
    let twin = twins.annotated("changed").await;
    // Their keys follow those of the others, and so do their tasks.
    twins.rig.s3.put_many("changed", (0..2).map(|n| (format!("plain{n}.json"), r#"{"image": "i", "text": "t"}"#)));
    twins.sync_ours(&twin).await;
    twins.until_folded().await;
    let tasks = twins.annotated_tasks(&twin).await;
    let annotation = |index: usize| format!("/api/annotations/{}/", tasks[index].1.expect("an annotation"));
    let annotations = |index: usize| format!("/api/tasks/{}/annotations/", tasks[index].0);
    let changes: [Change; 4] = [
        ("POST", annotations(OBJECTS), Some(json!({"result": [region("cat")], "lead_time": 1.5}))),
        ("PATCH", annotation(0), Some(json!({"result": [region("dog"), region("dog")]}))),
        ("DELETE", annotation(1), None),
        ("POST", annotations(OBJECTS + 1), Some(json!({"result": [region("cat")], "was_cancelled": true}))),
    ];
    let db = twins.rig.database().await;
    for (round, change) in changes.iter().enumerate() {
        let item = json!({"data": {"image": "i", "text": "t"}, "annotations": [{"result": [region("dog")], "completed_by": 1}]});
        twins.rig.s3.put_many("changed", (0..NEW).map(|n| (format!("round{round}-{n}.json"), item.to_string())));
        twins.change_during_a_fold(&twin, change).await;
        let (exact, wrong) = twins.recounted(&twin).await;
        assert_eq!(wrong, [0; 0], "tasks with wrong counters after {change:?}");
        until(&format!("the summary is {exact} after {change:?}"), async || {
            // Not to wait for the time of the comparisons.
            db.batch_execute("UPDATE host_projects SET summary_due_at = now() WHERE summary_due_at IS NOT NULL")
                .await
                .expect("due");
            let mut summary = twins.summary(&twin).await;
            // Label Studio itself counts the columns of a task again with each of its annotations.
            summary.as_object_mut().expect("an object").remove("all");
            (summary == exact).then_some(())
        })
        .await;
    }
    let rows = twins.rows(&twin).await;
    assert_eq!(rows["tasks"].as_array().map(Vec::len), Some(OBJECTS + 2 + changes.len() * NEW));
}
