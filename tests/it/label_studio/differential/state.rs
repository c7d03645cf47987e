//! What a sync left in Label Studio's tables, with IDs and times normalized.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::tables::Tables;

/// Values of columns that are left out, so that a task shows only what is special about it.
const TASK: &[(&str, Value)] = &[("is_labeled", Value::Bool(false)), ("allow_skip", Value::Bool(true))];

const ANNOTATION: &[(&str, Value)] = &[
    ("was_cancelled", Value::Bool(false)),
    ("ground_truth", Value::Bool(false)),
    ("bulk_created", Value::Bool(false)),
];

/// Columns whose usual value is a number.
const NUMBERS: &[(&str, f64)] = &[
    ("overlap", 1.0),
    ("total_annotations", 0.0),
    ("cancelled_annotations", 0.0),
    ("total_predictions", 0.0),
    ("comment_count", 0.0),
    ("unresolved_comment_count", 0.0),
    ("result_count", 0.0),
    ("mislabeling", 0.0),
];

/// Columns of a task's own identity and of time. Their values are checked and left out.
const OWN: &[&str] = &["id", "created_at", "updated_at", "project_id", "task_id", "storage_id"];

/// Rows of a project and the row of its storage.
#[derive(Debug)]
pub(crate) struct State {
    /// What tasks are, by key and `row_index`.
    pub(crate) tasks: BTreeMap<String, Value>,
    /// The names of tasks with their `inner_id`, in the order of those.
    pub(crate) order: Vec<(String, i64)>,
    /// The storage's row in one line.
    pub(crate) storage: String,
}

/// The statement that reads a project and a storage.
pub(crate) fn statement(tables: &Tables) -> String {
    let Tables { storages, id, links } = tables;
    format!(
        "SELECT json_build_object(
            'tasks', (SELECT coalesce(json_agg(r ORDER BY r.inner_id, r.id), '[]') FROM (
                SELECT t.id, t.inner_id, to_jsonb(t) AS task, to_jsonb(l) AS link,
                       (SELECT json_agg(to_jsonb(a) ORDER BY a.id) FROM public.task_completion a
                         WHERE a.task_id = t.id) AS annotations,
                       (SELECT json_agg(to_jsonb(p) ORDER BY p.id) FROM public.prediction p
                         WHERE p.task_id = t.id) AS predictions
                  FROM public.task t LEFT JOIN public.{links} l ON l.task_id = t.id AND l.storage_id = $2
                 WHERE t.project_id = $1) r),
            'storage', (SELECT to_jsonb(s) FROM public.{storages} s WHERE s.{id} = $2))::text"
    )
}

impl State {
    /// Reads what [`statement`] returned for this project.
    pub(crate) fn parse(text: &str, project: i64) -> Self {
        let all: Value = serde_json::from_str(&with_doubles(text)).expect("JSON");
        let (mut tasks, mut order) = (BTreeMap::new(), Vec::new());
        for row in all["tasks"].as_array().expect("tasks") {
            let link = &row["link"];
            let key = link["key"].as_str().unwrap_or("(no link)");
            let mut name = link["row_index"].as_i64().map_or_else(|| key.to_owned(), |index| format!("{key}[{index}]"));
            while tasks.contains_key(&name) {
                name.push_str(" again");
            }
            order.push((name.clone(), row["inner_id"].as_i64().expect("a number within the project")));
            tasks.insert(name, task(row, project));
        }
        let numbers: BTreeSet<i64> = order.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers.len(), order.len(), "each task has a number of its project: {order:?}");
        Self { tasks, order, storage: storage(&all["storage"]) }
    }
}

/// The same text without numbers beyond the largest double, which the parser of the tests refuses.
fn with_doubles(text: &str) -> String {
    const DIGITS: usize = 300;
    let (mut kept, mut run) = (String::with_capacity(text.len()), 0);
    for letter in text.chars() {
        run = if letter.is_ascii_digit() { run + 1 } else { 0 };
        if run <= DIGITS {
            kept.push(letter);
        }
    }
    kept
}

