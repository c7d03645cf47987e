//! What waits says why: a sync that makes no progress names what it waits for, since when, and the latest error, wherever
//! a person may look.

mod broker;
mod database;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use futures::StreamExt;
use jiff::Timestamp;
use longshore_local::App;
use longshore_local::app::program;
use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_rig::amqp::AmqpHost;
use longshore_rig::proxy::Mode;
use longshore_rig::rig::{Rig, SECRET_ACCESS_KEY, until};
use serde_json::{Value, json};

/// Waits until a sync says that it waits for this, and returns it.
async fn until_waiting(rig: &Rig, sync: i64, what: &str) -> Value {
    let path = format!("/api/syncs/{sync}");
    until(&format!("sync {sync} waits for {what}"), || async {
        let sync = rig.get(&path).await;
        (sync["waiting_for"] == what).then_some(sync)
    })
    .await
}

/// The time since which a sync waits.
fn since(sync: &Value) -> Timestamp {
    sync["waiting_since"].as_str().unwrap_or_else(|| panic!("no time: {sync}")).parse().expect("a time")
}

/// The start of the wait of a sync's only job that is due, by the database.
async fn due_at(rig: &Rig, sync: i64) -> Timestamp {
    let db = rig.database().await;
    db.query_one("SELECT min(due_at) FROM jobs WHERE sync_id = $1", &[&sync]).await.expect("a job").get(0)
}

/// Waits until `/readyz` of a process names this wait, and returns the whole body and its status.
async fn until_readyz_names(app: &App, what: &str) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let url = format!("{}/readyz", app.url());
    until(&format!("/readyz of {} names {what}", app.process.name()), || async {
        let answer = client.get(&url).send().await.expect("an answer");
        let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"));
        body["waiting"][what].is_object().then_some((status, body))
    })
    .await
}

/// Waits until a gauge of a process with label `for` is above or at zero.
async fn until_gauge(app: &App, name: &str, what: &str, is_positive: bool) {
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let (url, series) = (format!("{}/metrics", app.url()), format!("{name}{{for=\"{what}\"}} "));
    until(&format!("{series} of {} is positive: {is_positive}", app.process.name()), || async {
        let text = client.get(&url).send().await.expect("an answer").text().await.expect("metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(series.as_str())).expect("the series");
        (value.parse::<f64>().expect("a number") > 0.0).eq(&is_positive).then_some(())
    })
    .await;
}

/// The lines of a process's log about a wait for this.
fn warnings(app: &App, what: &str) -> Vec<Value> {
    let log = app.process.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == "waiting" && line["waiting_for"] == what).collect()
}

/// Checks that no two warnings of a process about this came within a minute, and that there is one.
fn check_warnings(app: &App, what: &str) {
    let lines = warnings(app, what);
    assert!(!lines.is_empty(), "{} never warned about {what}", app.process.name());
    let at = |line: &Value| line["time"].as_str().expect("a time").parse::<Timestamp>().expect("a time");
    for pair in lines.windows(2) {
        let seconds = at(&pair[1]).duration_since(at(&pair[0])).as_secs();
        assert!(seconds >= 59, "two warnings within {seconds} s: {pair:?}");
    }
    for line in &lines {
        assert_eq!(line["level"], "warn", "{line}");
        assert!(line["waiting_since"].is_string() && line["error"].is_string(), "{line}");
        assert!(!line.to_string().contains(SECRET_ACCESS_KEY), "{line}");
    }
}

/// A followed sync, whose output goes into pipes.
struct Follower {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Follower {
    fn start(rig: &Rig, sync: i64) -> Self {
        let mut command = Command::new(program("longshore").expect("the programs are built"));
        command.args(["sync", "status", &sync.to_string(), "--follow"]).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("LONGSHORE_URL", rig.url()).env("LONGSHORE_TOKEN", rig.token());
        let mut child = command.spawn().expect("it starts");
        let (sender, lines) = mpsc::channel();
        let errors = child.stderr.take().expect("a pipe");
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
        Self { child, lines }
    }

    /// Waits for this many lines with these words.
    async fn until_printed(&self, words: &str, count: usize) {
        let (mut all, mut found) = (Vec::new(), 0);
        until(&format!("{count} lines with {words:?}"), || {
            for line in self.lines.try_iter() {
                found += usize::from(line.contains(words));
                all.push(line);
            }
            std::future::ready((found >= count).then_some(()))
        })
        .await;
    }

