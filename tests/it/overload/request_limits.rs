//! Which requests count against the limit of concurrent requests, and for how long.

use longshore_rig::rig::{PATIENCE, Rig, RigOptions, send_json, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::token;

/// Requests of one token, and of the links of one project.
const OWN: usize = 2;

/// More bytes than the socket buffers hold of an unread answer.
const LARGE: usize = 32 * 1024 * 1024;

/// A scheduler with low limits that waits long for clients that do not read.
fn few_places() -> RigOptions {
    let few = Rig::with().workers(0).env("LONGSHORE_REQUESTS", (4 * OWN).to_string());
    few.env("LONGSHORE_TOKEN_REQUESTS", OWN.to_string()).env("LONGSHORE_SEND_SECONDS", "600")
}

/// Sends a request, and reads the start of its answer.
async fn begun(rig: &Rig, path: &str, headers: &str) -> (TcpStream, String) {
    let address = rig.url().strip_prefix("http://").expect("a plain URL").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.expect("it takes the head");
    let mut start = [0; 12];
    let reading = timeout(PATIENCE, stream.read_exact(&mut start));
    reading.await.expect("an answer in time").expect("the start of an answer");
    (stream, String::from_utf8(start.to_vec()).expect("text"))
}

async fn drain(mut stream: TcpStream) {
    // An answer without a length also ends if the socket is closed early.
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it ends").ok();
}

/// A task in a new project with a large object that is streamed, and the link to it.
async fn linked(rig: &Rig, bucket: &str) -> String {
    rig.s3.put(bucket, "large.bin", vec![b'x'; LARGE]);
    let project = rig.project().await;
    rig.import_storage(project, bucket, json!({"presign": false})).await;
    let insert = "INSERT INTO tasks (project_id, data) VALUES ($1, $2) RETURNING id";
    let data = json!({"object": format!("s3://{bucket}/large.bin")});
    let row = rig.database().await.query_one(insert, &[&project, &data]).await.expect("a task");
    let shown = rig.get(&format!("/api/tasks/{}", row.get::<_, i64>(0))).await;
    shown["data"]["object"].as_str().expect("a link").to_owned()
}

/// Whether a request is refused with 429, from its headers alone.
async fn is_refused(rig: &Rig, path: &str, token: Option<&str>) -> bool {
    let request = rig.request("GET", path);
    let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
    let answer = request.send().await.expect("an answer");
    match answer.status().as_u16() {
        200 => false,
        429 => {
            assert!(answer.headers().contains_key("retry-after"));
            assert_eq!(answer.json::<Value>().await.expect("JSON")["code"], "too_many_requests");
            true
        }
        status => panic!("{status} for {path}"),
    }
}

/// Goal: an answer counts until it is read. Method: clients that read only its first bytes, so that it is complete in
/// memory.
#[tokio::test(flavor = "multi_thread")]
async fn an_unread_answer_counts_against_the_limit_of_its_token() {
    let rig = few_places().start().await;
    let project = rig.project().await;
    let insert = "INSERT INTO tasks (project_id, data) VALUES ($1, jsonb_build_object('text', repeat('x', 10000000)))";
    rig.database().await.execute(insert, &[&project]).await.expect("a task");
    let (_, reader) = token(&rig, "reader", "read", Value::Null).await;
    let path = format!("/api/tasks?project={project}");
    let mut unread = Vec::new();
    for _ in 0..OWN {
        let authorization = format!("authorization: Token {reader}\r\nconnection: close\r\n");
        let (stream, start) = begun(&rig, &path, &authorization).await;
        assert_eq!(start, "HTTP/1.1 200");
        unread.push(stream);
    }
    assert!(is_refused(&rig, "/api/projects", Some(&reader)).await);
    assert!(!is_refused(&rig, "/api/projects", Some(rig.token())).await);
    drain(unread.pop().expect("a socket")).await;
    until("its permit is free", async || (!is_refused(&rig, "/api/projects", Some(&reader)).await).then_some(())).await;
}

/// Goal: links of one project do not lock out other projects. Method: as many link requests as one project may have, to
/// an object that the clients do not read.
#[tokio::test(flavor = "multi_thread")]
async fn links_of_one_project_do_not_lock_out_another_project() {
    let rig = few_places().start().await;
    let (own, other) = (linked(&rig, "own").await, linked(&rig, "other").await);
    let mut unread = Vec::new();
    for _ in 0..OWN {
        let (stream, start) = begun(&rig, &own, "connection: close\r\n").await;
        assert_eq!(start, "HTTP/1.1 200");
        unread.push(stream);
    }
    assert!(is_refused(&rig, &own, None).await);
    assert!(!is_refused(&rig, &other, None).await);
    assert!(!is_refused(&rig, "/api/projects", Some(rig.token())).await);
    drain(unread.pop().expect("a socket")).await;
    until("its permit is free", async || (!is_refused(&rig, &own, None).await).then_some(())).await;
}

/// Goal: a caller without a token or a valid link does not count against the limit. Method: more requests with invalid
/// links than the limit, each with an announced body that never comes, for which a refusal would wait.
#[tokio::test(flavor = "multi_thread")]
async fn unsigned_links_do_not_count_against_the_limits() {
    let rig = few_places().start().await;
    let link = linked(&rig, "pics").await;
    let forged = link.replace("signature=", "signature=A");
    let mut sockets = Vec::new();
    for path in ["/tasks/1/resolve?signature=x", &forged].into_iter().cycle().take(8 * OWN) {
        let (socket, start) = begun(&rig, path, "content-length: 5000000\r\n").await;
        assert_eq!(start, "HTTP/1.1 403", "{path}");
        sockets.push(socket);
    }
    assert!(!is_refused(&rig, &link, None).await);
    // A valid link with such a body is refused, and no longer counts while the body is discarded.
    for _ in 0..2 * OWN {
        let (socket, start) = begun(&rig, &link, "content-length: 5000000\r\n").await;
        assert_eq!(start, "HTTP/1.1 413");
        sockets.push(socket);
    }
    assert!(!is_refused(&rig, &link, None).await);
    assert_eq!(send_json(rig.request("GET", "/healthz")).await.0, 200);
}

/// Goal: a body without a token costs little. Method: a body that is too long, announced or not, is refused before it
/// is complete.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_asks_for_a_token_is_short() {
    let rig = few_places().start().await;
    for (length, expected) in [(1024, (401, "unauthorized")), (8 * 1024, (413, "body_too_large"))] {
        let text = json!({"refresh": "x".repeat(length)}).to_string();
        let pieces = futures::stream::iter([Ok::<_, std::io::Error>(text.clone())]);
        for body in [reqwest::Body::from(text), reqwest::Body::wrap_stream(pieces)] {
            let request = rig.request("POST", "/api/token/refresh").header("content-type", "application/json");
            let (status, answer) = send_json(request.body(body)).await;
            assert_eq!((status, answer["code"].as_str()), (expected.0, Some(expected.1)), "{length} bytes: {answer}");
        }
    }
}
