//! Limits of requests without a token and of requests of one token, so that others are still served.

mod request_limits;

use futures::future::join_all;
use longshore_local::s3::Op;
use longshore_local::{App, ports};
use longshore_rig::rig::{PATIENCE, Rig, send_json, until};
use longshore_rig::usage::allow_open_files;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A token with this role for all projects, or for these.
async fn token(rig: &Rig, name: &str, role: &str, projects: Value) -> (i64, String) {
    let made = rig.post("/api/tokens", json!({"name": name, "role": role, "projects": projects})).await;
    (made["id"].as_i64().expect("an id"), made["token"].as_str().expect("a token").to_owned())
}

/// The sum of a metric of a process, over the series whose labels contain these words.
pub(crate) async fn metric(app: &App, name: &str, labels: &str) -> f64 {
    let text = reqwest::get(format!("{}/metrics", app.url())).await.expect("an answer").text().await.expect("text");
    let series = text.lines().filter(|line| line.starts_with(name) && line.contains(labels));
    series.filter_map(|line| line.rsplit_once(' ')).map(|(_, value)| value.parse::<f64>().expect("a number")).sum()
}

/// Goal: incomplete request heads do not block other clients. Method: more of them than a listener has sockets, from
/// one address that may have all of them.
#[tokio::test(flavor = "multi_thread")]
async fn half_sent_heads_close_neither_the_api_nor_health_nor_the_metrics_of_a_worker() {
    allow_open_files();
    let rig = Rig::with().env("LONGSHORE_PEER_CONNECTIONS", "10000").start().await;
    let http = || reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("an HTTP client");
    for (app, sockets) in [(&rig.schedulers[0], 1_024), (&rig.workers[0], 256)] {
        let address = app.url().strip_prefix("http://").expect("a plain URL").to_owned();
        let mut slow = Vec::new();
        let heads = sockets + 300;
        for _ in 0..heads {
            let mut client = TcpStream::connect(&address).await.expect("a socket");
            client.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await.expect("half a head");
            slow.push(client);
        }
        for path in ["healthz", "readyz", "metrics"] {
            let answer = http().get(format!("{}/{path}", app.url())).send().await.expect("an answer");
            assert_eq!(answer.status(), 200, "{path}");
        }
        let closed = metric(app, "longshore_http_connections_closed_total", "evicted").await;
        assert!(closed >= (heads - sockets) as f64, "{closed} closed to make room");
        assert_eq!(metric(app, "longshore_http_connections_closed_total", "full").await, 0.0);
        // An admin's request is also served.
        let answer = http().get(format!("{}/api/projects", rig.url())).bearer_auth(rig.token()).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
        drop(slow);
    }
}

/// Goal: requests without a token cost little. Method: floods of them, while the test counts texts, checks and queries.
/// The limits are rates, so that they also hold on a slow machine.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_scrapes_and_guessed_tokens_cost_few_queries() {
    const CLIENTS: usize = 64;
    const REQUESTS: usize = 20;
    let rig = Rig::with().workers(0).start().await;
    let scheduler = &rig.schedulers[0];
    let flood = async |path: &str, expected: u16| {
        let clients = (0..CLIENTS).map(async |client| {
            for request in 0..REQUESTS {
                let guess = format!("guess-{path}-{client}-{request}");
                let answer = rig.request("GET", path).bearer_auth(guess).send().await.expect("an answer");
                assert_eq!(answer.status(), expected, "{path}");
            }
        });
        join_all(clients).await;
    };
    let counts = async || {
        let texts = metric(scheduler, "longshore_metrics_encoded_total", "").await;
        (texts, metric(scheduler, "longshore_token_queries_total", "").await)
    };
    // A scrape may be a second old: until it shows a query that was made after the last one.
    let settled = async || {
        let before = counts().await.1;
        until("a new text", async || {
            send_json(rig.request("GET", "/api/projects").bearer_auth("another-guess")).await;
            let counts = counts().await;
            (counts.1 > before).then_some(counts)
        })
        .await
    };
    let (texts, queries) = settled().await;
    let started = Instant::now();
    let (_, fresh) = token(&rig, "fresh", "read", Value::Null).await;
    let good = async {
        let (status, body) = send_json(rig.request("GET", "/api/projects").bearer_auth(&fresh)).await;
        assert_eq!(status, 200, "a good token is let in beside the guesses: {body}");
    };
    tokio::join!(flood("/metrics", 200), flood("/api/projects", 401), flood("/readyz", 200), good);
    let (texts_after, queries_after) = settled().await;
    let elapsed = started.elapsed().as_secs_f64();
    assert!(texts_after - texts <= elapsed + 2.0, "{} texts in {elapsed} s", texts_after - texts);
    assert!(queries_after - queries <= elapsed * 100.0 + 4.0, "{} queries in {elapsed} s", queries_after - queries);
}

