//! A whole Longshore for one test: real servers, real processes, and every connection breakable.
//!
//! Time-outs are short so that recovery is quick; tests wait for states, never for a time.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use longshore_local::guard::{Folder, Guard};
use longshore_local::s3::{self, S3Server};
use longshore_local::{App, Place, Settings, Stack, ports};
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::proxy::Proxy;
use crate::servers;

/// How long a test waits for a state before it fails. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The secrets of every rig; a test may look for them in logs and answers.
pub const SECRET_ACCESS_KEY: &str = "rig-secret-access-key-b7e1";
pub const ACCESS_KEY_ID: &str = "AKIARIG";
/// A second access key, with the same secret.
pub const FRESH_ACCESS_KEY_ID: &str = "AKIAFRESH";

/// What a test wants of its rig.
#[derive(Debug, Clone)]
pub struct Wishes {
    workers: usize,
    schedulers: usize,
    own_servers: bool,
    heartbeat_seconds: Option<u16>,
    environment: Vec<(&'static str, String)>,
}

/// Connections of one side that a test can break.
pub struct Links {
    pub database: Proxy,
    pub broker: Proxy,
}

/// A running Longshore.
pub struct Rig {
    pub stack: Arc<Stack>,
    pub s3: S3Server,
    /// Between workers and the S3 server.
    pub storage_link: Proxy,
    pub worker_links: Links,
    pub scheduler_links: Links,
    pub schedulers: Vec<App>,
    pub workers: Vec<App>,
    /// The database itself, past every proxy.
    pub database_url: String,
    pub amqp_url: String,
    pub vhost: String,
    pub place: Place,
    settings: Settings,
    heartbeat_seconds: Option<u16>,
    environment: Vec<(&'static str, String)>,
    http: reqwest::Client,
    /// Last: it ends what is left of the processes and removes their folder.
    _guard: Guard,
}

impl Drop for Rig {
    /// A failed test shows what its processes said last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

/// A storage made through the API.
#[derive(Debug, Clone)]
pub struct StorageHandle {
    pub id: i64,
    pub project: i64,
    /// `/api/storages/s3` or `/api/storages/export/s3`.
    pub path: &'static str,
}

impl Rig {
    /// One scheduler and one worker on shared servers.
    pub async fn start() -> Self {
        Self::with().start().await
    }

    /// Wishes to add to.
    pub fn with() -> Wishes {
        let environment = vec![
            ("LONGSHORE_LEASE_SECONDS", "3".to_owned()),
            ("LONGSHORE_QUANTUM_SECONDS", "1".to_owned()),
            ("LONGSHORE_RESCUE_SECONDS", "0.3".to_owned()),
            // Tests that count LIST requests would count the probes too; those about splitting switch it on.
            ("LONGSHORE_SPLIT_AFTER_PAGES", "0".to_owned()),
            ("LONGSHORE_LOG", "info,longshore_worker=debug,longshore_scheduler=debug".to_owned()),
        ];
        // Two missed heartbeats end a broker connection that says nothing.
        Wishes { workers: 1, schedulers: 1, own_servers: false, heartbeat_seconds: Some(2), environment }
    }

    /// The same with the settings that operators have who set nothing: no time is shortened.
    pub fn with_defaults() -> Wishes {
        Wishes { heartbeat_seconds: None, environment: Vec::new(), ..Self::with() }
    }

    /// Starts one more worker, and returns its place in [`Rig::workers`].
    pub async fn add_worker(&mut self) -> usize {
        let index = self.begin_worker();
        self.workers[index].until_ready().await.expect("a worker becomes ready");
        index
    }

    /// The same without waiting for it.
    pub fn begin_worker(&mut self) -> usize {
        let name = format!("worker-{}", self.workers.len() + 1);
        self.workers.push(self.spawn(&name, |settings, port| settings.worker(port), &self.worker_links));
        self.workers.len() - 1
    }

    /// Starts one more scheduler, and returns its place in [`Rig::schedulers`].
    pub async fn add_scheduler(&mut self) -> usize {
        let index = self.begin_scheduler();
        self.schedulers[index].until_ready().await.expect("a scheduler becomes ready");
        index
    }

    /// The same without waiting for it.
    pub fn begin_scheduler(&mut self) -> usize {
        let name = format!("scheduler-{}", self.schedulers.len() + 1);
        self.schedulers.push(self.spawn(&name, |settings, port| settings.scheduler(port), &self.scheduler_links));
        self.schedulers.len() - 1
    }

    fn spawn(&self, name: &str, command: impl Fn(&Settings, u16) -> anyhow::Result<Command>, links: &Links) -> App {
        let mut settings = self.settings.clone();
        settings.database_url = through(&self.database_url, links.database.address());
        settings.amqp_url = through(&self.amqp_url, links.broker.address());
        if let Some(seconds) = self.heartbeat_seconds {
            settings.amqp_url = format!("{}?heartbeat={seconds}", settings.amqp_url);
        }
        let port = ports::free().expect("a free port");
        let mut command = command(&settings, port).expect("the programs are built");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        App::spawn(&self.place, name, command, port).expect("a process starts")
    }

