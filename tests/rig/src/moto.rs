//! moto, an S3 server that shares no code with ours: a test that passes on both does not depend on quirks of one
//! server.
//!
//! A Python program; `moto/requirements.txt` pins its version.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use longshore_local::guard::{Folder, Guard};
use longshore_local::{Process, RunDir, ports};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::{installed, raw_http, servers};

/// moto takes 5 s to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// moto requires a signature, but does not check it.
const AUTHORIZATION: &str =
    "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

static SHARED: OnceCell<Arc<Moto>> = OnceCell::const_new();

/// A running moto.
pub struct Moto {
    endpoint: String,
    _process: Process,
    /// Statics are not dropped, so the guard ends the shared server with this process.
    _guard: Guard,
}

impl Moto {
    /// Whether moto can hold a key: it answers 404 to a key with a line break, because its routes match the path only
    /// up to the end of a line.
    pub fn holds(key: &str) -> bool {
        !key.contains('\n')
    }

    /// The server that all tests of this run share. Each test creates its own bucket.
    pub async fn shared() -> Arc<Self> {
        let moto = SHARED.get_or_init(|| async {
            let moto = Self::start().await.unwrap_or_else(|error| panic!("moto does not start: {error:#}"));
            Arc::new(moto)
        });
        Arc::clone(moto.await)
    }

    async fn start() -> Result<Self> {
        let python = tokio::task::spawn_blocking(|| installed::python("moto")).await??;
        let run_dir = RunDir::open(servers::folder(&servers::unique("moto")))?;
        let guard = Guard::watch(&run_dir, Folder::Remove)?;
        let port = ports::free()?;
        let mut command = Command::new(python);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        let process = Process::spawn(&run_dir, "moto", command)?;
        let answers = || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() };
        process.until_ready(PATIENCE, answers).await?;
        Ok(Self { endpoint: format!("http://127.0.0.1:{port}"), _process: process, _guard: guard })
    }

    /// The URL for clients; the bucket is the first part of the path.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Creates a bucket with a unique name that starts with `name`.
    pub async fn create_bucket(&self, name: &str) -> String {
        let bucket = servers::unique(name).replace('_', "-");
        self.write(&format!("/{bucket}"), b"").await;
        bucket
    }

    /// Stores an object without Longshore's clients.
    pub async fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        self.write(&format!("/{bucket}/{}", utf8_percent_encode(key, NON_ALPHANUMERIC)), content).await;
    }

    async fn write(&self, path: &str, content: &[u8]) {
        let url = format!("{}{path}", self.endpoint);
        let answer = raw_http::send("PUT", &url, &[("authorization", AUTHORIZATION)], content).await;
        assert_eq!(answer.status, 200, "PUT {path}: {}", answer.text());
    }
}
