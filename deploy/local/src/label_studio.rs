//! A running Label Studio, the host of `LONGSHORE_HOST=label-studio`.
//!
//! `tests/label-studio/requirements.txt` pins its version. Its migrations take a minute, so they run once, and each
//! database is filled from a dump of the migrated one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Url;
use serde_json::{Value, json};

use crate::installed::run;
use crate::ports;
use crate::postgres::program;
use crate::process::Process;
use crate::run_dir::RunDir;
use crate::stack::Stack;

/// The pins of its newest supported version, in `tests`.
pub const NEWEST: &str = "label-studio";

/// Label Studio takes 20 s to start on a busy machine, and a minute with all migrations.
const PATIENCE: Duration = Duration::from_secs(300);

/// The longest request is a sync of 10,000 objects, which takes minutes.
const REQUEST_PATIENCE: Duration = Duration::from_secs(3600);

/// The first user.
pub const EMAIL: &str = "annotator@example.com";
/// Password of the first user.
pub const PASSWORD: &str = "a-long-password";
/// The legacy token of the first user.
pub const TOKEN: &str = "5f1d6f04c3b94c8b9ad0a1e8a3b1c2d3e4f50617";

/// A running Label Studio. Dropping it kills it.
pub struct LabelStudio {
    url: String,
    http: reqwest::Client,
    process: Process,
}

/// Fills an empty database with the tables of a new Label Studio that has one user. `python` is that of its
/// [installation](crate::installed::python).
///
/// # Errors
/// The dump cannot be made, or the database is not empty.
pub async fn fill(python: &Path, stack: &Stack, database_url: &str) -> Result<()> {
    let dump = dump(python, stack).await?;
    let url = database_url.to_owned();
    let restore = move || {
        // The dump sets sequences and the search path, and each setting is a row of the output.
        let quiet = ["--quiet", "--no-psqlrc", "--output=/dev/null", "--set", "ON_ERROR_STOP=1", "--file"];
        run(Command::new(program("psql")).args(quiet).arg(dump).arg(url))
    };
    tokio::task::spawn_blocking(restore).await?
}

/// The dump of a migrated database. Made by the first caller.
async fn dump(python: &Path, stack: &Stack) -> Result<PathBuf> {
    let folder = python.ancestors().nth(2).context("a virtual environment")?.to_owned();
    let dump = folder.join("migrated.sql");
    let lock = fs::File::create(folder.join("migrated.lock"))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    if dump.is_file() {
        return Ok(dump);
    }
    let name = format!("label_studio_{:08x}", rand::random::<u32>());
    let url = stack.postgres.create_database(&name).await?;
    let run_dir = RunDir::open(stack.run_dir().root().join(&name))?;
    let studio = LabelStudio::start(python, &run_dir, &url, ports::free()?, &[]).await?;
    drop(studio);
    let part = dump.with_extension("part");
    let mut command = Command::new(program("pg_dump"));
    command.args(["--no-owner", "--no-privileges", "--file"]).arg(&part).arg(url);
    tokio::task::spawn_blocking(move || run(&mut command)).await??;
    fs::rename(&part, &dump)?;
    run_dir.remove()?;
    drop(lock);
    Ok(dump)
}

impl LabelStudio {
    /// Starts Label Studio on a database and a free port, with these environment variables, and returns when it answers.
    ///
    /// # Errors
    /// It ends, or does not answer.
    pub async fn start(
        python: &Path,
        run_dir: &RunDir,
        database_url: &str,
        port: u16,
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let url: Url = database_url.parse().context("read the database's URL")?;
        let data = run_dir.folder("label-studio")?;
        let mut command = Command::new(python.with_file_name("label-studio"));
        command
            .args(["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--username", EMAIL, "--password", PASSWORD, "--user-token", TOKEN])
            .arg("--data-dir")
            .arg(&data)
            .current_dir(&data)
            .env("DJANGO_DB", "default")
            .env("POSTGRE_NAME", url.path().trim_start_matches('/'))
            .env("POSTGRE_USER", url.username())
            .env("POSTGRE_PASSWORD", url.password().unwrap_or_default())
            .env("POSTGRE_HOST", url.host_str().unwrap_or_default())
            .env("POSTGRE_PORT", url.port().unwrap_or(5432).to_string())
            .env("LABEL_STUDIO_BASE_DATA_DIR", &data)
            .env("LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN", "true")
            // The local S3 server is on loopback.
            .env("SSRF_PROTECTION_ENABLED", "false")
            .env("SYNC_ON_TARGET_STORAGE_CREATION", "false")
            .env("COLLECT_ANALYTICS", "false")
            .env("LATEST_VERSION_CHECK", "false")
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let process = Process::spawn(run_dir, "label-studio", command)?;
        let http = reqwest::Client::builder().no_proxy().timeout(REQUEST_PATIENCE).build()?;
        let studio = Self { url: format!("http://127.0.0.1:{port}"), http, process };
        let version = format!("{}/api/version/", studio.url);
        let answers =
            || async { studio.http.get(&version).send().await.is_ok_and(|answer| answer.status().is_success()) };
        studio.process.until_ready(PATIENCE, answers).await?;
        Ok(studio)
    }

    /// Its base URL, without a proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process, the parent of all others.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Sends a request with the token of the first user, and returns the answer's JSON; null if it is empty.
    ///
    /// # Errors
    /// The answer is an error, or no JSON.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        self.send_to(&self.url, method, path, body).await
    }

    /// The same through a proxy at this base URL.
    ///
    /// # Errors
    /// The answer is an error, or no JSON.
    pub async fn send_to(&self, base: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let request = self.http.request(method.parse()?, format!("{base}{path}"));
        let request = request.header("authorization", format!("Token {TOKEN}"));
        let request = body.into_iter().fold(request, |request, body| request.json(body));
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("{method} {path}: {status} {text}");
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path} answered {text}"))
    }

    /// Creates a project with this label config, and returns its ID.
    ///
    /// # Errors
    /// Label Studio refuses it.
    pub async fn create_project(&self, title: &str, label_config: &str) -> Result<i64> {
        let body = json!({"title": title, "label_config": label_config});
        self.send("POST", "/api/projects/", Some(&body)).await?["id"].as_i64().context("the project's ID")
    }
}