    /// Waits until it ends, and returns its exit code.
    async fn ended(mut self) -> Option<i32> {
        tokio::task::spawn_blocking(move || self.child.wait().expect("it ran").code()).await.expect("no panic")
    }
}

/// The next event of a stream of server-sent events with this name: its data.
async fn event(rig: &Rig, sync: i64, name: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let request = rig.request("GET", &format!("/api/syncs/{sync}/events")).bearer_auth(rig.token());
    let mut stream = request.send().await.expect("a stream").bytes_stream();
    let mut text = String::new();
    let reading = async {
        loop {
            let piece = stream.next().await.expect("the stream stays open").expect("bytes");
            text.push_str(std::str::from_utf8(&piece).expect("text"));
            while let Some((event, rest)) = text.split_once("\n\n") {
                let data = event.strip_prefix(&format!("event: {name}\ndata: "));
                let data = data.map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
                let rest = rest.to_owned();
                if let Some(data) = data.filter(|data| is_wanted(data)) {
                    return data;
                }
                text = rest;
            }
        }
    };
    let patience = longshore_rig::rig::PATIENCE;
    tokio::time::timeout(patience, reading).await.unwrap_or_else(|_| panic!("no event {name}"))
}

/// Goal: a storage that is down is named everywhere, since the first failure. Method: refuse connections, and look at
/// each place, over several attempts and a restart of the scheduler.
#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_is_down_is_named_everywhere_since_its_first_failure() {
    let rig = Rig::start().await;
    let mut images = rig.images("images", 10).await;
    let mut events = AmqpHost::connect(&rig.amqp_url).await.listen("longshore.events").await;
    let before = Timestamp::now();
    rig.storage_link.set(Mode::Refuse).await;
    let sync = rig.sync(&images.storage).await;

    let shown = until_waiting(&rig, sync, "storage").await;
    let first = since(&shown);
    assert!(before <= first && first <= Timestamp::now(), "{shown}");
    let error = shown["waiting_error"].as_str().expect("an error");
    assert!(error.starts_with("The endpoint cannot be reached") && error.contains("unreachable"), "{error}");
    assert!(!error.contains("127.0.0.1") && !error.contains("images") && !error.contains("http"), "{error}");
    let list = rig.get("/api/syncs").await;
    assert_eq!(list["syncs"][0]["waiting_for"], "storage", "{list}");
    let streamed = event(&rig, sync, "progress", |data| data["waiting_for"] == "storage").await;
    assert_eq!((&streamed["waiting_since"], &streamed["waiting_error"]), (&shown["waiting_since"], &json!(error)));
    loop {
        let (_, event) = events.next().await;
        if event["sync"] == sync && event["waiting_for"] == "storage" {
            assert_eq!((&event["waiting_since"], &event["waiting_error"]), (&shown["waiting_since"], &json!(error)));
            break;
        }
    }
    let follower = Follower::start(&rig, sync);
    follower.until_printed("waiting for storage for ", 2).await;
    let (status, body) = until_readyz_names(&rig.schedulers[0], "storage").await;
    assert_eq!((status, &body["waiting"]["storage"]["syncs"]), (200, &json!(1)), "{body}");
    assert_eq!(body["waiting"]["storage"]["since"], shown["waiting_since"], "{body}");
    until_gauge(&rig.schedulers[0], "longshore_syncs_waiting", "storage", true).await;
    until_gauge(&rig.schedulers[0], "longshore_wait_seconds", "storage", true).await;

    // Another attempt and another process know the same start.
    let attempt = shown["jobs"][0]["attempt"].as_i64().expect("a number");
    let path = format!("/api/syncs/{sync}");
    until("another attempt fails", || async {
        rig.make_due(sync).await;
        let again = rig.get(&path).await;
        assert_eq!(since(&again), first, "{again}");
        let job = &again["jobs"][0];
        (job["attempt"].as_i64() > Some(attempt) && job["state"] == "retryable").then_some(())
    })
    .await;
    check_warnings(&rig.schedulers[0], "storage");
    rig.schedulers[0].process.kill().await.expect("it dies");
    rig.schedulers[0].process.start().expect("it starts");
    rig.schedulers[0].until_ready().await.expect("it becomes ready");
    assert_eq!(since(&until_waiting(&rig, sync, "storage").await), first);

