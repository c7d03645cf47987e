//! No secret leaves Longshore: a full run at log level `trace`, then a search for its secrets everywhere.

use longshore_local::s3::{AccessKey, Fault, Op, Options, S3ErrorCode, S3Server};
use longshore_rig::amqp::AmqpHost;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, send_json, until};
use serde_json::{Value, json};

/// With characters that are escaped in URLs and in XML.
const TEMPORARY_SECRET: &str = "temporary/secret+8f02&<kx>";
const SESSION_TOKEN: &str = "session/token+5c19==&<more>";
/// Sent and refused, so never stored.
const WRONG_SECRET: &str = "wrong-secret-key-4e77d0";

/// All texts that must not contain a secret, each with its source.
#[derive(Default)]
struct SeenTexts(Vec<(String, String)>);

impl SeenTexts {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// Fails with the line that has a secret in it.
    fn check(&self, secrets: &[String]) {
        for (place, text) in &self.0 {
            for line in text.lines() {
                for secret in secrets {
                    assert!(!line.contains(secret), "{secret} in {place}: {line}");
                }
            }
        }
    }
}

/// A secret in each encoding in which it could leak.
fn spellings(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let percent = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    vec![secret.to_owned(), percent, hex, numbers.join(", ")]
}

/// The password in a URL.
fn password(url: &str) -> String {
    let url: reqwest::Url = url.parse().expect("a URL");
    url.password().expect("a URL with a password").to_owned()
}

/// Calls the API and keeps what it answers.
async fn say(rig: &Rig, seen: &mut SeenTexts, method: &str, path: &str, body: Value) -> (u16, Value) {
    let request = rig.request(method, path).bearer_auth(rig.token());
    let request = if method == "GET" { request } else { request.json(&body) };
    let (status, answer) = send_json(request).await;
    seen.add(format!("the answer to {method} {path}"), answer.to_string());
    (status, answer)
}

/// Starts a sync and waits for its end.
async fn sync(rig: &Rig, seen: &mut SeenTexts, storage: &str) -> Value {
    let (status, body) = say(rig, seen, "POST", &format!("{storage}/sync"), json!({})).await;
    assert_eq!(status, 200, "{body}");
    let id: i64 = body["last_sync_job"].as_str().expect("a sync").parse().expect("an id");
    let ended = rig.ended(id).await;
    seen.add("a sync", ended.to_string());
    ended
}