/// A sync that runs until its listing is released.
async fn running_sync(rig: &Rig) -> (i64, longshore_local::s3::Hold) {
    let images = rig.images("watched", 10).await;
    let listing = rig.s3.hold(Op::List);
    let sync = rig.sync(&images.storage).await;
    listing.reached().await;
    (sync, listing)
}

/// Reads a stream until it ends.
async fn until_it_ends(mut stream: reqwest::Response) {
    let reading = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(PATIENCE, reading).await.expect("the stream ends");
}

/// Goal: event streams of one token slow no other request, and end with the token. Method: 900 of them; readings
/// are counted, at a rate that a slow machine does not exceed.
#[tokio::test(flavor = "multi_thread")]
async fn event_streams_of_a_token_are_limited_share_one_query_and_end_when_it_is_deleted() {
    const STREAMS: usize = 900;
    allow_open_files();
    // Sockets for all of them, though they come from one address.
    let rig = Rig::with().env("LONGSHORE_CONNECTIONS", "2048").start().await;
    let (sync, listing) = running_sync(&rig).await;
    let (id, watcher) = token(&rig, "watcher", "read", Value::Null).await;
    let path = format!("/api/syncs/{sync}/events");
    let started = Instant::now();
    let asked = (0..STREAMS).map(|_| rig.request("GET", &path).bearer_auth(&watcher).send());
    let answers: Vec<_> = join_all(asked).await.into_iter().map(|answer| answer.expect("an answer")).collect();
    let (streams, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == 200);
    assert_eq!(streams.len(), 64);
    for answer in refused {
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"5".parse().expect("text")));
        assert_eq!(answer.json::<Value>().await.expect("JSON")["code"], "too_many_streams");
    }
    // Another token has streams, and an admin's request an answer.
    let other = rig.request("GET", &path).bearer_auth(rig.token()).send().await.expect("an answer");
    assert_eq!(other.status(), 200);
    rig.get("/api/projects").await;
    until("the refusals and the streams are counted", async || {
        let refusals = metric(&rig.schedulers[0], "longshore_api_refusals_total", "token_streams").await;
        let open = metric(&rig.schedulers[0], "longshore_event_streams", "").await;
        ((refusals, open) == ((STREAMS - 64) as f64, 65.0)).then_some(())
    })
    .await;
    let reads = metric(&rig.schedulers[0], "longshore_event_reads_total", "").await;
    let elapsed = started.elapsed().as_secs_f64();
    assert!(reads <= elapsed / 0.9 + 2.0, "{reads} readings in {elapsed} s by 65 watchers");

    assert_eq!(rig.call("DELETE", &format!("/api/tokens/{id}"), None).await.0, 204);
    join_all(streams.into_iter().map(until_it_ends)).await;
    listing.release();
    until_it_ends(other).await;
    rig.ended(sync).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_ends_when_its_token_may_not_see_the_project_any_more() {
    let rig = Rig::start().await;
    let (sync, listing) = running_sync(&rig).await;
    let (id, watcher) = token(&rig, "watcher", "read", Value::Null).await;
    let path = format!("/api/syncs/{sync}/events");
    let mut stream = rig.request("GET", &path).bearer_auth(&watcher).send().await.expect("an answer");
    assert!(stream.chunk().await.expect("an event").is_some());
    let scope = "UPDATE api_tokens SET projects = '{0}' WHERE id = $1";
    rig.database().await.execute(scope, &[&id]).await.expect("the token's scope");
    until_it_ends(stream).await;
    assert_eq!(rig.get(&format!("/api/syncs/{sync}")).await["status"], "in_progress");
    let (status, _) = send_json(rig.request("GET", &path).bearer_auth(&watcher)).await;
    assert_eq!(status, 404);
    listing.release();
    rig.ended(sync).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_at_its_limit_gets_429_while_another_is_served() {
    const LIMIT: usize = 4;
    let rig = Rig::with().workers(0).env("LONGSHORE_TOKEN_REQUESTS", LIMIT.to_string()).start().await;
    let (_, busy) = token(&rig, "busy", "read", Value::Null).await;
    let projects = rig.freeze("LOCK TABLE projects IN ACCESS EXCLUSIVE MODE").await;
    let asked = |path: &str| send_json(rig.request("GET", path).bearer_auth(&busy));
    let waiting: Vec<_> = (0..LIMIT).map(|_| tokio::spawn(asked("/api/projects"))).collect();
    projects.reached_by("SELECT", LIMIT as i64).await;
    let answer = rig.request("GET", "/api/storages").bearer_auth(&busy).send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"1".parse().expect("text")));
    assert_eq!(answer.json::<Value>().await.expect("JSON")["code"], "too_many_requests");
    rig.get("/api/storages").await;
    projects.release().await;
    for answer in waiting {
        assert_eq!(answer.await.expect("no panic").0, 200);
    }
    assert_eq!(asked("/api/storages").await.0, 200);
}