/// A task with link, annotations and predictions.
fn task(row: &Value, project: i64) -> Value {
    let mut task = special(&row["task"], TASK, project);
    for default in ["meta", "inner_id"] {
        if default == "inner_id" || task.get(default) == Some(&json!({})) {
            task.remove(default);
        }
    }
    let mut link = special(&row["link"], &[("object_exists", Value::Bool(true))], project);
    for known in ["key", "row_index"] {
        link.remove(known);
    }
    if !link.is_empty() {
        task.insert("link".to_owned(), link.into());
    }
    let rows = |name: &str| row[name].as_array().cloned().unwrap_or_default();
    let annotations: Vec<Value> = rows("annotations").iter().map(|row| annotation(row, project)).collect();
    let predictions: Vec<Value> = rows("predictions").iter().map(|row| special(row, &[], project).into()).collect();
    for (name, rows) in [("annotations", annotations), ("predictions", predictions)] {
        if !rows.is_empty() {
            task.insert(name.to_owned(), rows.into());
        }
    }
    task.into()
}

fn annotation(row: &Value, project: i64) -> Value {
    let mut annotation = special(row, ANNOTATION, project);
    if annotation.get("prediction") == Some(&json!({})) {
        annotation.remove("prediction");
    }
    // One that Label Studio or Longshore chose is random.
    let unique = annotation.remove("unique_id");
    let unique = unique.as_ref().and_then(Value::as_str).expect("a unique ID");
    if unique.contains("$SIDE") {
        annotation.insert("unique_id".to_owned(), unique.into());
    } else {
        unique.parse::<uuid::Uuid>().expect("a UUID");
    }
    annotation.into()
}

/// The columns of a row without its IDs, its times and those that have their usual value.
fn special(row: &Value, defaults: &[(&str, Value)], project: i64) -> Map<String, Value> {
    let mut columns = row.as_object().cloned().unwrap_or_default();
    if let Some(id) = columns.get("project_id") {
        assert_eq!(id, &json!(project), "the row is of its project");
    }
    for time in ["created_at", "updated_at"] {
        assert!(columns.get(time).is_none_or(Value::is_string), "{time} is a time: {row}");
    }
    columns.retain(|name, value| {
        let boolean = defaults.iter().find(|(column, _)| column == name).map(|(_, default)| default);
        let number = NUMBERS.iter().find(|(column, _)| column == name).map(|(_, default)| *default);
        let is_usual = match (boolean, number) {
            (Some(default), _) => value == default,
            (None, Some(default)) => value.as_f64() == Some(default),
            (None, None) => value.is_null() || (name == "model_version" && value == ""),
        };
        !OWN.contains(&name.as_str()) && !is_usual
    });
    columns.values_mut().for_each(doubles);
    columns
}

/// Makes all numbers IEEE doubles: Label Studio reads them as such.
pub(crate) fn doubles(value: &mut Value) {
    match value {
        Value::Number(number) => *value = json!(number.as_f64()),
        Value::Array(values) => values.iter_mut().for_each(doubles),
        Value::Object(members) => members.values_mut().for_each(doubles),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The storage's row, such as `completed, 3 new, 0 existed, attempt 1`.
fn storage(row: &Value) -> String {
    let meta = row["meta"].as_object().expect("`meta` is an object");
    let status = row["status"].as_str().expect("a status");
    let count = |name: &str| meta.get(name).map_or_else(|| "none".to_owned(), Value::to_string);
    let mut text = format!(
        "{status}, {} new, {} existed, attempt {}",
        row["last_sync_count"],
        count("tasks_existed"),
        count("attempts")
    );
    for (is_so, what) in [
        (meta.contains_key("tasks_failed_validation"), &*format!(", {} invalid", count("tasks_failed_validation"))),
        (!row["traceback"].is_null(), ", traceback"),
        (row["last_sync"].is_null(), ", no time"),
        (!row["last_sync_job"].is_null(), ", job"),
    ] {
        if is_so {
            text.push_str(what);
        }
    }
    let end = if status == "failed" { "time_failure" } else { "time_completed" };
    let times = ["time_queued", "time_in_progress", "time_last_ping", end, "duration"];
    let missing: Vec<&str> = times.into_iter().filter(|name| !meta.contains_key(*name)).collect();
    let counts = ["attempts", "tasks_existed", "tasks_failed_validation"];
    let known = |name: &&String| times.contains(&name.as_str()) || counts.contains(&name.as_str());
    let more: Vec<&String> = meta.keys().filter(|name| !known(name)).collect();
    if !(missing.is_empty() && more.is_empty()) {
        text.push_str(&format!(", without {missing:?}, with {more:?}"));
    }
    text
}
