//! Answers have a limit in bytes, and a row that cannot be shown does not affect others.

mod counted;
mod lists;
mod memory;

use longshore_rig::rig::{Rig, send_json};
use serde_json::{Value, json};

const MIB: usize = 1024 * 1024;

/// Maximum size of an answer in bytes: the limit for JSON, and the rest of a page of 1,000 rows.
const ANSWER: usize = 16 * MIB + 2 * MIB;

/// Inserts a task whose data is this SQL expression, and returns its ID.
pub(super) async fn insert(rig: &Rig, project: i64, data: &str) -> i64 {
    let text = format!("INSERT INTO tasks (project_id, data) VALUES ($1, ({data})::jsonb) RETURNING id");
    rig.database().await.query_one(&text, &[&project]).await.expect("a task").get(0)
}

/// Inserts an annotation whose result is this SQL expression, as a host or an older release may do.
pub(super) async fn annotate(rig: &Rig, task: i64, result: &str) -> i64 {
    let text = format!(
        "INSERT INTO annotations (task_id, project_id, result) SELECT id, project_id, ({result})::jsonb FROM tasks
          WHERE id = $1 RETURNING id"
    );
    rig.database().await.query_one(&text, &[&task]).await.expect("an annotation").get(0)
}

pub(super) const TEN_MEGABYTES: &str = "SELECT jsonb_build_object('text', repeat('x', 10000000))";

/// 80 kB of numbers that print as a gigabyte, and others that print as 130 MB: many digits before or after the point.
const WIDE: [&str; 2] = [
    "SELECT '{\"a\": [' || string_agg('1e131071', ',') || ']}' FROM generate_series(1, 8000)",
    "SELECT '{\"a\": [' || string_agg('0e-16383', ',') || ']}' FROM generate_series(1, 8000)",
];

/// The answer to a request as text, and the URL of the next page.
async fn asked(rig: &Rig, path: &str) -> (u16, String, Option<String>) {
    let answer = rig.request("GET", path).bearer_auth(rig.token()).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let next = answer.headers().get("link").map(|link| {
        let link = link.to_str().expect("a plain link");
        link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a next link").to_owned()
    });
    (status, answer.text().await.expect("a whole answer"), next)
}

/// The same as JSON; checks that it succeeded and is not too long.
async fn shown(rig: &Rig, path: &str) -> (Value, Option<String>) {
    let (status, text, next) = asked(rig, path).await;
    assert_eq!(status, 200, "{path}: {}", &text[..text.len().min(500)]);
    assert!(text.len() <= ANSWER, "{path}: {} bytes", text.len());
    (serde_json::from_str(&text).expect("JSON"), next)
}

