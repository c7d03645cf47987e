//! Lists other than tasks: each ends before it becomes too long, and says how to continue.

use longshore_rig::rig::{Rig, rows};
use serde_json::{Value, json};

use super::{annotate, ids, insert, shown};

/// All rows of a list that names its next page in header `Link`, and the number of answers.
async fn by_links(rig: &Rig, path: &str) -> (Vec<i64>, usize) {
    let (mut all, mut path, mut answers) = (Vec::new(), path.to_owned(), 0);
    loop {
        let (page, next) = shown(rig, &path).await;
        assert!(!ids(&page).is_empty() || next.is_none(), "{path}: a page that leads nowhere");
        all.extend(ids(&page));
        answers += 1;
        match next {
            Some(next) => path = next,
            None => return (all, answers),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_of_a_task_come_in_pages_of_16_mib() {
    let rig = Rig::with().workers(0).start().await;
    let task = insert(&rig, rig.project().await, "SELECT '{}'").await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(annotate(&rig, task, "SELECT jsonb_build_array(repeat('x', 10000000))").await);
    }
    // Each has six bytes when printed and one when stored.
    for _ in 0..6 {
        all.push(annotate(&rig, task, "SELECT jsonb_build_array(repeat(U&'\\0001', 2500000))").await);
    }
    let path = format!("/api/tasks/{task}/annotations");
    let (read, answers) = by_links(&rig, &path).await;
    assert_eq!(read, all);
    assert!(answers >= 8, "{answers} answers for 130 MB");
    // The task shows as many as fit.
    let (shown, _) = shown(&rig, &format!("/api/tasks/{task}")).await;
    assert_eq!(ids(&shown["annotations"]), all);
    assert_eq!(shown["annotations"][0]["left_out"], Value::Null);
    assert_eq!(shown["annotations"][1]["left_out"], "answer_full");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_without_page_numbers_continue_with_a_link() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let db = rig.database().await;
    // As an older release stored them.
    let storages = "INSERT INTO storages (project_id, kind, direction, description, settings)
                    SELECT $1, 's3', direction, repeat('d', 10000000), '{\"kind\": \"s3\", \"bucket\": \"b\"}'
                      FROM unnest('{import,import,import,import,export,export,export}'::text[]) direction RETURNING id";
    let made: Vec<i64> =
        db.query(storages, &[&project]).await.expect("storages").iter().map(|row| row.get(0)).collect();
    for (path, expected) in [
        ("/api/storages?".to_owned(), &made[..4]),
        (format!("/api/storages?project={project}"), &made[..4]),
        (format!("/api/storages/s3?project={project}"), &made[..4]),
        (format!("/api/storages/export?project={project}"), &made[4..]),
        (format!("/api/storages/export/s3?project={project}"), &made[4..]),
    ] {
        let (read, answers) = by_links(&rig, &path).await;
        assert_eq!((read.as_slice(), answers), (expected, expected.len()), "{path}");
    }
    let tokens = "INSERT INTO api_tokens (name, digest, role, projects)
                  SELECT 'wide-' || n, sha256(n::text::bytea), 'read', (SELECT array_agg(p) FROM generate_series(1, 500000) p)
                    FROM generate_series(1, 4) n";
    db.execute(tokens, &[]).await.expect("tokens");
    let (read, answers) = by_links(&rig, "/api/tokens").await;
    assert_eq!(read.len(), 5);
    assert!(answers >= 4, "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_end_early_or_leave_out_rows_that_do_not_fit() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let db = rig.database().await;
    db.execute("UPDATE projects SET label_config = repeat('c', 10000000) WHERE id = $1", &[&project])
        .await
        .expect("it");
    let more =
        "INSERT INTO projects (title, label_config) SELECT 'p', repeat('c', 10000000) FROM generate_series(1, 3)";
    db.execute(more, &[]).await.expect("projects");
    let (page, _) = shown(&rig, "/api/projects?page_size=1000").await;
    let left_out: Vec<_> = page["results"].as_array().expect("projects").iter().map(|row| &row["left_out"]).collect();
    assert_eq!(left_out[0], &Value::Null);
    assert!(left_out.len() >= 4 && left_out[1..4].iter().all(|state| *state == "answer_full"), "{left_out:?}");
    assert_eq!(page["results"][1]["label_config"], "");

    let storage = "INSERT INTO storages (project_id, kind, direction, settings)
                   VALUES ($1, 's3', 'import', '{\"kind\": \"s3\", \"bucket\": \"b\"}') RETURNING id";
    let storage: i64 = db.query_one(storage, &[&project]).await.expect("a storage").get(0);
    let syncs = "INSERT INTO syncs (storage_id, status, requested_by, detail, options, finished_at)
                 SELECT $1, 'failed', 'api', repeat('d', 10000000),
                        CASE n WHEN 4 THEN jsonb_build_object('tasks', (SELECT jsonb_agg(7) FROM generate_series(1, 2000000)))
                               ELSE '{}' END, now()
                   FROM generate_series(1, 4) n";
    db.execute(syncs, &[&storage]).await.expect("syncs");
    let quarantine = "INSERT INTO quarantine (storage_id, sync_id, key, reason, detail, excerpt)
                      SELECT $1, 1, n::text, 'invalid_json', 'd', repeat('e', 10000000) FROM generate_series(1, 4) n";
    db.execute(quarantine, &[&storage]).await.expect("quarantine");
    for list in ["syncs", "quarantine"] {
        let (mut read, mut before) = (Vec::new(), String::new());
        loop {
            let (page, _) = shown(&rig, &format!("/api/{list}?storage={storage}{before}")).await;
            read.extend(ids(&page[list]));
            match page["next_before"].as_i64() {
                Some(next) => before = format!("&before={next}"),
                None => break,
            }
        }
        assert_eq!(read.len(), 4, "{list}: {read:?}");
        assert!(read.is_sorted_by(|a, b| a > b), "{list}: {read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_was_split_a_thousand_times_shows_its_jobs_page_by_page() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let storage = rig.import_storage(rig.project().await, "pics", json!({"use_blob_urls": true})).await;
    let sync = rig.sync(&storage).await;
    let jobs = "INSERT INTO jobs (sync_id, kind, state, detail, finished_at)
                SELECT $1, 'import', 'completed', repeat('d', CASE WHEN n % 100 = 0 THEN 100000 END), now()
                  FROM generate_series(1, 2500) n";
    rig.database().await.execute(jobs, &[&sync]).await.expect("jobs");
    let (mut read, mut after) = (Vec::new(), 0);
    loop {
        let (page, _) = shown(&rig, &format!("/api/syncs/{sync}?jobs_after={after}")).await;
        assert!(page["jobs"].as_array().is_some_and(|jobs| jobs.len() <= 1_000));
        read.extend(ids(&page["jobs"]));
        match page["next_jobs_after"].as_i64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(read.len(), 2_501);
    assert!(read.is_sorted());
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_lists_show_are_limited_when_saved() {
    let rig = Rig::with().workers(0).start().await;
    rig.s3.create_bucket("pics");
    let project = rig.project().await;
    let storage = rig.import_storage(project, "pics", json!({"description": "d".repeat(64 * 1024)})).await;
    let path = format!("{}/{}", storage.path, storage.id);
    for field in ["description", "regex_filter", "prefix", "region_name", "aws_session_token"] {
        let (status, body) = rig.call("PATCH", &path, Some(json!({field: "x".repeat(64 * 1024 + 1)}))).await;
        assert_eq!((status, &body["code"]), (400, &json!("validation_error")), "{field}: {body}");
        assert!(body["validation_errors"][field].is_array(), "{field}: {body}");
    }
    let unknown: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("f{n}"), json!(1))).collect();
    let (status, body) = rig.call("PATCH", &path, Some(Value::Object(unknown))).await;
    assert_eq!((status, &body["code"]), (400, &json!("parse_error")), "{body}");
    let projects: Vec<i64> = (1..=1_001).collect();
    let (status, body) =
        rig.call("POST", "/api/tokens", Some(json!({"name": "t", "role": "read", "projects": projects}))).await;
    assert_eq!((status, body["validation_errors"]["projects"].is_array()), (400, true), "{body}");
    let export = rig.export_storage(project, "pics", json!({})).await;
    let tasks: Vec<i64> = (1..=100_001).collect();
    let sync = format!("{}/{}/sync", export.path, export.id);
    let (status, body) = rig.call("POST", &sync, Some(json!({"options": {"tasks": tasks}}))).await;
    assert_eq!((status, body["validation_errors"]["options"].is_array()), (400, true), "{body}");
    assert!(rows(&rig.get(&format!("/api/syncs?storage={}", export.id)).await).is_empty());
}
