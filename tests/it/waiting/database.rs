//! Waits for the database, and what requests get meanwhile.

use longshore_local::App;
use longshore_local::s3::{Hold, Op, When};
use longshore_rig::proxy::Mode;
use longshore_rig::recovery::until_readiness_is;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, until};
use serde_json::{Value, json};

use super::{Follower, check_warnings, event, since, until_gauge, until_readyz_names, until_waiting};

/// Bytes of a file of the write-ahead log. A limit below it would end the server.
const LOG_FILE: i64 = 16 * 1024 * 1024;

/// Fills table `tasks` with rows of another project until its file is larger than those of the write-ahead log, and
/// returns its size.
async fn fill_tasks(rig: &Rig) -> u64 {
    let db = rig.database().await;
    // Rows smaller than those of images: no page has space left for one of those.
    let fill = "INSERT INTO tasks (project_id, data) SELECT 0, '{}' FROM generate_series(1, 200000)";
    db.execute(fill, &[]).await.expect("rows");
    let size: i64 = db.query_one("SELECT pg_relation_size('tasks')", &[]).await.expect("a size").get(0);
    assert!(size > LOG_FILE, "{size}");
    size as u64
}

/// The warnings and errors of a process other than the one per minute about its waits.
fn other_warnings(app: &App, from: usize) -> Vec<Value> {
    let log = app.process.log();
    let lines = log[from..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| ["warn", "error"].iter().any(|level| line["level"] == *level) && line["event"] != "waiting")
        .collect()
}

/// Goal: a full disk is named, since the first page that did not commit. Method: a limit on the size of the server's
/// files, at which table `tasks` cannot grow, so that Postgres itself answers 53100.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_postgres_is_named_and_the_sync_continues_when_it_has_space() {
    let rig = Rig::with().own_servers().start().await;
    let mut images = rig.images("images", 2_500).await;
    let size = fill_tasks(&rig).await;
    let from = [&rig.schedulers[0], &rig.workers[0]].map(|app| app.process.log().len());
    rig.stack.postgres.limit_file_size(Some(size + 4096)).expect("a limit");

    let sync = rig.sync(&images.storage).await;
    let shown = until_waiting(&rig, sync, "database").await;
    let error = shown["waiting_error"].as_str().expect("an error");
    assert!(error.starts_with("The disk of the database is full"), "{error}");
    let follower = Follower::start(&rig, sync);
    follower.until_printed("waiting for database for ", 2).await;
    let (status, body) = until_readyz_names(&rig.workers[0], "database").await;
    assert_eq!(status, 200, "{body}");
    until_readyz_names(&rig.schedulers[0], "database").await;
    until_gauge(&rig.schedulers[0], "longshore_syncs_waiting", "database", true).await;
    until_gauge(&rig.workers[0], "longshore_wait_seconds", "database", true).await;

    // The wait began with the first page, however many attempts follow.
    let path = format!("/api/syncs/{sync}");
    let attempt = shown["jobs"][0]["attempt"].as_i64().expect("a number");
    until("two more attempts", || async {
        let again = rig.get(&path).await;
        assert_eq!((&again["waiting_for"], since(&again)), (&json!("database"), since(&shown)), "{again}");
        (again["jobs"][0]["attempt"].as_i64() >= Some(attempt + 2)).then_some(())
    })
    .await;
    assert_eq!(rig.get(&path).await["jobs"][0]["failures"], 0, "a full disk is no failure of the job");

    rig.stack.postgres.limit_file_size(None).expect("no limit");
    rig.check_first_sync(&images, sync).await;
    assert_eq!(follower.ended().await, Some(0));
    until_gauge(&rig.schedulers[0], "longshore_syncs_waiting", "database", false).await;
    for (app, from) in [&rig.schedulers[0], &rig.workers[0]].into_iter().zip(from) {
        check_warnings(app, "database");
        assert_eq!(other_warnings(app, from), Vec::<Value>::new(), "one line a minute is enough");
    }
    rig.check_next_sync(&mut images).await;
}