fn ids(rows: &Value) -> Vec<i64> {
    rows.as_array().expect("rows").iter().filter_map(|row| row["id"].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_tasks_has_the_data_only_of_those_that_fit() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let mut all = vec![insert(&rig, project, "SELECT '{\"image\": \"s3://b/1\"}'").await];
    for _ in 0..6 {
        all.push(insert(&rig, project, TEN_MEGABYTES).await);
    }
    all.push(insert(&rig, project, "SELECT '{\"text\": \"last\"}'").await);

    for fields in ["", "&fields=all"] {
        let (list, _) = shown(&rig, &format!("/api/tasks?project={project}&page_size=1000{fields}")).await;
        assert_eq!(ids(&list["tasks"]), all, "numbered pages lose no task");
        let states: Vec<_> = list["tasks"].as_array().expect("tasks").iter().map(|task| &task["left_out"]).collect();
        assert_eq!((states[0], states[1]), (&Value::Null, &Value::Null), "the first ones are whole");
        assert!(states[2..].iter().all(|state| *state == "answer_full"), "{states:?}");
        assert_eq!((&list["tasks"][2]["data"], &list["tasks"][2]["meta"]), (&json!({}), &json!({})));
        assert_eq!(list["next_after"], all[1], "those that follow begin after the last whole one");
    }

    // With `after`, each task comes once with its data.
    let (mut read, mut after) = (Vec::new(), 0);
    loop {
        let (list, _) = shown(&rig, &format!("/api/tasks?project={project}&page_size=1000&after={after}")).await;
        let whole = list["tasks"].as_array().expect("tasks").iter().filter(|task| task["left_out"].is_null());
        read.extend(whole.filter_map(|task| task["id"].as_i64()));
        match list["next_after"].as_i64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(read, all);
    let (one, _) = shown(&rig, &format!("/api/tasks/{}", all[4])).await;
    assert_eq!(one["data"]["text"].as_str().map(str::len), Some(10_000_000));
    assert!(one.get("left_out").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_shown_is_left_out_and_its_list_is_shown() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let first = insert(&rig, project, "SELECT '{\"text\": \"first\"}'").await;
    let mut wide = Vec::new();
    for data in WIDE.into_iter().chain(["SELECT jsonb_build_object('text', repeat('x', 60000000))"]) {
        wide.push(insert(&rig, project, data).await);
    }
    let last = insert(&rig, project, "SELECT '{\"text\": \"last\"}'").await;
    for fields in ["", "&fields=all"] {
        let (list, _) = shown(&rig, &format!("/api/tasks?project={project}{fields}")).await;
        let states = list["tasks"].as_array().expect("tasks").iter().map(|task| task["left_out"].clone());
        let expected = [json!(null), json!("too_large"), json!("too_large"), json!("too_large"), json!(null)];
        assert_eq!(states.collect::<Vec<_>>(), expected);
        assert_eq!(list["tasks"][4]["data"], json!({"text": "last"}));
        assert!(list.get("next_after").is_none(), "nothing more fits later: {}", list["next_after"]);
    }
    for id in &wide {
        let resolved = rig.request("POST", "/api/resolve").bearer_auth(rig.token()).json(&json!({"task": id}));
        let link = format!("/tasks/{id}/resolve/?fileuri=czM6Ly9iLzE=");
        for request in [
            rig.request("GET", &format!("/api/tasks/{id}")).bearer_auth(rig.token()),
            rig.request("GET", &link).bearer_auth(rig.token()),
            resolved,
        ] {
            let (status, body) = send_json(request).await;
            assert_eq!((status, &body["code"]), (422, &json!("task_too_large")), "{body}");
        }
    }

    // Results of the valid task.
    let result = |data: &str| data.replace("{\"a\": [", "[").replace("]}", "]");
    let fine = annotate(&rig, first, "SELECT '[1]'").await;
    let broken = annotate(&rig, first, &result(WIDE[0])).await;
    let predicted =
        format!("INSERT INTO predictions (task_id, project_id, result) SELECT $1, $2, ({})::jsonb", result(WIDE[1]));
    rig.database().await.execute(&predicted, &[&first, &project]).await.expect("a prediction");
    let (task, _) = shown(&rig, &format!("/api/tasks/{first}")).await;
    assert_eq!((&task["data"], &task["annotations"][0]["result"]), (&json!({"text": "first"}), &json!([1])));
    assert_eq!(
        (&task["annotations"][1]["result"], &task["annotations"][1]["left_out"]),
        (&json!([]), &json!("too_large"))
    );
    assert_eq!(task["predictions"][0]["left_out"], "too_large");
    let (list, next) = shown(&rig, &format!("/api/tasks/{first}/annotations")).await;
    assert_eq!((ids(&list), next, &list[1]["left_out"]), (vec![fine, broken], None, &json!("too_large")));
    let (one, _) = shown(&rig, &format!("/api/annotations/{broken}")).await;
    assert_eq!((&one["result"], &one["left_out"]), (&json!([]), &json!("too_large")));
    // It can still be changed and removed.
    let path = format!("/api/annotations/{broken}");
    assert_eq!(rig.call("PATCH", &path, Some(json!({"lead_time": 2.0}))).await.0, 200);
    assert_eq!(rig.call("DELETE", &path, None).await.0, 204);
    let (list, _) = shown(&rig, &format!("/api/tasks?project={project}&after={}&page_size=1", last - 1)).await;
    assert_eq!(ids(&list["tasks"]), [last]);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_are_too_large_to_add_up_do_not_fail_a_list() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let task = insert(&rig, project, "SELECT '{}'").await;
    for _ in 0..3 {
        rig.post(&format!("/api/tasks/{task}/annotations"), json!({"result": [], "lead_time": 1e308})).await;
    }
    let score = "INSERT INTO predictions (task_id, project_id, score, model_version)
                 SELECT $1, $2, score, repeat('v', 10000000) FROM unnest('{1e308, -1e308, 1e308}'::float8[]) score";
    rig.database().await.execute(score, &[&task, &project]).await.expect("predictions");
    let (list, _) = shown(&rig, &format!("/api/tasks?project={project}")).await;
    let shown = &list["tasks"][0];
    assert_eq!(shown["avg_lead_time"], 1e308);
    assert!(shown["predictions_score"].as_f64().is_some_and(|score| (3e307..4e307).contains(&score)), "{shown}");
    assert!(list.to_string().len() < 10_000, "a version is a name, and not 10 MB");
}
