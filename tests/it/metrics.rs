//! Metrics that parse, count correctly and have few series, and logs whose IDs follow a sync.

use std::collections::{BTreeMap, BTreeSet};

use longshore_broker::Queue;
use longshore_local::App;
use longshore_local::s3::{Fault, Op, S3ErrorCode, When};
use longshore_model::{JobKind, JobState, QuarantineReason, StorageKind, WaitingFor};
use longshore_rig::rig::{Rig, until};
use longshore_storage::Op as StorageOp;
use serde_json::{Value, json};

use crate::access::ROUTES;

/// One line of a scrape.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// One scrape of one process.
struct Scrape {
    types: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Scrape {
    async fn of(app: &App) -> Self {
        let answer = reqwest::get(format!("{}/metrics", app.url())).await.expect("an answer");
        assert!(answer.headers()["content-type"].to_str().expect("text").starts_with("text/plain; version=0.0.4"));
        Self::parse(&answer.text().await.expect("text"))
    }

    /// Strict: a line that Prometheus would refuse fails the test.
    fn parse(text: &str) -> Self {
        let (mut types, mut helps, mut samples) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        for line in text.lines() {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", name, help] if !help.is_empty() => {
                    assert!(helps.insert(name.to_owned()), "twice: {line}")
                }
                ["#", "TYPE", name, kind] => {
                    assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                    assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
                }
                _ => samples.push(sample(line)),
            }
        }
        let scrape = Self { types, samples };
        for sample in &scrape.samples {
            let family = scrape.family(&sample.name);
            assert!(helps.contains(family), "{family} has no help");
            let is_counter = scrape.types[family] == "counter";
            assert_eq!(is_counter, family.ends_with("_total"), "{family}");
        }
        scrape
    }

    fn family<'a>(&self, name: &'a str) -> &'a str {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let histogram = base.filter(|base| self.types.get(*base).is_some_and(|kind| kind == "histogram"));
        let family = histogram.unwrap_or(name);
        assert!(self.types.contains_key(family), "{name} has no type");
        family
    }

    /// The sum of a metric over the series with these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            let has = |(label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|found| found == value);
            sample.name == name && labels.iter().all(has)
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).sum()
    }
}

/// Reads `name{label="value",…} 1.5`.
fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{line}");
    let list = rest.strip_suffix('}').unwrap_or_else(|| panic!("no end: {line}"));
    let pairs = list.split("\",").filter(|pair| !pair.is_empty()).map(|pair| {
        let (label, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        let value = value.strip_suffix('"').unwrap_or(value);
        assert!(!value.contains(['"', '\\']), "{line}");
        (label.to_owned(), value.to_owned())
    });
    let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
    Sample { name: name.to_owned(), labels: pairs.collect(), value }
}