/// A request that writes: method, path and body.
type Write = (&'static str, String, Value);

/// The requests that write.
fn writes(project: i64, storage: i64, export: i64, sync: i64, task: i64, annotation: i64) -> Vec<Write> {
    let fields = |endpoint: &str| {
        json!({
            "project": project, "bucket": "images", "s3_endpoint": endpoint, "aws_access_key_id": ACCESS_KEY_ID,
            "aws_secret_access_key": SECRET_ACCESS_KEY
        })
    };
    let none = || json!({});
    vec![
        ("POST", "/api/projects".to_owned(), json!({"title": "p"})),
        ("POST", "/api/storages/s3".to_owned(), fields("ENDPOINT")),
        ("PATCH", format!("/api/storages/s3/{storage}"), json!({"title": "other"})),
        ("PUT", format!("/api/storages/s3/{storage}"), fields("ENDPOINT")),
        ("DELETE", format!("/api/storages/s3/{storage}"), none()),
        ("POST", format!("/api/storages/s3/{storage}/sync"), none()),
        ("POST", "/api/storages/export/s3".to_owned(), fields("ENDPOINT")),
        ("PATCH", format!("/api/storages/export/s3/{export}"), json!({"title": "other"})),
        ("DELETE", format!("/api/storages/export/s3/{export}"), none()),
        ("POST", format!("/api/storages/export/s3/{export}/sync"), none()),
        ("POST", format!("/api/tasks/{task}/annotations"), json!({"result": []})),
        ("PATCH", format!("/api/annotations/{annotation}"), json!({"result": []})),
        ("DELETE", format!("/api/annotations/{annotation}"), none()),
        ("POST", format!("/api/syncs/{sync}/cancel"), none()),
        ("POST", format!("/api/syncs/{sync}/retry"), none()),
        ("POST", "/api/quarantine/replay".to_owned(), json!({"storage": storage})),
        ("POST", "/api/quarantine/discard".to_owned(), json!({"storage": storage})),
        ("POST", "/api/tokens".to_owned(), json!({"name": "t", "role": "read"})),
        ("DELETE", "/api/tokens/1".to_owned(), none()),
    ]
}

/// Checks that every request that writes gets 503 with this code and a time to wait, and that reads are answered.
async fn check_refusals(rig: &Rig, requests: &[Write], code: &str) {
    for (method, path, body) in requests {
        let body = body.to_string().replace("ENDPOINT", &rig.s3.endpoint());
        let request = rig.request(method, path).bearer_auth(rig.token()).header("content-type", "application/json");
        let answer = request.body(body).send().await.expect("an answer");
        let (status, wait) = (answer.status().as_u16(), answer.headers().get("retry-after").cloned());
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!((status, &body["code"]), (503, &json!(code)), "{method} {path}: {body}");
        let wait = wait.unwrap_or_else(|| panic!("{method} {path} has no Retry-After"));
        assert!(wait.to_str().expect("text").parse::<u16>().expect("seconds") > 0, "{wait:?}");
    }
    for path in ["/api/projects", "/api/syncs", "/api/storages", "/api/quarantine", "/api/tokens"] {
        assert_eq!(rig.call("GET", path, None).await.0, 200, "GET {path}");
    }
}

fn is_for_live_sync(path: &str) -> bool {
    path.ends_with("/retry") || (path.ends_with("/sync") && !path.contains("export"))
}

/// A rig whose database has one row of everything, and the requests that would change them.
async fn filled() -> (Rig, i64, Hold, Vec<Write>) {
    let rig = Rig::start().await;
    rig.s3.put("images", "a.json", r#"{"image": 1}"#);
    rig.s3.put("images", "bad.json", "{");
    rig.s3.create_bucket("out");
    let project = rig.project().await;
    let storage = rig.import_storage(project, "images", json!({})).await;
    rig.sync_to_end(&storage).await;
    let export = rig.export_storage(project, "out", json!({})).await;
    let task = rig.get(&format!("/api/tasks?project={project}")).await["tasks"][0]["id"].as_i64().expect("an id");
    let annotation = rig.post(&format!("/api/tasks/{task}/annotations"), json!({"result": []})).await;
    let annotation = annotation["id"].as_i64().expect("an id");
    // A live sync, whose job waits for its listing until the hold is dropped.
    let listing = rig.s3.hold(When::op(Op::List).nth(1));
    let sync = rig.sync(&storage).await;
    listing.reached().await;
    let requests = writes(project, storage.id, export.id, sync, task, annotation);
    (rig, sync, listing, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_answers_503_to_writes_and_is_named_by_its_syncs() {
    let (rig, sync, listing, requests) = filled().await;
    let set = async |value: &str| {
        let change = format!("ALTER DATABASE \"{}\" SET default_transaction_read_only = {value}", rig.database_name());
        let db = rig.database().await;
        db.batch_execute("SET default_transaction_read_only = off").await.expect("a setting");
        db.batch_execute(&change).await.expect("a setting");
        rig.scheduler_links.database.cut();
        rig.worker_links.database.cut();
    };
    // As after an hour without a request: the use of the token cannot be recorded.
    let db = rig.database().await;
    db.execute("UPDATE api_tokens SET last_used_at = now() - interval '1 hour'", &[]).await.expect("a token");
    set("on").await;
    until("the scheduler has connections that are read-only", || async {
        let (status, _) = rig.call("POST", "/api/projects", Some(json!({"title": "p"}))).await;
        (status == 503).then_some(())
    })
    .await;
    check_refusals(&rig, &requests, "database_read_only").await;
    let shown = until_waiting(&rig, sync, "database").await;
    assert!(shown["waiting_error"].as_str().expect("a text").contains("read-only"), "{shown}");
    for app in [&rig.schedulers[0], &rig.workers[0]] {
        until_readyz_names(app, "database").await;
        until_gauge(app, "longshore_wait_seconds", "database", true).await;
        check_warnings(app, "database");
    }
    until_gauge(&rig.schedulers[0], "longshore_syncs_waiting", "database", true).await;

    set("off").await;
    until_gauge(&rig.schedulers[0], "longshore_syncs_waiting", "database", false).await;
    let path = format!("/api/syncs/{sync}");
    until("the sync waits for its storage again", || async {
        (rig.get(&path).await["waiting_for"] != "database").then_some(())
    })
    .await;
    assert_eq!(rig.call("POST", "/api/projects", Some(json!({"title": "p"}))).await.0, 201);
    listing.release();
    assert_eq!(rig.ended(sync).await["status"], "completed", "it quarantines nothing new");
}

/// Goal: the same for a disk without any space. Method: triggers with the SQLSTATE of a full disk on all tables, because
/// a real server without space for its log ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_space_answers_503_to_writes() {
    let (rig, sync, listing, requests) = filled().await;
    let db = rig.database().await;
    db.batch_execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 RAISE EXCEPTION 'could not extend file \"base/5/16402\": No space left on device' USING ERRCODE = '53100';
             END $$;
         DO $$
             DECLARE name text;
             BEGIN
                 FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'longshore' LOOP
                     EXECUTE format('CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON longshore.%I
                                     FOR EACH STATEMENT EXECUTE FUNCTION public.refuse()', name);
                 END LOOP;
             END $$;",
    )
    .await
    .expect("triggers");
    // A request for a sync that is live already writes nothing.
    let writes: Vec<_> = requests.into_iter().filter(|(_, path, _)| !is_for_live_sync(path)).collect();
    check_refusals(&rig, &writes, "database_full").await;
    let shown = until_waiting(&rig, sync, "database").await;
    assert!(shown["waiting_error"].as_str().expect("a text").contains("disk"), "{shown}");
    listing.release();
    let (status, _) = until_readyz_names(&rig.schedulers[0], "database").await;
    assert_eq!(status, 200);
    until_readyz_names(&rig.workers[0], "database").await;
    check_warnings(&rig.schedulers[0], "database");
}

/// Goal: while nothing can be read, watchers still learn what they wait for. Method: refuse all connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_reached_is_named_by_event_streams_and_followers() {
    let rig = Rig::start().await;
    let images = rig.images("images", 10).await;
    let listing = rig.s3.hold(Op::List);
    let sync = rig.sync(&images.storage).await;
    listing.reached().await;
    let watched = event(&rig, sync, "waiting", |_| true);
    let follower = Follower::start(&rig, sync);
    let fault = async {
        // The stream is open, and the follower has read the sync.
        follower.until_printed("waiting for storage", 1).await;
        rig.scheduler_links.database.set(Mode::Refuse).await;
        rig.scheduler_links.database.cut();
    };
    let (waiting, ()) = tokio::join!(watched, fault);
    assert_eq!((&waiting["id"], &waiting["waiting_for"]), (&json!(sync), &json!("database")), "{waiting}");
    assert!(waiting["waiting_since"].is_string() && waiting["waiting_error"].is_string(), "{waiting}");
    follower.until_printed("waiting for database for ", 2).await;
    until_readiness_is(&rig.schedulers[0], false).await;
    until_readyz_names(&rig.schedulers[0], "database").await;
    let (status, body) = rig.call("GET", "/api/projects", None).await;
    assert_eq!((status, &body["code"]), (503, &json!("database_unavailable")), "{body}");

    rig.scheduler_links.database.set(Mode::Pass).await;
    listing.release();
    assert_eq!(follower.ended().await, Some(0));
    rig.check_first_sync(&images, sync).await;
    check_warnings(&rig.schedulers[0], "database");
}
