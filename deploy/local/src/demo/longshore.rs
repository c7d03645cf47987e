//! Longshore as a user sees it: the command-line client, and the HTTP API for the rest.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_local::Settings;
use longshore_local::app::program;
use reqwest::RequestBuilder;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::report;

/// Exit code of `sync start --follow` for a sync that completed with objects in quarantine.
const COMPLETED_WITH_ERRORS: i32 = 3;

/// The longest sync takes a second; a busy machine may need up to a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// The client of one scheduler.
pub(super) struct Longshore {
    http: reqwest::Client,
    url: String,
    token: String,
    s3: [(&'static str, String); 3],
}

impl Longshore {
    pub(super) fn new(url: String, s3_endpoint: String, settings: &Settings) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let s3 = [
            ("S3_ENDPOINT", s3_endpoint),
            ("S3_ACCESS_KEY_ID", settings.s3_access_key.clone()),
            ("S3_SECRET_ACCESS_KEY", settings.s3_secret_key.clone()),
        ];
        Ok(Self { http, url, token: settings.token.clone(), s3 })
    }

    /// Prints a command, runs it, and returns its result. Its events are shown if it fails.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<Value> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        report::command(&arguments);
        let child = Command::new(program("longshore")?)
            .arg("--json")
            .args(&arguments)
            .envs(self.s3.iter().map(|(name, value)| (name, value)))
            .env("LONGSHORE_URL", &self.url)
            .env("LONGSHORE_TOKEN", &self.token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("run longshore")?;
        let output = timeout(PATIENCE, child.wait_with_output())
            .await
            .ok()
            .with_context(|| format!("longshore {} took more than {} s", arguments.join(" "), PATIENCE.as_secs()))??;
        let is_done = output.status.success() || output.status.code() == Some(COMPLETED_WITH_ERRORS);
        let events = String::from_utf8_lossy(&output.stderr);
        ensure!(is_done, "longshore {} ended with {}: {events}", arguments.join(" "), output.status);
        serde_json::from_slice(&output.stdout).context("longshore did not print JSON")
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        self.send(self.http.get(format!("{}{path}", self.url)).query(query), path).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send(self.http.post(format!("{}{path}", self.url)).json(body), path).await
    }

    async fn send(&self, request: RequestBuilder, path: &str) -> Result<Value> {
        let answer = request.header("authorization", format!("Token {}", self.token)).send().await?;
        let status = answer.status();
        let body: Value = answer.json().await.with_context(|| format!("{path} answered {status} without JSON"))?;
        ensure!(status.is_success(), "{path} answered {status}: {body}");
        Ok(body)
    }

    /// Every task of a project, with annotations and predictions.
    pub(super) async fn tasks(&self, project: i64) -> Result<Vec<Value>> {
        let mut tasks = Vec::new();
        for page in 1.. {
            let query = [("project", project), ("page", page), ("page_size", 1_000)].map(|(k, v)| (k, v.to_string()));
            // Unresolved URIs: the demo compares them with the bucket.
            let options = [("fields", "all"), ("resolve_uri", "false")].map(|(name, value)| (name, value.to_owned()));
            let body = self.get("/api/tasks/", &[query.as_slice(), &options].concat()).await?;
            let rows = body["tasks"].as_array().context("a page of tasks")?;
            tasks.extend_from_slice(rows);
            if body["total"].as_u64().is_none_or(|total| tasks.len() as u64 >= total) || rows.is_empty() {
                break;
            }
        }
        Ok(tasks)
    }

    /// All quarantined objects of a storage; those of the demo fit into one page.
    pub(super) async fn quarantine(&self, storage: i64) -> Result<Vec<Value>> {
        let query = [("storage", storage.to_string()), ("limit", "1000".to_owned())];
        let body = self.get("/api/quarantine", &query).await?;
        Ok(body["quarantine"].as_array().context("a page of quarantine")?.clone())
    }
}
