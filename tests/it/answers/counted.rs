//! Every large answer counts against the memory limit, also one of many small rows, and a change whose answer is
//! refused does not happen.

use longshore_rig::amqp::AmqpHost;
use longshore_rig::rig::{Rig, send_json, until};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{annotate, ids, insert, shown};

/// A scheduler with 12 MiB for answers; one token may use half of it.
async fn small_rig() -> Rig {
    let rig = Rig::with().workers(0).env("LONGSHORE_API_MEMORY_MB", "16").env("LONGSHORE_SEND_SECONDS", "600");
    rig.start().await
}

/// A token, and a connection that requested a large task with it and does not read. It uses the token's whole share,
/// because 30 MB do not fit into socket buffers.
async fn greedy(rig: &Rig, project: i64) -> (String, TcpStream) {
    let task = insert(rig, project, "SELECT jsonb_build_object('text', repeat('x', 30000000))").await;
    let path = format!("/api/tasks/{task}");
    let made = rig.post("/api/tokens", json!({"name": "greedy", "role": "admin"})).await;
    let token = made["token"].as_str().expect("a token").to_owned();
    let address = rig.url().strip_prefix("http://").expect("a plain URL").to_owned();
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Token {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("it takes the head");
    (token, stream)
}

/// Repeats a request until it is refused because the token's share is used up.
async fn until_refused(rig: &Rig, token: &str, method: &str, path: &str) {
    until("the token's share is held", || async {
        let (status, body) = send_json(rig.request(method, path).bearer_auth(token)).await;
        assert!(status == 200 || body["code"] == "too_many_bytes", "{status} {body}");
        (status == 429).then_some(())
    })
    .await;
}

/// Goal: rows without JSON count too. Method: a client that does not read a task of some megabytes whose annotations
/// are all `[]`.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_many_small_rows_is_counted() {
    let rig = small_rig().await;
    let project = rig.project().await;
    let task = insert(&rig, project, "SELECT '{}'").await;
    let db = rig.database().await;
    for table in ["annotations", "predictions"] {
        let rows = format!(
            "INSERT INTO {table} (task_id, project_id, result) SELECT $1, $2, '[]' FROM generate_series(1, 10000)"
        );
        db.execute(&rows, &[&task, &project]).await.expect("rows");
    }
    let (whole, _) = shown(&rig, &format!("/api/tasks/{task}")).await;
    assert_eq!((ids(&whole["annotations"]).len(), ids(&whole["predictions"]).len()), (10_000, 10_000));
    assert!(whole.to_string().len() > 3_000_000, "{}", whole.to_string().len());

    let (token, _unread) = greedy(&rig, project).await;
    // The list of annotations is shorter, so it is refused last.
    until_refused(&rig, &token, "GET", &format!("/api/tasks/{task}/annotations")).await;
    until_refused(&rig, &token, "GET", &format!("/api/tasks/{task}")).await;
    until_refused(&rig, &token, "GET", &format!("/api/tasks?project={project}&fields=all")).await;
    let small = rig.request("GET", "/api/projects").bearer_auth(&token);
    assert_eq!(send_json(small).await.0, 200, "what is small is always served");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_above_16_mib_is_shown_without_its_results_and_its_annotations_by_themselves() {
    let rig = Rig::with().workers(0).start().await;
    let project = rig.project().await;
    let twenty = "SELECT jsonb_build_object('text', repeat('x', 20000000))";
    let (small, large) = (insert(&rig, project, "SELECT '{}'").await, insert(&rig, project, twenty).await);
    for task in [small, large] {
        annotate(&rig, task, "SELECT '[1]'").await;
        annotate(&rig, task, "SELECT jsonb_build_array(repeat('x', 20000000))").await;
    }
    let left_out = async |task: i64| {
        let task = rig.get(&format!("/api/tasks/{task}")).await;
        assert!(task.get("left_out").is_none(), "the task itself is shown");
        let annotations = task["annotations"].as_array().expect("annotations").clone();
        annotations.into_iter().map(|annotation| annotation["left_out"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(left_out(small).await, [Value::Null, json!("answer_full")]);
    assert_eq!(left_out(large).await, [json!("answer_full"), json!("answer_full")]);
    let alone = rig.get(&format!("/api/tasks/{large}/annotations")).await;
    assert_eq!(alone[0]["result"], json!([1]));
    let second = rig.get(&format!("/api/tasks/{large}/annotations?after={}", alone[0]["id"])).await;
    assert_eq!(second[0]["result"][0].as_str().map(str::len), Some(20_000_000));
}

/// Goal: a change of a sync either happens and is answered, or does not happen. Method: a sync with many tasks, and a
/// token whose share is used up.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_cannot_be_shown_is_neither_cancelled_nor_retried() {
    let rig = small_rig().await;
    rig.s3.create_bucket("out");
    let project = rig.project().await;
    let storage = rig.export_storage(project, "out", json!({})).await;
    let tasks: Vec<i64> = (1..=100_000).collect();
    let start = format!("{}/{}/sync", storage.path, storage.id);
    rig.post(&start, json!({"options": {"tasks": tasks}})).await;
    let list = rig.get(&format!("/api/syncs?storage={}", storage.id)).await;
    let sync = list["syncs"][0]["id"].as_i64().expect("an id");

    let (token, _unread) = greedy(&rig, project).await;
    until_refused(&rig, &token, "GET", &format!("/api/syncs/{sync}")).await;
    let status = async || rig.get(&format!("/api/syncs/{sync}")).await["status"].clone();
    until_refused(&rig, &token, "POST", &format!("/api/syncs/{sync}/cancel")).await;
    assert_eq!(status().await, "queued");
    let cancelled = rig.post(&format!("/api/syncs/{sync}/cancel"), json!({})).await;
    assert_eq!((&cancelled["status"], &cancelled["jobs"][0]["state"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(cancelled["options"]["tasks"].as_array().map(Vec::len), Some(100_000));

    until_refused(&rig, &token, "POST", &format!("/api/syncs/{sync}/retry")).await;
    let list = rig.get(&format!("/api/syncs?storage={}", storage.id)).await;
    assert_eq!(ids(&list["syncs"]), [sync], "no sync was made");
    let retried = rig.post(&format!("/api/syncs/{sync}/retry"), json!({})).await;
    assert_eq!(retried["options"], cancelled["options"]);

    // Events have the progress, not the options of the sync.
    let path = format!("/api/syncs/{sync}/events");
    let events = rig.request("GET", &path).bearer_auth(rig.token()).send().await.expect("a stream");
    let events = events.text().await.expect("it ends");
    assert!(events.contains("event: end\n") && events.contains("\"jobs\""), "{events}");
    assert!(!events.contains("options"), "{} bytes", events.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_that_cannot_be_shown_is_not_created() {
    let rig = small_rig().await;
    let project = rig.project().await;
    let task = insert(&rig, project, "SELECT '{}'").await;
    let (token, _unread) = greedy(&rig, project).await;
    let path = format!("/api/tasks/{task}/annotations");
    let list = format!("/api/tasks?project={project}&page_size=1000");
    until_refused(&rig, &token, "GET", &list).await;
    // Too small to count as a body (twice 30 kB), but it counts as an answer (three times).
    let result = json!({"result": ["x".repeat(30_000)]});
    let post = rig.request("POST", &path).bearer_auth(&token).json(&result);
    let (status, body) = send_json(post).await;
    assert_eq!((status, &body["code"]), (429, &json!("too_many_bytes")), "{body}");
    assert!(ids(&rig.get(&path).await).is_empty());
    assert_eq!(rig.post(&path, result).await["result"][0].as_str().map(str::len), Some(30_000));
}

/// Goal: dead letters count, whose bodies may be six times as long in JSON. Method: as above, with bodies of control
/// characters.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_dead_letters_is_counted() {
    let rig = small_rig().await;
    let host = AmqpHost::connect(&rig.amqp_url).await;
    for _ in 0..50 {
        host.send("longshore.dead", &[0; 1024]).await;
    }
    let path = "/api/dead-letters?limit=1000";
    let page = rig.get(path).await;
    assert!(page.to_string().len() > 50 * 6 * 1024, "{}", page.to_string().len());

    let (token, _unread) = greedy(&rig, rig.project().await).await;
    until_refused(&rig, &token, "GET", path).await;
    assert_eq!(rig.get(path).await["count"], 50, "others read on");
}