/// The values that a label may have, or `None` for a label that nothing should have.
fn allowed(label: &str) -> Option<BTreeSet<String>> {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    match label {
        "kind" => {
            let (jobs, storages) = (JobKind::ALL.iter().map(|kind| kind.as_str()), StorageKind::ALL.iter());
            Some(jobs.chain(storages.map(|kind| kind.as_str())).map(str::to_owned).collect())
        }
        "state" => {
            let jobs = JobState::ALL.iter().filter(|state| !state.is_final()).map(|state| state.as_str());
            Some(jobs.chain(["open", "idle", "waited_for"]).map(str::to_owned).collect())
        }
        "op" => Some(StorageOp::ALL.iter().map(|op| op.as_str().to_owned()).collect()),
        "reason" => Some(QuarantineReason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect()),
        "queue" => Some(Queue::ALL.iter().map(|queue| queue.as_str().to_owned()).collect()),
        "route" => {
            let open = ["none", "/docs", "/docs/", "/docs/{*rest}", "/api/openapi.json"];
            Some(ROUTES.iter().map(|route| route.path).chain(open).map(str::to_owned).collect())
        }
        "outcome" => words(&[
            // Of requests to storages.
            "ok",
            "not_found",
            "denied",
            "invalid",
            "throttled",
            "unavailable",
            "cancelled",
            // Of objects.
            "imported",
            "existed",
            "vanished",
            "exported",
            "unchanged",
            "deleted",
            "kept",
            "failed",
            // Of requests to webhooks.
            "dropped",
        ]),
        "ending" => words(&["completed", "released", "retried", "discarded", "left", "abandoned"]),
        "method" => words(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"]),
        "status" => words(&["1xx", "2xx", "3xx", "4xx", "5xx"]),
        "pool" => words(&["api", "system"]),
        "listener" => words(&["api", "metrics"]),
        "cause" => words(&["full", "peer", "evicted", "slow"]),
        "denial" => {
            let denials = "missing_token unknown_token expired_token forbidden invalid_link expired_link ended_link \
                           not_visible own_identity_denied blocked_address";
            words(&denials.split(' ').collect::<Vec<_>>())
        }
        "limit" => words(&[
            "requests",
            "token_requests",
            "link_requests",
            "streams",
            "token_streams",
            "deletions",
            "token_database",
            "bytes",
            "token_bytes",
        ]),
        "for" => Some(WaitingFor::ALL.iter().map(|what| what.as_str().to_owned()).collect()),
        "component" => words(&["scheduler", "worker"]),
        _ => None,
    }
}

fn check_labels(scrape: &Scrape) {
    for sample in &scrape.samples {
        for (label, value) in &sample.labels {
            let known = match label.as_str() {
                "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                "version" => value == env!("CARGO_PKG_VERSION"),
                label => allowed(label).unwrap_or_else(|| panic!("label {label} of {}", sample.name)).contains(value),
            };
            assert!(known, "{}: {label}={value}", sample.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_counts_what_it_did_in_a_known_run() {
    // A lease that a busy machine does not lose: every attempt is the only one of its job.
    let rig = Rig::with().env("LONGSHORE_LEASE_SECONDS", "60").start().await;
    let good = (0..1_500).map(|n| (format!("task-{n:04}.json"), format!("{{\"image\": {n}}}")));
    rig.s3.put_many(
        "tasks",
        good.chain([("bad.json".to_owned(), "{".to_owned()), ("empty.json".to_owned(), String::new())]),
    );
    rig.s3.create_bucket("out");
    let project = rig.project().await;
    let import = rig.import_storage(project, "tasks", json!({})).await;
    let sync = rig.sync_to_end(&import).await;
    let task = rig.get(&format!("/api/tasks?project={project}")).await["tasks"][0]["id"].clone();
    rig.post(&format!("/api/tasks/{task}/annotations"), json!({"result": []})).await;
    let export = rig.export_storage(project, "out", json!({})).await;
    let exported = rig.sync_to_end(&export).await;
    assert_eq!(exported["counts"]["exported"], 1, "{exported}");
    // Free text from clients: paths, methods, IDs.
    for (method, path) in
        [("GET", "/api/wp-login.php"), ("BREW", "/api/tasks"), ("GET", "/api/tasks/999999"), ("GET", "/docs/")]
    {
        rig.request(method, path).bearer_auth(rig.token()).send().await.expect("an answer");
    }

    let worker = until("the attempts are over and the pool shows", || async {
        let scrape = Scrape::of(&rig.workers[0]).await;
        (scrape.sum("longshore_jobs_running", &[]) == 0.0
            && scrape.sum("longshore_job_attempts_total", &[("ending", "completed")]) == 3.0
            && scrape.sum("longshore_database_connections", &[("state", "open")]) >= 1.0)
            .then_some(scrape)
    })
    .await;
    let scheduler = Scrape::of(&rig.schedulers[0]).await;
    for scrape in [&worker, &scheduler] {
        check_labels(scrape);
    }
    assert_eq!(worker.sum("longshore_build_info", &[("component", "worker")]), 1.0);
    assert_eq!(scheduler.sum("longshore_build_info", &[("component", "scheduler")]), 1.0);

    // Jobs and pages. An export sync has a job that deletes, too.
    let pages = |sync: &Value| sync["counts"]["pages"].as_f64().expect("a count");
    for kind in ["import", "export", "delete"] {
        assert_eq!(
            worker.sum("longshore_job_attempts_total", &[("kind", kind), ("ending", "completed")]),
            1.0,
            "{kind}"
        );
    }
    let attempts = worker.sum("longshore_job_attempts_total", &[]);
    assert_eq!(worker.sum("longshore_job_attempt_duration_seconds_count", &[]), attempts);
    assert_eq!(worker.sum("longshore_page_duration_seconds_count", &[("kind", "import")]), pages(&sync));
    assert!(pages(&sync) >= 2.0);
    assert_eq!(worker.sum("longshore_page_commit_duration_seconds_count", &[]), pages(&sync) + pages(&exported));
    assert_eq!(worker.sum("longshore_tasks_created_total", &[]), 1_500.0);
    assert_eq!(worker.sum("longshore_objects_total", &[("outcome", "imported")]), 1_500.0);
    assert_eq!(worker.sum("longshore_objects_total", &[("outcome", "exported")]), 1.0);
    for (reason, count) in [("empty", 1.0), ("invalid_json", 1.0), ("too_large", 0.0)] {
        assert_eq!(worker.sum("longshore_quarantined_total", &[("reason", reason)]), count, "{reason}");
    }
    assert!(worker.types.contains_key("longshore_object_memory_bytes"));
    assert_eq!(worker.sum("longshore_wait_seconds", &[]) + scheduler.sum("longshore_syncs_waiting", &[]), 0.0);

    // Storage requests: what the server saw, report by either process.
    let requests = |op: &str| {
        [&worker, &scheduler]
            .map(|scrape| scrape.sum("longshore_storage_requests_total", &[("op", op), ("outcome", "ok")]))
            .iter()
            .sum::<f64>()
    };
    let report = [requests("get"), requests("list"), requests("put")];
    assert_eq!(report, [Op::Get, Op::List, Op::Put].map(|op| rig.s3.count(op) as f64));
    let seconds = "longshore_storage_request_duration_seconds_count";
    assert_eq!(worker.sum(seconds, &[("op", "get"), ("kind", "s3")]), report[0]);
    assert!(worker.sum("longshore_storage_received_bytes_total", &[]) > 15_000.0);

    // The API by route and class of status.
    let sync_route = [("route", "/api/storages/{kind}/{id}/sync"), ("method", "POST"), ("status", "2xx")];
    assert_eq!(scheduler.sum("longshore_api_requests_total", &sync_route), 1.0);
    let missed = [("route", "/api/tasks/{id}"), ("status", "4xx")];
    assert_eq!(scheduler.sum("longshore_api_requests_total", &missed), 1.0);
    assert_eq!(scheduler.sum("longshore_api_requests_total", &[("route", "none"), ("status", "4xx")]), 1.0);
    assert_eq!(scheduler.sum("longshore_api_requests_total", &[("method", "other")]), 1.0);
    assert_eq!(scheduler.sum("longshore_api_request_duration_seconds_count", &sync_route[..2]), 1.0);
    assert_eq!(scheduler.sum("longshore_api_requests_total", &[("status", "5xx")]), 0.0);
    assert!(scheduler.sum("longshore_messages_sent_total", &[]) >= 3.0);
}

/// Goal: an attempt is counted by what it wrote, also where a page's failure decided it. Method: one export whose
/// objects the storage denies, and one whose storage is unavailable once.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_discarded_through_the_failure_of_its_page_counts_as_discarded() {
    let rig = Rig::with().env("LONGSHORE_LEASE_SECONDS", "60").start().await;
    rig.s3.put("tasks", "a.json", r#"{"image": 1}"#);
    rig.s3.create_bucket("out");
    let project = rig.project().await;
    let import = rig.import_storage(project, "tasks", json!({})).await;
    rig.sync_to_end(&import).await;
    let task = rig.get(&format!("/api/tasks?project={project}")).await["tasks"][0]["id"].clone();
    let export = rig.export_storage(project, "out", json!({})).await;

    for (fault, status, expected) in [
        (S3ErrorCode::InternalError, "completed", [("retried", 1.0), ("completed", 1.0), ("discarded", 0.0)]),
        (S3ErrorCode::AccessDenied, "failed", [("retried", 1.0), ("completed", 1.0), ("discarded", 1.0)]),
    ] {
        // Four requests are one failure of an object.
        rig.s3.fail(When::op(Op::Put).times(4), Fault::Error(fault));
        rig.post(&format!("/api/tasks/{task}/annotations"), json!({"result": []})).await;
        let sync = rig.sync_to_end(&export).await;
        assert_eq!(sync["status"], status, "{sync}");
        rig.s3.clear_faults();
        // The sync ends with the commit, a moment before its attempt does.
        let attempts: f64 = expected.iter().map(|(_, count)| count).sum();
        let scrape = until("the attempts are counted", || async {
            let scrape = Scrape::of(&rig.workers[0]).await;
            (scrape.sum("longshore_job_attempts_total", &[("kind", "export")]) == attempts).then_some(scrape)
        })
        .await;
        for (ending, count) in expected {
            let labels = [("kind", "export"), ("ending", ending)];
            assert_eq!(scrape.sum("longshore_job_attempts_total", &labels), count, "{ending} after {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_show_waiting_jobs_and_lost_leases() {
    let mut rig = Rig::with().workers(0).start().await;
    rig.s3.put("images", "a.png", "image");
    let storage = rig.import_storage(rig.project().await, "images", json!({"use_blob_urls": true})).await;
    // Every listing: a message that was sent again may start a second attempt.
    let listing = rig.s3.hold(When::op(Op::List));
    let sync = rig.sync(&storage).await;
    let queue = [("queue", "longshore.import")];
    let waiting = until("the waiting job shows", || async {
        let scrape = Scrape::of(&rig.schedulers[0]).await;
        // One, and those that the rescuer sends again while no worker comes.
        (scrape.sum("longshore_queue_messages_ready", &queue) >= 1.0).then_some(scrape)
    })
    .await;
    check_labels(&waiting);
    assert!(waiting.sum("longshore_jobs_oldest_due_seconds", &[("kind", "import")]) > 0.0);
    assert_eq!(waiting.sum("longshore_jobs", &[("kind", "import"), ("state", "available")]), 1.0);
    assert_eq!(waiting.sum("longshore_jobs", &[]), 1.0);
    assert_eq!(waiting.sum("longshore_queue_consumers", &queue), 0.0);
    assert!(waiting.types.contains_key("longshore_outbox_due"));
    assert!(waiting.sum("longshore_database_connections", &[("state", "open")]) >= 1.0);
    assert_eq!(waiting.sum("longshore_leases_expired_total", &[]), 0.0);

    rig.add_worker().await;
    listing.reached().await;
    let db = rig.database().await;
    until("the expired lease is counted on both sides", || async {
        let expired = Scrape::of(&rig.schedulers[0]).await.sum("longshore_leases_expired_total", &[]);
        let lost = Scrape::of(&rig.workers[0]).await.sum("longshore_leases_lost_total", &[]);
        if expired == 0.0 {
            // Repeatedly, because the heartbeat may extend it before the rescuer looks.
            let expire = "UPDATE jobs SET lease_until = now() - interval '1 minute' WHERE state = 'running'";
            db.execute(expire, &[]).await.expect("a job");
        }
        (expired > 0.0 && lost > 0.0).then_some(())
    })
    .await;
    listing.release();
    rig.ended(sync).await;
    until("the drained gauges say zero", || async {
        let scrape = Scrape::of(&rig.schedulers[0]).await;
        let idle = scrape.sum("longshore_queue_messages_ready", &queue) == 0.0
            && scrape.sum("longshore_queue_consumers", &queue) == 1.0
            && scrape.sum("longshore_jobs", &[]) == 0.0
            && scrape.sum("longshore_jobs_oldest_due_seconds", &[]) == 0.0;
        (idle && scrape.samples.iter().any(|sample| sample.name == "longshore_jobs")).then_some(())
    })
    .await;
}

/// The lines of a process's log with this field, each as an object.
fn lines(app: &App, field: &str, value: &Value) -> Vec<Value> {
    let log = app.process.log();
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON, {error}: {line}"));
    let lines: Vec<Value> = log.lines().map(read).collect();
    lines.into_iter().filter(|line| line[field] == *value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_in_the_logs_connect_a_request_with_the_commit_of_its_page() {
    let rig = Rig::start().await;
    rig.s3.put("images", "a.png", "image");
    let storage = rig.import_storage(rig.project().await, "images", json!({"use_blob_urls": true})).await;
    rig.sync_to_end(&storage).await;
    let request = rig.request("POST", &format!("{}/{}/sync", storage.path, storage.id)).bearer_auth(rig.token());
    let answer = request.header("X-Request-Id", "from-the-host-1").send().await.expect("an answer");
    assert_eq!(answer.headers()["x-request-id"], "from-the-host-1");

    let asked = lines(&rig.schedulers[0], "request.id", &json!("from-the-host-1"));
    let sync = asked.iter().find_map(|line| line["sync.id"].as_i64()).expect("the request's lines name its sync");
    rig.ended(sync).await;
    rig.check_no_unfinished_work(&storage).await;
    let worked = lines(&rig.workers[0], "sync.id", &json!(sync));
    let committed: Vec<&Value> = worked.iter().filter(|line| line["event"] == "page_committed").collect();
    let [committed] = committed[..] else { panic!("one page: {worked:?}") };
    let job = rig.get(&format!("/api/syncs/{sync}")).await["jobs"][0]["id"].clone();
    assert_eq!((&committed["job.id"], &committed["job.attempt"]), (&job, &json!(1)));
    assert_eq!((&committed["storage.id"], &committed["level"]), (&json!(storage.id), &json!("info")));
    let ended = lines(&rig.schedulers[0], "sync.id", &json!(sync));
    assert!(ended.iter().any(|line| line["event"] == "sync_ended" && line["status"] == "completed"), "{ended:?}");

    let long = "x".repeat(200);
    let request = rig.request("GET", "/api/projects").bearer_auth(rig.token()).header("X-Request-Id", &long);
    let id = request.send().await.expect("an answer").headers()["x-request-id"].clone();
    assert!(id != long.as_str() && id.len() == 36, "an id too long for a log line is replaced: {id:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_can_be_text() {
    let rig = Rig::with().env("LONGSHORE_LOG_FORMAT", "text").start().await;
    rig.s3.put("images", "a.png", "image");
    let storage = rig.import_storage(rig.project().await, "images", json!({"use_blob_urls": true})).await;
    let sync = rig.sync_to_end(&storage).await;
    let log = rig.workers[0].process.log();
    let line = log.lines().find(|line| line.contains("page_committed")).expect("a line about the page");
    assert!(line.contains("sync.id") && line.contains(&sync["id"].to_string()) && !line.starts_with('{'), "{line}");
}
