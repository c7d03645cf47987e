//! Limits on the memory and time that one request can take.

use longshore_rig::heavy::gzip;
use longshore_rig::proxy::Mode;
use longshore_rig::rig::{ACCESS_KEY_ID, Rig, SECRET_ACCESS_KEY, send_json, until};
use longshore_rig::usage::peak_mib;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1024 * 1024;

/// Sends exactly these bytes, and returns the answer up to a text that it must contain.
async fn exchange(rig: &Rig, sent: &str, words: &str) -> String {
    let address = rig.url().strip_prefix("http://").expect("a plain URL").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(sent.as_bytes()).await.expect("it takes all");
    let mut answer = Vec::new();
    let reading = async {
        let mut piece = [0; 4096];
        loop {
            let count = stream.read(&mut piece).await.expect("an answer");
            answer.extend_from_slice(&piece[..count]);
            let text = String::from_utf8_lossy(&answer);
            if count == 0 || text.contains(words) {
                return text.into_owned();
            }
        }
    };
    let patience = longshore_rig::rig::PATIENCE;
    tokio::time::timeout(patience, reading).await.unwrap_or_else(|_| panic!("no {words:?} in the answer"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_announces_too_much_is_refused_before_it_is_sent() {
    let rig = Rig::with().workers(0).start().await;
    let head = |path: &str, length: usize, token: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             authorization: Token {token}\r\n\r\n"
        )
    };
    for path in ["/api/projects", "/api/storages/s3/validate", "/api/tokens/"] {
        let answer = exchange(&rig, &head(path, 16 * MIB + 1, rig.token()), "body_too_large").await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{path}: {answer}");
        // A caller without a token gets 401, whatever it sends.
        let answer = exchange(&rig, &head(path, 16 * MIB + 1, "unknown"), "unauthorized").await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("unauthorized"), "{path}: {answer}");
    }
    // A client that sends the whole body before it reads still gets an answer.
    let post =
        || rig.request("POST", "/api/projects").bearer_auth(rig.token()).header("content-type", "application/json");
    let (status, body) = send_json(post().body(vec![b' '; 40 * MIB])).await;
    assert_eq!((status, &body["code"]), (413, &json!("body_too_large")), "{body}");
    // A body without an announced length is stopped at the limit.
    let pieces = futures::stream::iter((0..17).map(|_| Ok::<_, std::io::Error>(vec![b' '; MIB])));
    let (status, body) = send_json(post().body(reqwest::Body::wrap_stream(pieces))).await;
    assert_eq!((status, &body["code"]), (413, &json!("body_too_large")), "{body}");
    // The largest that is allowed is read.
    let title = json!({"title": "x"}).to_string();
    let largest = format!("{}{title}", " ".repeat(16 * MIB - title.len()));
    assert_eq!(send_json(post().body(largest)).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_body_depends_on_the_route_and_is_smallest_without_a_token() {
    let rig = Rig::with().workers(0).start().await;
    let routes = [
        ("/api/token/refresh", 8 * 1024),
        ("/api/tokens", 4 * MIB),
        ("/api/storages/s3", 4 * MIB),
        ("/api/storages/export/s3", 4 * MIB),
        ("/api/storages/s3/validate", 4 * MIB),
        ("/api/storages/s3/1/sync", 4 * MIB),
        ("/api/quarantine/replay", 4 * MIB),
    ];
    for (path, most) in routes {
        let post = || rig.request("POST", path).bearer_auth(rig.token()).header("content-type", "application/json");
        let blank = |bytes: usize| vec![b' '; bytes];
        let (status, body) = send_json(post().body(blank(most))).await;
        assert_ne!(status, 413, "{path}: the largest that is allowed is read: {body}");
        let (status, body) = send_json(post().body(blank(most + 1))).await;
        assert_eq!((status, &body["code"]), (413, &json!("body_too_large")), "{path}: {body}");
        // A body without an announced length is counted as it arrives.
        let pieces = [blank(most), blank(1)].map(Ok::<_, std::io::Error>);
        let pieces = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
        let (status, body) = send_json(post().body(pieces)).await;
        assert_eq!((status, &body["code"]), (413, &json!("body_too_large")), "{path}: {body}");
    }
    // A form is read like JSON.
    let form = |title: usize| {
        let request = rig.request("POST", "/api/storages/s3").bearer_auth(rig.token());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        send_json(request.body(format!("title={}", "x".repeat(title))))
    };
    assert_eq!(form(3 * MIB).await.0, 400);
    assert_eq!(form(4 * MIB).await.0, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_long_and_json_that_is_too_deep_are_refused() {
    let rig = Rig::start().await;
    let long = "x".repeat(MIB);
    let url = exchange(&rig, &format!("GET /api/tasks?a={long} HTTP/1.1\r\nhost: x\r\n\r\n"), "\r\n\r\n").await;
    assert!(url.starts_with("HTTP/1.1 414 ") || url.starts_with("HTTP/1.1 431 "), "{url}");
    let header = exchange(&rig, &format!("GET /api/tasks HTTP/1.1\r\nhost: x\r\na: {long}\r\n\r\n"), "\r\n\r\n").await;
    assert!(header.starts_with("HTTP/1.1 431 "), "{header}");
    let many: String = (0..1_000).map(|n| format!("a{n}: b\r\n")).collect();
    let headers = exchange(&rig, &format!("GET /api/tasks HTTP/1.1\r\nhost: x\r\n{many}\r\n"), "\r\n\r\n").await;
    assert!(headers.starts_with("HTTP/1.1 431 "), "{headers}");

    rig.s3.put("tasks", "one.json", "{}");
    let storage = rig.import_storage(rig.project().await, "tasks", json!({})).await;
    rig.sync_to_end(&storage).await;
    let task = rig.get(&format!("/api/tasks?project={}", storage.project)).await["tasks"][0]["id"].clone();
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let cases = [
        ("/api/storages/s3".to_owned(), format!("{{\"title\": {}}}", nested(100_000)), 400),
        ("/api/tokens".to_owned(), format!("{{\"projects\": {}}}", nested(100_000)), 400),
        (format!("/api/tasks/{task}/annotations"), format!("{{\"result\": {}}}", nested(1_000_000)), 400),
        (format!("/api/tasks/{task}/annotations"), format!("{{\"result\": {}}}", nested(101)), 400),
        (format!("/api/tasks/{task}/annotations"), format!("{{\"result\": [\"{}\"]}}", "[".repeat(101)), 201),
        (format!("/api/tasks/{task}/annotations"), format!("{{\"result\": {}}}", nested(100)), 201),
    ];
    for (path, body, expected) in cases {
        let request = rig.request("POST", &path).bearer_auth(rig.token()).header("content-type", "application/json");
        let (status, answer) = send_json(request.body(body)).await;
        assert_eq!(status, expected, "{path}: {answer}");
        if expected == 400 {
            assert!(
                ["parse_error", "validation_error"].contains(&answer["code"].as_str().expect("a code")),
                "{answer}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_answer_times_out_and_the_next_one_succeeds() {
    let rig = Rig::with().workers(0).env("LONGSHORE_DATABASE_PATIENCE_SECONDS", "1").start().await;
    // A query whose answer from the database is lost.
    let locked = rig.freeze("LOCK TABLE projects IN ACCESS EXCLUSIVE MODE").await;
    let asked = rig.request("GET", "/api/projects").bearer_auth(rig.token());
    let asked = tokio::spawn(send_json(asked));
    locked.reached("SELECT").await;
    rig.scheduler_links.database.strand();
    locked.release().await;
    let (status, body) = asked.await.expect("no panic");
    assert_eq!((status, &body["code"]), (503, &json!("timed_out")), "{body}");

    // A body of which the end never comes.
    let head = format!(
        "POST /api/projects HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\
         authorization: Token {}\r\n\r\n{{",
        rig.token()
    );
    let answer = exchange(&rig, &head, "timed_out").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("timed_out"), "{answer}");

    rig.scheduler_links.database.set(Mode::Pass).await;
    until("the API answers again", || async { (rig.call("GET", "/api/projects", None).await.0 == 200).then_some(()) })
        .await;
}

/// Settings of an import from a bucket of the rig.
fn settings(rig: &Rig, project: i64, bucket: &str, regex: &str) -> Value {
    json!({
        "project": project, "bucket": bucket, "s3_endpoint": rig.s3.endpoint(), "use_blob_urls": true,
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY, "regex_filter": regex
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_filter_without_end_is_stopped_when_saved_and_in_a_sync() {
    let rig = Rig::start().await;
    let slow = |n: usize| format!("{n:04}{}!", "a".repeat(200));
    rig.s3.put_many("pics", (0..500).map(|n| (slow(n), "")).chain([("good.png".to_owned(), "")]));
    let project = rig.project().await;

    // Expressions that compile to more memory than a machine has, or are nested deeper than a stack.
    let too_large = [
        "((a{100}){100}){100}".to_owned(),
        "(?=((a{1000}){1000}){1000})".to_owned(),
        format!("{}a{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("{}a{}", "(?=".repeat(20_000), ")".repeat(20_000)),
        "[".repeat(50_000),
        "a|".repeat(1_000_000),
    ];
    for regex in too_large {
        let sent = Some(settings(&rig, project, "pics", &regex));
        let (status, body) = rig.call("POST", "/api/storages/s3", sent).await;
        let start = &regex[..regex.len().min(30)];
        assert_eq!((status, &body["code"]), (400, &json!("validation_error")), "{start}");
        assert!(body["validation_errors"]["regex_filter"].is_array(), "{start}: {body}");
        assert!(body.to_string().len() < 10_000, "{start}: the whole expression is no help");
    }

    // Small expressions that would try every way to split a key.
    for (regex, undecided) in
        [(r"good|(\d{4})(a|aa)+\1c", 500), (r"good|\d{4}(?:a|a?)+(?=b)", 500), (r"good|(?=(\d+a+)+$)b", 0)]
    {
        let sent = settings(&rig, project, "pics", regex);
        let preview = rig.post("/api/storages/s3/files", sent.clone()).await;
        assert_eq!(preview["files"].as_array().expect("files").len(), 1, "{regex}: {preview}");
        let id = rig.post("/api/storages/s3", sent).await["id"].as_i64().expect("an id");
        let storage = longshore_rig::rig::StorageHandle { id, project, path: "/api/storages/s3" };
        let sync = rig.sync_to_end(&storage).await;
        // No key is lost: those that it cannot decide are quarantined.
        let status = if undecided > 0 { "completed_with_errors" } else { "completed" };
        assert_eq!(sync["status"], status, "{regex}: {sync}");
        assert_eq!(
            (&sync["counts"]["listed"], &sync["counts"]["created"], &sync["counts"]["quarantined"]),
            (&json!(501), &json!(1), &json!(undecided)),
            "{regex}: {sync}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_bombs_are_quarantined_or_read_one_by_one() {
    /// The bound of a worker with default settings.
    const PEAK_MIB: u64 = 256;
    let rig = Rig::start().await;
    let blank = vec![b' '; 300 * MIB];
    let (gz, zst) = (
        gzip(&blank),
        ruzstd::encoding::compress_to_vec(blank.as_slice(), ruzstd::encoding::CompressionLevel::Fastest),
    );
    drop(blank);
    rig.s3.put("tasks", "1.json.gz", gz.clone());
    rig.s3.put("tasks", "2.json.gz", gz.clone());
    rig.s3.put("tasks", "3.jsonl.zst", zst);
    // Known by its first bytes only.
    rig.s3.put("tasks", "4.json", gz);
    for n in 0..2 {
        // Valid after unpacking, but much larger than its size suggests.
        let list = json!(vec![json!({"text": "x".repeat(MIB)}); 8]).to_string();
        rig.s3.put("tasks", &format!("good-{n}.json.gz"), gzip(list.as_bytes()));
    }
    rig.s3.put("tasks", "plain.json", r#"{"text": "x"}"#);
    let storage = rig.import_storage(rig.project().await, "tasks", json!({})).await;
    let sync = rig.sync_to_end(&storage).await;
    assert_eq!(sync["status"], "completed_with_errors", "{sync}");
    let counts = |name: &str| sync["counts"][name].as_u64().expect("a count");
    assert_eq!((counts("matched"), counts("quarantined"), counts("created")), (7, 4, 17), "{sync}");
    for row in rig.quarantine(&storage).await {
        assert_eq!(row["reason"], "too_large", "{row}");
    }
    let peak = peak_mib(&rig.workers[0]);
    assert!(peak <= PEAK_MIB, "{peak} MiB");
}