    rig.storage_link.set(Mode::Pass).await;
    rig.make_due(sync).await;
    rig.check_first_sync(&images, sync).await;
    let ended = rig.get(&path).await;
    assert!(ended["waiting_for"].is_null() && ended["waiting_since"].is_null(), "{ended}");
    assert_eq!(follower.ended().await, Some(0));
    until_gauge(&rig.schedulers[0], "longshore_syncs_waiting", "storage", false).await;
    rig.check_next_sync(&mut images).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_does_not_answer_is_named_before_its_attempt_ends() {
    let rig = Rig::start().await;
    let images = rig.images("images", 10).await;
    let listing = rig.s3.hold(Op::List);
    let sync = rig.sync(&images.storage).await;
    listing.reached().await;
    let shown = until_waiting(&rig, sync, "storage").await;
    let job = &shown["jobs"][0];
    assert_eq!(
        (&job["state"], &job["attempt"], &job["failures"]),
        (&json!("running"), &json!(1), &json!(0)),
        "{shown}"
    );
    assert!(since(&shown) <= Timestamp::now(), "{shown}");
    until_readyz_names(&rig.workers[0], "storage").await;
    until_gauge(&rig.workers[0], "longshore_wait_seconds", "storage", true).await;
    listing.release();
    rig.check_first_sync(&images, sync).await;
    check_warnings(&rig.workers[0], "storage");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_a_storage_asks_for_is_no_fault_and_throttling_is_a_limit() {
    let rig = Rig::start().await;
    let images = rig.images("images", 10).await;
    let faults =
        [("pause", Fault::SlowDown { retry_after_seconds: 600 }), ("limit", Fault::Error(S3ErrorCode::SlowDown))];
    for (what, fault) in faults {
        let rule = When::op(Op::List).times(if what == "pause" { 1 } else { 4 });
        rig.s3.fail(rule, fault);
        let sync = rig.sync(&images.storage).await;
        let shown = until_waiting(&rig, sync, what).await;
        let error = shown["waiting_error"].as_str().expect("an error");
        assert!(error.starts_with("The storage limited the request rate"), "{error}");
        rig.make_due(sync).await;
        assert_eq!(rig.ended(sync).await["status"], "completed");
    }
}

/// Goal: syncs behind others say so, and since when. Method: one worker with one slot, whose job is held.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_behind_others_waits_for_a_limit_and_without_workers_for_a_worker() {
    let mut rig = Rig::with().workers(0).env("LONGSHORE_JOBS", "1").start().await;
    let (first, second) = (rig.images("first", 10).await, rig.images("second", 10).await);
    let running = rig.sync(&first.storage).await;
    let shown = until_waiting(&rig, running, "worker").await;
    assert_eq!(since(&shown), due_at(&rig, running).await, "{shown}");
    assert!(shown["waiting_error"].as_str().expect("a text").contains("No worker is running"), "{shown}");
    until_readyz_names(&rig.schedulers[0], "worker").await;

    let listing = rig.s3.hold(Op::List);
    rig.add_worker().await;
    listing.reached().await;
    let waiting = rig.sync(&second.storage).await;
    let shown = until_waiting(&rig, waiting, "limit").await;
    assert_eq!(since(&shown), due_at(&rig, waiting).await, "{shown}");
    assert!(shown["waiting_error"].as_str().expect("a text").contains("slots"), "{shown}");
    until_gauge(&rig.schedulers[0], "longshore_syncs_waiting", "limit", true).await;
    listing.release();
    rig.check_first_sync(&first, running).await;
    rig.check_first_sync(&second, waiting).await;
    check_warnings(&rig.schedulers[0], "worker");

    // A worker that dies in the middle of a job.
    let listing = rig.s3.hold(Op::List);
    let orphan = rig.sync(&first.storage).await;
    let db = rig.database().await;
    rig.leasing_worker(orphan).await;
    rig.workers[0].process.kill().await.expect("it dies");
    // As if the lease were a long one.
    let lease = "UPDATE jobs SET lease_until = now() + interval '1 hour' WHERE sync_id = $1";
    db.execute(lease, &[&orphan]).await.expect("a job");
    let shown = until_waiting(&rig, orphan, "worker").await;
    assert_eq!(shown["jobs"][0]["state"], "running", "{shown}");
    drop(listing);
}