/// Goal: one token's slow statements leave database connections to the others. Method: more of them than the pool
/// has connections, on a table that is locked.
#[tokio::test(flavor = "multi_thread")]
async fn slow_statements_of_one_token_leave_the_database_to_others() {
    const SHARE: i64 = 10;
    let rig = Rig::start().await;
    let images = rig.images("others", 10).await;
    let (_, busy) = token(&rig, "busy", "read", Value::Null).await;
    let quarantine = rig.freeze("LOCK TABLE quarantine IN ACCESS EXCLUSIVE MODE").await;
    let path = format!("/api/quarantine?storage={}", images.storage.id);
    let waiting: Vec<_> =
        (0..40).map(|_| tokio::spawn(send_json(rig.request("GET", &path).bearer_auth(&busy)))).collect();
    quarantine.reached_by("SELECT", SHARE).await;
    rig.get("/api/projects").await;
    rig.get(&format!("/api/tasks?project={}", images.storage.project)).await;
    quarantine.release().await;
    for answer in waiting {
        // Requests beyond the share wait, and are then refused.
        let (status, body) = answer.await.expect("no panic");
        assert!(status == 200 || (status, &body["code"]) == (429, &json!("too_many_requests")), "{status} {body}");
    }
}

/// Goal: deletions, which have no time limit, delay neither the loops nor other tokens. Method: 20 deletions of a
/// storage whose row is locked, while another tenant syncs.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_deletions_of_a_locked_storage_delay_no_sync_of_another_token() {
    let rig = Rig::start().await;
    let (victim, images) = (rig.images("victim", 10).await, rig.images("others", 1_500).await);
    let (_, admin) = token(&rig, "deleter", "admin", json!([victim.storage.project])).await;
    let path = format!("{}/{}", victim.storage.path, victim.storage.id);
    let locked = rig.freeze(&format!("SELECT 1 FROM storages WHERE id = {} FOR UPDATE", victim.storage.id)).await;
    let deletions: Vec<_> =
        (0..20).map(|_| tokio::spawn(send_json(rig.request("DELETE", &path).bearer_auth(&admin)))).collect();
    locked.reached("DELETE FROM storages").await;
    // The relay sends its job, the reporter shows its end.
    let sync = rig.sync(&images.storage).await;
    rig.check_first_sync(&images, sync).await;
    until("waiting requests are refused", async || {
        (deletions.iter().filter(|deletion| deletion.is_finished()).count() == 19).then_some(())
    })
    .await;
    locked.release().await;
    let mut statuses = Vec::new();
    for deletion in deletions {
        let (status, body) = deletion.await.expect("no panic");
        assert!(status == 204 || body["code"] == "too_many_deletions", "{status} {body}");
        statuses.push(status);
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1]), (204, 429));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_can_have_their_own_listener_and_metrics_leave_the_api() {
    let port = ports::free().expect("a free port");
    let rig = Rig::with().workers(0).env("LONGSHORE_METRICS_LISTEN", format!("127.0.0.1:{port}")).start().await;
    for base in [format!("http://127.0.0.1:{port}"), rig.url()] {
        for path in ["healthz", "readyz"] {
            let answer = reqwest::get(format!("{base}/{path}")).await.expect("an answer");
            assert_eq!(answer.status(), 200, "{base}/{path}");
        }
    }
    let metrics = format!("http://127.0.0.1:{port}/metrics");
    assert_eq!(reqwest::get(&metrics).await.expect("an answer").status(), 200);
    assert_eq!(reqwest::get(format!("{}/metrics", rig.url())).await.expect("an answer").status(), 404);
    let api = reqwest::get(format!("http://127.0.0.1:{port}/api/projects")).await.expect("an answer");
    assert_eq!(api.status(), 404);
    let _client = TcpStream::connect(("127.0.0.1", port)).await.expect("a socket");
    until("its sockets are counted", async || {
        let text = reqwest::get(&metrics).await.expect("an answer").text().await.expect("text");
        let open = text.lines().find(|line| line.starts_with("longshore_http_connections{listener=\"metrics\"}"));
        let open = open.and_then(|line| line.rsplit_once(' ')).and_then(|(_, open)| open.parse::<f64>().ok());
        (open >= Some(1.0)).then_some(())
    })
    .await;
}
