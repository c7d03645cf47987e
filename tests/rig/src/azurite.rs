//! Azurite, Microsoft's emulator of Azure Blob Storage. It checks the signatures of requests and URLs.
//!
//! A Node program; `azurite/package-lock.json` pins its version.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, stream};
use longshore_local::guard::{Folder, Guard};
use longshore_local::{Process, RunDir, ports};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::raw_http::{self, Answer};
use crate::{installed, servers};

pub const ACCOUNT: &str = "longshoretests";
pub const KEY: &str = "bG9uZ3Nob3JlLXRlc3RzLWF6dXJpdGUtYWNjb3VudC1rZXk=";

/// A shared access signature for the whole account, made by Microsoft's client, so that tests can write blobs without
/// Longshore's code.
const SIGNED: &str =
    "se=2099-01-01T00%3A00%3A00Z&sp=rwdlc&sv=2020-12-06&ss=b&srt=co&sig=054fSkn4qC7abUAsDj9RNKmgIJAdOh2hqCMmlz2kwfM%3D";

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Azurite takes 15 s to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Concurrent PUT requests.
const PUTS: usize = 16;

static SHARED: OnceCell<Arc<Azurite>> = OnceCell::const_new();

/// A running Azurite.
pub struct Azurite {
    address: SocketAddr,
    _process: Process,
    /// Statics are not dropped, so the guard ends the shared server with this process.
    _guard: Guard,
}

impl Azurite {
    /// Whether a container can hold a key: Azure and Azurite treat `\` as `/`.
    pub fn holds(key: &str) -> bool {
        !key.contains('\\')
    }

    /// The server that all tests of this run share. Each test creates its own container.
    pub async fn shared() -> Arc<Self> {
        let azurite = SHARED.get_or_init(|| async {
            let azurite = Self::start().await.unwrap_or_else(|error| panic!("Azurite does not start: {error:#}"));
            Arc::new(azurite)
        });
        Arc::clone(azurite.await)
    }

    async fn start() -> Result<Self> {
        let installing = || anyhow::Ok((installed::node()?, installed::node_modules("azurite")?));
        let (node, modules) = tokio::task::spawn_blocking(installing).await??;
        let run_dir = RunDir::open(servers::folder(&servers::unique("azurite")))?;
        let guard = Guard::watch(&run_dir, Folder::Remove)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?));
        let mut command = Command::new(node);
        command.arg(modules.join("azurite/dist/src/blob/main.js"));
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &address.port().to_string()]);
        // Other clients ask for versions of the API that are newer than this Azurite.
        command.args(["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
        command.env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"));
        let process = Process::spawn(&run_dir, "azurite", command)?;
        process.until_ready(PATIENCE, || async { TcpStream::connect(address).await.is_ok() }).await?;
        Ok(Self { address, _process: process, _guard: guard })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for clients; the container is the next part of the path.
    pub fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.address)
    }

    /// Creates a container with a unique name that starts with `name`.
    pub async fn create_container(&self, name: &str) -> String {
        let container = servers::unique(name).replace('_', "-");
        let answer = self.send("PUT", &format!("{container}?restype=container"), b"").await;
        assert_eq!(answer.status, 201, "container {container}: {}", answer.text());
        container
    }

    /// Deletes a container with its blobs.
    pub async fn delete_container(&self, container: &str) {
        let answer = self.send("DELETE", &format!("{container}?restype=container"), b"").await;
        assert_eq!(answer.status, 202, "container {container}: {}", answer.text());
    }

    /// Stores a blob.
    pub async fn put(&self, container: &str, key: &str, content: &[u8]) {
        let answer = self.send("PUT", &target(container, key), content).await;
        assert_eq!(answer.status, 201, "put of {key:?}: {}", answer.text());
    }

    /// Stores an empty blob that its metadata marks as a folder, as Data Lake and AzCopy do.
    pub async fn put_folder(&self, container: &str, key: &str) {
        let url = format!("{}/{}?{SIGNED}", self.endpoint(), target(container, key));
        let headers =
            [("x-ms-blob-type", "BlockBlob"), ("x-ms-version", "2020-12-06"), ("x-ms-meta-hdi_isfolder", "true")];
        let answer = raw_http::send("PUT", &url, &headers, b"").await;
        assert_eq!(answer.status, 201, "folder {key:?}: {}", answer.text());
    }

    /// Stores a blob for each key, with the key as its content.
    pub async fn put_many(&self, container: &str, keys: &[String]) {
        stream::iter(keys).for_each_concurrent(PUTS, |key| self.put(container, key, key.as_bytes())).await;
    }

    /// Removes a blob.
    pub async fn delete(&self, container: &str, key: &str) {
        let answer = self.send("DELETE", &target(container, key), b"").await;
        assert_eq!(answer.status, 202, "deletion of {key:?}: {}", answer.text());
    }

    /// The content of a blob; `None` if it does not exist.
    pub async fn get(&self, container: &str, key: &str) -> Option<Vec<u8>> {
        let answer = self.send("GET", &target(container, key), b"").await;
        (answer.status == 200).then_some(answer.body)
    }

    /// The keys in a container. They must not need escapes in XML.
    pub async fn keys(&self, container: &str) -> Vec<String> {
        let answer = self.send("GET", &format!("{container}?restype=container&comp=list"), b"").await;
        assert_eq!(answer.status, 200, "listing of {container}: {}", answer.text());
        let text = answer.text();
        let names = text.split("<Name>").skip(1).filter_map(|rest| rest.split_once("</Name>"));
        names.map(|(name, _)| name.to_owned()).collect()
    }

    async fn send(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        let separator = if target.contains('?') { '&' } else { '?' };
        let url = format!("{}/{target}{separator}{SIGNED}", self.endpoint());
        raw_http::send(method, &url, &[("x-ms-blob-type", "BlockBlob"), ("x-ms-version", "2020-12-06")], body).await
    }
}

fn target(container: &str, key: &str) -> String {
    format!("{container}/{}", utf8_percent_encode(key, PATH))
}