/// Every row of every table but the sealed column.
async fn add_rows(rig: &Rig, seen: &mut SeenTexts) {
    let db = rig.database().await;
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'longshore'";
    for table in db.query(tables, &[]).await.expect("tables") {
        let table: String = table.get(0);
        let rows = format!("SELECT (to_jsonb(t) - 'secrets')::text FROM {table} t");
        for row in db.query(&rows, &[]).await.expect("rows") {
            seen.add(format!("table {table}"), row.get::<_, String>(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_whole_run_is_seen_anywhere() {
    let talkative = "trace,lapin=trace,hyper=trace,hyper_util=trace,h2=trace,rustls=trace,tokio_postgres=trace,\
                     aws_config=trace,aws_sigv4=trace,reqwest=trace";
    let mut rig = Rig::with().own_servers().env("LONGSHORE_LOG", talkative).start().await;
    let temporary = AccessKey::new("AKIATEMP", TEMPORARY_SECRET).with_session_token(SESSION_TOKEN);
    let source =
        S3Server::start(Options { access_keys: vec![temporary], ..Options::default() }).await.expect("a server");
    source.put("tasks", "good.json", r#"{"image": "i"}"#);
    source.put("tasks", "bad.json", "{");
    rig.s3.create_bucket("out");
    let project = rig.project().await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    let mut heard = host.listen("longshore.events").await;
    let mut seen = SeenTexts::default();

    // Storages: made, refused for every kind of fault, changed, validated.
    let import = json!({
        "project": project, "bucket": "tasks", "s3_endpoint": source.endpoint(), "aws_access_key_id": "AKIATEMP",
        "aws_secret_access_key": TEMPORARY_SECRET, "aws_session_token": SESSION_TOKEN
    });
    let export = json!({
        "project": project, "bucket": "out", "s3_endpoint": rig.s3.endpoint(), "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET_ACCESS_KEY
    });
    let closed = format!("http://127.0.0.1:{}", longshore_local::ports::free().expect("a port"));
    for (field, value) in [
        ("bucket", json!("nowhere")),
        ("bucket", json!("a/b")),
        ("s3_endpoint", json!(closed)),
        ("s3_endpoint", json!(format!("http://me:{WRONG_SECRET}@127.0.0.1"))),
        ("aws_secret_access_key", json!(WRONG_SECRET)),
        ("aws_secret_access_key", json!([WRONG_SECRET])),
        ("aws_secret_access_key", json!(format!("{WRONG_SECRET}\u{0}"))),
        ("aws_session_token", json!(WRONG_SECRET)),
        ("presign", json!("maybe")),
    ] {
        let mut wrong = import.clone();
        wrong[field] = value;
        for path in ["/api/storages/s3", "/api/storages/s3/validate", "/api/storages/s3/files"] {
            let (status, body) = say(&rig, &mut seen, "POST", path, wrong.clone()).await;
            assert_eq!(status, 400, "{field}: {body}");
        }
    }
    let cut =
        rig.request("POST", "/api/storages/s3").bearer_auth(rig.token()).header("content-type", "application/json");
    let (_, body) = send_json(cut.body(format!("{{\"aws_secret_access_key\": \"{WRONG_SECRET}\", "))).await;
    seen.add("the answer to a body that is cut off", body.to_string());
    let (_, import) = say(&rig, &mut seen, "POST", "/api/storages/s3", import).await;
    let (_, export) = say(&rig, &mut seen, "POST", "/api/storages/export/s3", export).await;
    let import = format!("/api/storages/s3/{}", import["id"]);
    let export = format!("/api/storages/export/s3/{}", export["id"]);
    for path in [&import, &export] {
        assert_eq!(say(&rig, &mut seen, "PATCH", path, json!({"title": "T"})).await.0, 200);
        let (_, stored) = say(&rig, &mut seen, "GET", path, Value::Null).await;
        let (collection, _) = path.rsplit_once('/').expect("a collection");
        assert_eq!(say(&rig, &mut seen, "POST", &format!("{collection}/validate"), stored).await.0, 200);
    }

    // Syncs: import, export, with expired credentials, with an unavailable storage.
    assert_eq!(sync(&rig, &mut seen, &import).await["status"], "completed_with_errors");
    let (_, tasks) = say(&rig, &mut seen, "GET", &format!("/api/tasks?project={project}"), Value::Null).await;
    let annotations = format!("/api/tasks/{}/annotations", tasks["tasks"][0]["id"]);
    say(&rig, &mut seen, "POST", &annotations, json!({"result": []})).await;
    assert_eq!(sync(&rig, &mut seen, &export).await["status"], "completed");
    source.fail(Op::List, Fault::Error(S3ErrorCode::ExpiredToken));
    let failed = sync(&rig, &mut seen, &import).await;
    assert_eq!((&failed["status"], &failed["reason"]), (&json!("failed"), &json!("expired_credentials")));
    source.clear_faults();
    source.fail(longshore_local::s3::When::op(Op::List).times(1), Fault::Reset);
    assert_eq!(sync(&rig, &mut seen, &import).await["status"], "completed");

    // Tokens: created, used, wrong, deleted.
    let (_, made) =
        say(&rig, &mut SeenTexts::default(), "POST", "/api/tokens", json!({"name": "x", "role": "admin"})).await;
    let token = made["token"].as_str().expect("the token, shown this once").to_owned();
    for token in [token.as_str(), WRONG_SECRET] {
        let (_, body) = send_json(rig.request("GET", "/api/tokens").header("X-Api-Key", token)).await;
        seen.add("the list of tokens", body.to_string());
    }
    say(&rig, &mut seen, "DELETE", &format!("/api/tokens/{}", made["id"]), json!({})).await;

    // A message for a job that no worker takes, and all events about earlier jobs.
    rig.workers[0].stop().await.expect("the worker ends");
    say(&rig, &mut seen, "POST", &format!("{import}/sync"), json!({})).await;
    let waiting = until("a job waits", || async {
        let bodies = host.waiting_in("longshore.import").await;
        (!bodies.is_empty()).then_some(bodies)
    })
    .await;
    seen.add("the job queue", waiting.join("\n"));
    rig.add_worker().await;
    loop {
        let (key, event) = heard.next().await;
        seen.add(format!("event {key}"), event.to_string());
        if event["status"] == "failed" {
            break;
        }
    }
    for path in
        ["/api/storages", "/api/storages/export", "/api/syncs", "/api/quarantine", "/api/tokens", "/api/openapi.json"]
    {
        say(&rig, &mut seen, "GET", path, Value::Null).await;
    }
    for app in rig.schedulers.iter().chain(&rig.workers[1..]) {
        for path in ["metrics", "readyz", "healthz"] {
            let answer = reqwest::get(format!("{}/{path}", app.url())).await.expect("an answer");
            seen.add(format!("{path} of {}", app.process.name()), answer.text().await.expect("text"));
        }
    }
    add_rows(&rig, &mut seen).await;
    for app in rig.schedulers.iter().chain(&rig.workers) {
        let log = app.process.log();
        assert!(log.contains("\"level\":\"trace\""), "{} says what it can", app.process.name());
        seen.add(format!("the log of {}", app.process.name()), log);
    }
    for server in ["postgres", "rabbitmq"] {
        let log = std::fs::read(rig.stack.run_dir().log(server)).expect("a log");
        seen.add(format!("the log of {server}"), String::from_utf8_lossy(&log));
    }

    let (_, key) = rig.secret_keys().split_once(':').expect("a name and a key");
    let (database, broker) = (password(&rig.roles.database_url), password(&rig.roles.amqp_url));
    let secrets = [
        TEMPORARY_SECRET,
        SESSION_TOKEN,
        WRONG_SECRET,
        SECRET_ACCESS_KEY,
        rig.token(),
        &token,
        key,
        &database,
        &broker,
    ];
    let spelled: Vec<String> = secrets.iter().flat_map(|secret| spellings(secret)).collect();
    seen.check(&spelled);

    // At rest they are sealed.
    let db = rig.database().await;
    for secret in [TEMPORARY_SECRET, SESSION_TOKEN, SECRET_ACCESS_KEY] {
        let query = "SELECT count(*) FROM storages
                      WHERE secrets IS NULL OR position(convert_to($1, 'UTF8') IN secrets) > 0";
        assert_eq!(db.query_one(query, &[&secret]).await.expect("a count").get::<_, i64>(0), 0);
    }
}
