//! Numbers that PostgreSQL prints with many digits, and unreadable rows: neither affects other rows.

use longshore_model::json::printed_size;
use longshore_rig::heavy::numbers;
use longshore_rig::oracle::one_each;
use longshore_rig::rig::Rig;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_would_be_printed_too_long_is_quarantined_and_the_rest_imported() {
    let rig = Rig::start().await;
    // 81 kB that the database prints as 1.2 GB, which no answer and no export could hold.
    rig.s3.put("tasks", "1-data.json", format!(r#"{{"a":{}}}"#, numbers(9_000)));
    rig.s3.put(
        "tasks",
        "2-labels.json",
        format!(r#"{{"data":{{}},"annotations":[{{"result":[{{"a":{}}}]}}]}}"#, numbers(9_000)),
    );
    rig.s3.put("tasks", "3-many.json", format!("[{}{{}}]", r#"{"a":1e131071},"#.repeat(3_000)));
    rig.s3.put("tasks", "4-good.json", format!(r#"{{"a":{}}}"#, numbers(10)));
    rig.s3.put("tasks", "5-good.json", "{}");
    let project = rig.project().await;
    let storage = rig.import_storage(project, "tasks", json!({})).await;
    let sync = rig.sync_to_end(&storage).await;
    let bad = ["1-data.json", "2-labels.json", "3-many.json"];
    rig.check_import(&storage, &sync, &one_each(["4-good.json", "5-good.json"]), &bad).await;
    for row in rig.quarantine(&storage).await {
        assert_eq!(row["reason"], "too_large", "{row}");
        assert!(row["byte_offset"].is_u64() && row["row_index"].is_u64(), "{row}");
    }
    // Not parsed: the numbers have more digits than a float can say.
    let tasks = rig.get(&format!("/api/tasks?project={project}")).await.to_string();
    assert!(tasks.contains("total") && tasks.len() > 10 * 131_072, "the list can be read");

    let first = "SELECT id FROM tasks WHERE project_id = $1 ORDER BY id LIMIT 1";
    let task: i64 = rig.database().await.query_one(first, &[&project]).await.expect("a task").get(0);
    let path = format!("/api/tasks/{task}/annotations");
    let write = |result: String| {
        let body = format!(r#"{{"result": {result}}}"#);
        let request = rig.request("POST", &path).bearer_auth(rig.token()).header("content-type", "application/json");
        longshore_rig::rig::send_json(request.body(body))
    };
    let (status, body) = write(numbers(9_000)).await;
    assert_eq!(status, 400, "{body}");
    assert!(body["validation_errors"]["result"][0].as_str().expect("a message").contains("written out"), "{body}");
    assert_eq!(write(numbers(10)).await.0, 201);
}

/// Goal: the size that limits use is the size that PostgreSQL prints, or slightly more. Method: random values, printed
/// by a real server.
#[tokio::test(flavor = "multi_thread")]
async fn printed_sizes_are_those_of_postgres_or_a_little_more() {
    let rig = Rig::with().workers(0).start().await;
    let db = rig.database().await;
    let mut random = StdRng::seed_from_u64(8);
    let mut texts: Vec<String> =
        ["{}", "[]", "null", "\"\"", "-0.0", "0e5", "-0e-5", "1E400", "1.5e-3", "123.456e2", "1e131071"]
            .map(str::to_owned)
            .into();
    texts.extend((0..2_000).map(|_| value(&mut random, 4)));
    for text in texts {
        let row = db
            .query_one("SELECT $1::text::jsonb::text", &[&text])
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        let (printed, counted) = (row.get::<_, &str>(0).len(), printed_size(&text));
        assert!(printed <= counted, "{printed} > {counted}: {text}");
        assert!(counted <= printed + printed / 4 + 8, "{printed} << {counted}: {text}");
    }
}

/// A random JSON text without doubled names, as those are dropped.
fn value(random: &mut StdRng, depth: u32) -> String {
    let text = |random: &mut StdRng| {
        let parts = [
            "a",
            "\u{e9}",
            "\u{1f600}",
            "\\u0001",
            "\\u00e9",
            "\\n",
            "\\/",
            "\\\"",
            "\\\\",
            "\\ud83d\\ude00",
            "\\u0041",
            "\u{7f}",
            " , : ",
        ];
        (0..random.random_range(0..6)).map(|_| parts[random.random_range(0..parts.len())]).collect::<String>()
    };
    match random.random_range(0..if depth == 0 { 4 } else { 7 }) {
        0 => ["true", "false", "null"][random.random_range(0..3)].to_owned(),
        1 => format!("\"{}\"", text(random)),
        2 => random.random_range(-1_000_000..1_000_000_i64).to_string(),
        3 => format!(
            "{}{}.{:03}e{}",
            ["", "-"][random.random_range(0..2)],
            random.random_range(0..20_u32),
            random.random_range(0..1_000),
            random.random_range(-300..300_i32)
        ),
        4 | 5 => {
            let items: Vec<String> = (0..random.random_range(0..5)).map(|_| value(random, depth - 1)).collect();
            format!("[{}]", items.join([",", " ,\n"][random.random_range(0..2)]))
        }
        _ => {
            let members: Vec<String> = (0..random.random_range(0..5))
                .map(|n| format!("\"{n}{}\": {}", text(random), value(random, depth - 1)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// Goal: a unit that cannot be exported does not affect others. Method: rows as another program or an older release
/// wrote them, among valid ones: printed at 1.2 GB, printed at 100 MB, and a task with many annotations.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_or_too_large_unit_is_quarantined_and_the_export_continues() {
    let rig = Rig::start().await;
    let project = rig.project().await;
    let db = rig.database().await;
    let unreadable = numbers(9_000);
    let large = numbers(700);
    let insert = "WITH task AS (INSERT INTO tasks (project_id, data, total_annotations) VALUES ($1, $2::text::jsonb, 1) RETURNING id)
                  INSERT INTO annotations (task_id, project_id, result)
                       SELECT id, $1, $3::text::jsonb FROM task RETURNING id, task_id";
    let mut ids = Vec::new();
    let good = json!([{"value": {"choices": ["a"]}}]).to_string();
    let rows = [
        ("{}".to_owned(), good.clone()),
        ("{}".to_owned(), unreadable.clone()),
        ("{}".to_owned(), large.clone()),
        (format!(r#"{{"a":{unreadable}}}"#), good.clone()),
        ("{}".to_owned(), good.clone()),
    ];
    for (data, result) in &rows {
        let row = db.query_one(insert, &[&project, data, result]).await.expect("a row");
        ids.push((row.get::<_, i64>(0), row.get::<_, i64>(1)));
    }
    // One task whose annotations are each small enough, but not together.
    let many = "INSERT INTO annotations (task_id, project_id, result)
                     SELECT $1, $2, jsonb_build_array(repeat('x', 4194304)) FROM generate_series(1, 20)";
    db.execute(many, &[&ids[4].1, &project]).await.expect("annotations");

    for per_task in [false, true] {
        let bucket = format!("target-{per_task}");
        rig.s3.create_bucket(&bucket);
        let settings = json!({"export_tasks": per_task, "prefix": "out"});
        let storage = rig.export_storage(project, &bucket, settings).await;
        let sync = rig.sync_to_end(&storage).await;
        assert_eq!(sync["status"], "completed_with_errors", "{sync}");
        let key = |index: usize| match per_task {
            true => format!("out/{}.json", ids[index].1),
            false => format!("out/{}", ids[index].0),
        };
        let mut bad = vec![key(1), key(2), key(3)];
        if per_task {
            bad.push(key(4));
        }
        bad.sort();
        let rows = rig.quarantine(&storage).await;
        let found: Vec<&str> = rows.iter().map(|row| row["key"].as_str().expect("a key")).collect();
        assert_eq!(found, bad);
        assert!(rows.iter().all(|row| row["reason"] == "too_large" && row["unit"].is_i64()), "{rows:?}");
        let objects = rig.s3.objects(&bucket);
        assert_eq!(objects.len(), if per_task { 1 } else { 22 }, "the others are there");
        assert!(!per_task || sync["counts"]["exported"] == 1, "{sync}");
    }
}
