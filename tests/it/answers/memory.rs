//! The memory of a scheduler, whatever clients request and whether or not they read the answers.

use longshore_rig::rig::{PATIENCE, Rig, send_json, until};
use longshore_rig::usage::peak_mib;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ANSWER, MIB, TEN_MEGABYTES, annotate, asked, insert};

/// Limit of the peak memory of a scheduler with default settings.
const PEAK_MIB: u64 = 512;

fn check_peak(rig: &Rig, after: &str) {
    let peak = peak_mib(&rig.schedulers[0]);
    println!("{peak} MiB after {after}");
    assert!(peak < PEAK_MIB, "{peak} MiB after {after}");
}

/// Creates another token.
async fn token(rig: &Rig, name: &str, role: &str) -> String {
    let made = rig.post("/api/tokens", json!({"name": name, "role": role})).await;
    made["token"].as_str().expect("a token").to_owned()
}

/// A connection that sent this request and does not read.
async fn ask(rig: &Rig, path: &str, token: &str) -> TcpStream {
    let address = rig.url().strip_prefix("http://").expect("a plain URL").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Token {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("it takes the head");
    stream
}

/// The same after the answer has begun, with its status.
async fn begun(rig: &Rig, path: &str, token: &str) -> (TcpStream, u16) {
    let mut stream = ask(rig, path, token).await;
    let mut start = [0; "HTTP/1.1 200".len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut start)).await.expect("an answer").expect("its start");
    let status = std::str::from_utf8(&start).ok().and_then(|start| start.rsplit(' ').next()?.parse().ok());
    (stream, status.expect("a status"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_stays_below_512_mib_however_large_the_requested_tasks_and_annotations_are() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let mut tasks = Vec::new();
    for _ in 0..60 {
        tasks.push(insert(&rig, project, TEN_MEGABYTES).await);
    }
    let annotated = insert(&rig, project, "SELECT '{}'").await;
    for _ in 0..60 {
        annotate(&rig, annotated, "SELECT jsonb_build_array(repeat('x', 10000000))").await;
    }
    let paths = [
        format!("/api/tasks?project={project}&page_size=1000"),
        format!("/api/tasks?project={project}&page_size=1000&fields=all"),
        format!("/api/tasks?project={project}&after={}", annotated - 1),
        format!("/api/tasks/{annotated}"),
        format!("/api/tasks/{annotated}/annotations"),
    ];
    for path in paths {
        let clients = (0..8).map(|_| asked(&rig, &path));
        for (status, text, _) in futures::future::join_all(clients).await {
            assert!(status == 200 || status == 429, "{path}: {status} {}", &text[..text.len().min(500)]);
            assert!(text.len() <= ANSWER, "{path}: {} bytes", text.len());
        }
        check_peak(&rig, &format!("8 clients at {path}"));
    }
    // Without `fields=all` no annotation is read.
    let (_, list, _) = asked(&rig, &format!("/api/tasks?project={project}&after={}", annotated - 1)).await;
    assert!(list.len() < 10_000 && list.contains("\"annotations_ids\":\""), "{} bytes", list.len());

    // The largest tasks that are shown, for two tokens.
    let other = token(&rig, "other", "read").await;
    let largest = insert(&rig, project, "SELECT jsonb_build_object('text', repeat('x', 38000000))").await;
    let clients = (0..8).map(|n| {
        let token = if n % 2 == 0 { rig.token() } else { &*other };
        send_json(rig.request("GET", &format!("/api/tasks/{largest}")).bearer_auth(token))
    });
    let statuses: Vec<u16> = futures::future::join_all(clients).await.into_iter().map(|(status, _)| status).collect();
    assert!(statuses.contains(&200) && statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    check_peak(&rig, "8 clients of two tokens at a task of 38 MB");

    // Clients that read only the start of their answers, which are complete in memory then.
    let path = format!("/api/tasks?project={project}&page_size=1000");
    let silent = futures::future::join_all((0..8).map(|_| begun(&rig, &path, rig.token()))).await;
    let unread = silent.iter().filter(|(_, status)| *status == 200).count();
    assert!(unread > 0 && silent.iter().all(|(_, status)| [200, 429].contains(status)), "{unread} unread");
    let one = rig.request("GET", &format!("/api/tasks/{}", tasks[0])).bearer_auth(&other);
    assert_eq!(send_json(one).await.0, 200, "another token is served meanwhile");
    check_peak(&rig, &format!("8 clients that do not read, {unread} of them answered"));
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_disconnected_and_holds_the_share_of_its_token_alone() {
    let rig =
        Rig::with().workers(0).env("LONGSHORE_SEND_SECONDS", "3").env("LONGSHORE_API_MEMORY_MB", "120").start().await;
    let project = rig.project().await;
    for _ in 0..4 {
        insert(&rig, project, TEN_MEGABYTES).await;
    }
    let greedy = token(&rig, "greedy", "read").await;
    let path = format!("/api/tasks?project={project}");
    let silent = futures::future::join_all((0..8).map(|_| begun(&rig, &path, &greedy))).await;
    let statuses: Vec<u16> = silent.iter().map(|(_, status)| *status).collect();
    assert!(statuses.contains(&200) && statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    // Its share is used up at some point, but only its own.
    let by = async |token: &str| {
        let answer = rig.request("GET", &path).bearer_auth(token).send().await.expect("an answer");
        let retry = answer.headers().get("retry-after").cloned();
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a whole answer");
        assert_eq!(retry.is_some(), status == 429);
        assert!(status == 200 || text.contains("\"code\":\"too_many_bytes\""), "{text}");
        status
    };
    assert_eq!(by(rig.token()).await, 200);
    let small = rig.request("GET", "/api/projects").bearer_auth(&greedy);
    assert_eq!(send_json(small).await.0, 200, "what is small is always served");
    until("the clients that do not read are gone", || async { (by(&greedy).await == 200).then_some(()) }).await;

    for (mut stream, status) in silent {
        if status == 200 {
            let mut rest = Vec::new();
            let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest));
            reading.await.expect("the connection ends").ok();
            assert!(rest.len() < 10_000_000, "it was sent all of its answer");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_with_a_million_uris_are_refused_with_little_memory_while_others_are_served() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let task = insert(&rig, project, "SELECT '{\"image\": \"s3://b/1\"}'").await;
    let uris: Vec<String> = (0..700_000).map(|n| format!("\"s3://b/{n:09}\"")).collect();
    let html: Vec<String> = (0..500_000).map(|n| format!("<a href='s3://b/{n:07}'>")).collect();
    let too_many = (400, Some("too_many_uris"));
    let bodies = [
        (format!("{{\"task\": {task}, \"document\": [{}]}}", uris.join(",")), too_many),
        (format!("{{\"task\": {task}, \"document\": \"{}\"}}", html.join("")), too_many),
        // The same few URIs a million times, escaped URIs, and quotes that never close.
        (format!("{{\"task\": {task}, \"document\": [{}]}}", vec!["\"s3://b/1\""; 1_000_000].join(",")), (200, None)),
        (format!("{{\"task\": {task}, \"document\": [\"{}\"]}}", "\\u0073\\u0033://".repeat(900_000)), (200, None)),
        (format!("{{\"task\": {task}, \"document\": [\"{}\"]}}", "url(s3:// '\\\"".repeat(1_000_000)), (200, None)),
        (
            format!(
                "{{\"task\": {task}, \"document\": {}\"s3://b/1\"{}}}",
                "[".repeat(5_000_000),
                "]".repeat(5_000_000)
            ),
            (200, None),
        ),
    ];
    let no_memory = [(429, Some("too_many_bytes")), (429, Some("too_busy"))];
    for (body, expected) in bodies {
        assert!(body.len() < 16 * MIB, "{} bytes", body.len());
        let reader = token(&rig, &format!("reader-{}", body.len()), "read").await;
        let asked = (0..24).map(|_| {
            let request = rig.request("POST", "/api/resolve").bearer_auth(&reader);
            send_json(request.header("content-type", "application/json").body(body.clone()))
        });
        let (answers, healthy) = tokio::join!(futures::future::join_all(asked), async {
            let mut served = 0;
            for _ in 0..10 {
                served += usize::from(send_json(rig.request("GET", "/healthz")).await.0 == 200);
                served += usize::from(rig.call("GET", "/api/projects", None).await.0 == 200);
            }
            served
        });
        assert_eq!(healthy, 20);
        let start = &body[..60];
        for (status, answer) in &answers {
            let got = (*status, answer["code"].as_str());
            assert!(got == expected || no_memory.contains(&got), "{start}: {got:?} and not {expected:?}");
        }
        assert!(answers.iter().any(|(status, _)| *status != 429), "{start}: none was looked at");
        check_peak(&rig, start);
    }
}