    /// Gives workers that are started from now on connections of their own. Returns those of the workers before them.
    pub async fn split_worker_links(&mut self) -> Links {
        let links = Links { database: proxy(&self.database_url).await, broker: proxy(&self.amqp_url).await };
        std::mem::replace(&mut self.worker_links, links)
    }

    /// Sets an environment variable of the processes that are started from now on.
    pub fn set_environment(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    /// The first scheduler's base URL.
    pub fn url(&self) -> String {
        self.schedulers.first().expect("the rig has a scheduler").url()
    }

    /// The bootstrap token.
    pub fn token(&self) -> &str {
        &self.settings.token
    }

    /// What secrets are sealed with.
    pub fn secret_keys(&self) -> &str {
        &self.settings.secret_keys
    }

    /// A connection of the test's own, with `search_path` set.
    pub async fn database(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.database_url, NoTls).await.expect("the database answers");
        tokio::spawn(connection);
        client.batch_execute("SET search_path = longshore").await.expect("the schema is there");
        client
    }

    /// The name of the rig's own database.
    pub fn database_name(&self) -> String {
        let url: reqwest::Url = self.database_url.parse().expect("a URL");
        url.path().trim_start_matches('/').to_owned()
    }

    /// A request to the API, without a token.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().expect("a method"), format!("{}{path}", self.url()))
    }

    /// Calls the API and gives status and body.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.request(method, path).header("Authorization", format!("Token {}", self.token()));
        if let Some(body) = body {
            request = request.json(&body);
        }
        answered(request).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("POST", path, Some(body)).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
        answer
    }

    /// Changes a storage.
    pub async fn patch(&self, storage: &StorageHandle, fields: Value) -> Value {
        let path = format!("{}/{}", storage.path, storage.id);
        let (status, body) = self.call("PATCH", &path, Some(fields)).await;
        assert_eq!(status, 200, "PATCH {path}: {body}");
        body
    }

    /// What is in quarantine of a storage, in the order of its keys.
    pub async fn quarantine(&self, storage: &StorageHandle) -> Vec<Value> {
        let list = self.get(&format!("/api/quarantine?storage={}&limit=1000", storage.id)).await;
        let mut rows = rows(&list).to_vec();
        rows.sort_by_key(|row| row["key"].as_str().map(str::to_owned));
        rows
    }

    /// Makes jobs that wait for their back-off due now.
    pub async fn make_due(&self, sync: i64) {
        let db = self.database().await;
        db.execute("UPDATE jobs SET due_at = now() WHERE sync_id = $1 AND state = 'retryable'", &[&sync])
            .await
            .expect("jobs");
        db.execute(
            "UPDATE outbox SET due_at = now() WHERE job_id IN (SELECT id FROM jobs WHERE sync_id = $1)",
            &[&sync],
        )
        .await
        .expect("the outbox");
        db.batch_execute("NOTIFY longshore_outbox").await.expect("the relay is woken");
    }

    /// A project whose image variable is `$image`.
    pub async fn project(&self) -> i64 {
        let config = r#"<View><Image name="image" value="$image"/></View>"#;
        let project = self.post("/api/projects", json!({"title": "rig", "label_config": config})).await;
        project["id"].as_i64().expect("an id")
    }

    /// An import storage on a bucket of the rig's S3 server; `settings` override the defaults.
    pub async fn import_storage(&self, project: i64, bucket: &str, settings: Value) -> StorageHandle {
        self.storage("/api/storages/s3", project, bucket, settings).await
    }

    /// An export storage on a bucket of the rig's S3 server.
    pub async fn export_storage(&self, project: i64, bucket: &str, settings: Value) -> StorageHandle {
        self.storage("/api/storages/export/s3", project, bucket, settings).await
    }

    async fn storage(&self, path: &'static str, project: i64, bucket: &str, settings: Value) -> StorageHandle {
        let mut body = json!({
            "project": project,
            "bucket": bucket,
            "s3_endpoint": format!("http://{}", self.storage_link.address()),
            "aws_access_key_id": ACCESS_KEY_ID,
            "aws_secret_access_key": SECRET_ACCESS_KEY,
            "recursive_scan": true,
        });
        let (Some(all), Some(own)) = (body.as_object_mut(), settings.as_object()) else {
            panic!("settings are an object")
        };
        all.extend(own.clone());
        let storage = self.post(path, body).await;
        StorageHandle { id: storage["id"].as_i64().expect("an id"), project, path }
    }

