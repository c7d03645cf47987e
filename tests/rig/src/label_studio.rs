//! A running Label Studio, the host of `LONGSHORE_HOST=label-studio`.
//!
//! `tests/label-studio/requirements.txt` pins its version. Its migrations take a minute, so they run once, and each
//! test restores a dump of the migrated database.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_local::postgres::program;
use longshore_local::{Process, RunDir, Stack, ports};
use reqwest::Url;
use serde_json::Value;

use crate::installed;

/// Label Studio takes 20 s to start on a busy machine, and a minute with all migrations.
const PATIENCE: Duration = Duration::from_secs(300);

/// The legacy token of its first user.
pub const TOKEN: &str = "5f1d6f04c3b94c8b9ad0a1e8a3b1c2d3e4f50617";

/// A running Label Studio on a database of a test.
pub struct LabelStudio {
    url: String,
    http: reqwest::Client,
    _process: Process,
}

/// Fills an empty database with the tables of a new Label Studio that has one user.
pub async fn fill(stack: &Stack, database_url: &str) -> Result<()> {
    let dump = dump(stack).await?;
    let restore = move |url: String, dump: PathBuf| {
        run(Command::new(program("psql")).args(["--quiet", "--set", "ON_ERROR_STOP=1", "--file"]).arg(dump).arg(url))
    };
    let url = database_url.to_owned();
    tokio::task::spawn_blocking(move || restore(url, dump)).await?
}

/// The dump of a migrated database. Made by the first caller.
async fn dump(stack: &Stack) -> Result<PathBuf> {
    let python = tokio::task::spawn_blocking(|| installed::python("label-studio")).await??;
    let folder = python.ancestors().nth(2).context("a virtual environment")?.to_owned();
    let dump = folder.join("migrated.sql");
    let lock = fs::File::create(folder.join("migrated.lock"))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    if dump.is_file() {
        return Ok(dump);
    }
    let name = crate::servers::unique("label_studio");
    let url = stack.postgres.create_database(&name).await?;
    let run_dir = RunDir::open(crate::servers::folder(&name))?;
    let studio = LabelStudio::start(&run_dir, &url, ports::free()?).await?;
    drop(studio);
    let part = dump.with_extension("part");
    let (from, to) = (url, part.clone());
    tokio::task::spawn_blocking(move || {
        run(Command::new(program("pg_dump")).args(["--no-owner", "--no-privileges", "--file"]).arg(to).arg(from))
    })
    .await??;
    fs::rename(&part, &dump)?;
    run_dir.remove()?;
    drop(lock);
    Ok(dump)
}

impl LabelStudio {
    /// Starts Label Studio on a database and a free port, and returns when it answers.
    pub async fn start(run_dir: &RunDir, database_url: &str, port: u16) -> Result<Self> {
        let python = tokio::task::spawn_blocking(|| installed::python("label-studio")).await??;
        let url: Url = database_url.parse().context("read the database's URL")?;
        let data = run_dir.folder("label-studio")?;
        let mut command = Command::new(python.with_file_name("label-studio"));
        command
            .args(["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--username", "annotator@example.com", "--password", "a-long-password", "--user-token", TOKEN])
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
            // The S3 server of the tests is on loopback.
            .env("SSRF_PROTECTION_ENABLED", "false")
            .env("SYNC_ON_TARGET_STORAGE_CREATION", "false")
            .env("COLLECT_ANALYTICS", "false")
            .env("LATEST_VERSION_CHECK", "false");
        let process = Process::spawn(run_dir, "label-studio", command)?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let studio = Self { url: format!("http://127.0.0.1:{port}"), http, _process: process };
        let version = format!("{}/api/version/", studio.url);
        let answers =
            || async { studio.http.get(&version).send().await.is_ok_and(|answer| answer.status().is_success()) };
        studio._process.until_ready(PATIENCE, answers).await?;
        Ok(studio)
    }

    /// Sends a request with the token of the first user, and returns the answer's JSON.
    ///
    /// # Panics
    /// The answer is an error, or takes more than ten minutes.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let method = method.parse().expect("a method");
        let mut request =
            self.http.request(method, format!("{}{path}", self.url)).header("authorization", format!("Token {TOKEN}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.timeout(Duration::from_secs(600)).send().await.expect("Label Studio answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a text"));
        assert!(status.is_success(), "{path}: {status} {text}");
        if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
        }
    }

    /// Creates a project with this label config, and returns its ID.
    pub async fn project(&self, label_config: &str) -> i64 {
        let body = serde_json::json!({"title": "twin", "label_config": label_config});
        self.send("POST", "/api/projects/", Some(&body)).await["id"].as_i64().expect("an ID")
    }
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("run {program}"))?;
    ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