    /// Starts a sync and gives its id.
    pub async fn sync(&self, storage: &StorageHandle) -> i64 {
        self.post(&format!("{}/{}/sync", storage.path, storage.id), json!({})).await;
        let syncs = self.get(&format!("/api/syncs?storage={}&limit=1", storage.id)).await;
        rows(&syncs).first().and_then(|sync| sync["id"].as_i64()).expect("a sync of the storage")
    }

    /// Waits until a sync has ended, and gives it with its totals in `counts`.
    pub async fn ended(&self, sync: i64) -> Value {
        let path = format!("/api/syncs/{sync}");
        until(&format!("sync {sync} ends"), || async {
            let row = self.get(&path).await;
            (!row["finished_at"].is_null()).then_some(row)
        })
        .await
    }

    /// Syncs and waits for the end.
    pub async fn sync_to_end(&self, storage: &StorageHandle) -> Value {
        let sync = self.sync(storage).await;
        self.ended(sync).await
    }

    /// Prints what each process said last.
    pub fn print_logs(&self) {
        for app in self.schedulers.iter().chain(&self.workers) {
            let log = app.process.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- {}", app.process.name());
            for line in &lines[lines.len().saturating_sub(40)..] {
                eprintln!("{line}");
            }
        }
    }

    /// What all processes of the rig wrote into their logs so far.
    pub fn logs(&self) -> String {
        self.schedulers.iter().chain(&self.workers).map(|app| app.process.log()).collect()
    }
}

impl Wishes {
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    #[must_use]
    pub fn schedulers(mut self, schedulers: usize) -> Self {
        self.schedulers = schedulers;
        self
    }

    /// Servers that the test may kill.
    #[must_use]
    pub fn own_servers(mut self) -> Self {
        self.own_servers = true;
        self
    }

    /// An environment variable for schedulers and workers.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Starts it all and returns when every process is ready.
    pub async fn start(self) -> Rig {
        let stack = if self.own_servers { servers::own().await } else { servers::shared().await };
        let name = servers::unique("rig");
        let database_url = stack.postgres.create_database(&name).await.expect("a database");
        let amqp_url = stack.rabbitmq.create_vhost(&name).await.expect("a virtual host");
        let access_keys = [ACCESS_KEY_ID, FRESH_ACCESS_KEY_ID].map(|id| s3::AccessKey::new(id, SECRET_ACCESS_KEY));
        let options = s3::Options { access_keys: access_keys.into(), ..s3::Options::default() };
        let s3 = S3Server::start(options).await.expect("an S3 server");
        let links = || async { Links { database: proxy(&database_url).await, broker: proxy(&amqp_url).await } };
        let mut settings = Settings::of(&stack).expect("settings");
        settings.token = format!("rig-token-{name}");
        let place = Place::open(servers::folder(&name)).expect("a folder");
        let mut rig = Rig {
            _guard: Guard::watch(&place, Folder::Remove).expect("a guard"),
            storage_link: Proxy::start(s3.address()).await.expect("a proxy"),
            worker_links: links().await,
            scheduler_links: links().await,
            schedulers: Vec::new(),
            workers: Vec::new(),
            place,
            heartbeat_seconds: self.heartbeat_seconds,
            environment: self.environment,
            http: reqwest::Client::builder().no_proxy().build().expect("an HTTP client"),
            vhost: name,
            stack,
            s3,
            database_url,
            amqp_url,
            settings,
        };
        for _ in 0..self.schedulers {
            rig.add_scheduler().await;
        }
        for _ in 0..self.workers {
            rig.add_worker().await;
        }
        rig
    }
}

/// Sends a request and gives status and body; one that is not JSON as a string.
pub async fn answered(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("the scheduler answers");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a whole answer");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A proxy to the server that a URL names.
async fn proxy(url: &str) -> Proxy {
    let url: reqwest::Url = url.parse().expect("a URL");
    let port = url.port().expect("a URL with a port");
    let host = url.host_str().expect("a URL with a host");
    let upstream = tokio::net::lookup_host((host, port)).await.expect("a known host").next().expect("an address");
    Proxy::start(upstream).await.expect("a proxy")
}

/// The same URL, but to another address.
fn through(url: &str, address: SocketAddr) -> String {
    let mut url: reqwest::Url = url.parse().expect("a URL");
    url.set_ip_host(address.ip()).expect("a URL that has a host");
    url.set_port(Some(address.port())).expect("a URL that may have a port");
    url.into()
}

/// Rows of a list answer: a bare array, or the one array of a page.
pub fn rows(list: &Value) -> &[Value] {
    let page = || list.as_object().and_then(|page| page.values().find_map(Value::as_array));
    list.as_array().or_else(page).unwrap_or_else(|| panic!("not a list: {list}"))
}

/// Asks again and again until there is an answer; fails the test, saying what for, when patience ends.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    until_within(PATIENCE, what, ask).await
}

/// The same with another patience: a bound for a test that would never end, not a promise about time.
pub async fn until_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(patience, asking).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
