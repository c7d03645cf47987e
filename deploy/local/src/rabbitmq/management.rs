//! Calls of RabbitMQ's management API.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use longshore_telemetry::is_loopback;
use reqwest::{Client, Method, Response, Url};
use serde_json::Value;

/// The management API of a broker.
pub(super) struct Management {
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) user: String,
    pub(super) password: String,
}

impl Management {
    /// Calls the API, and fails unless it answers with success.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response> {
        let url = format!("{}/api/{path}", self.url.as_str().trim_end_matches('/'));
        let mut request = self.client.request(method, url).basic_auth(&self.user, Some(&self.password));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("ask RabbitMQ for {path}"))?;
        answer.error_for_status().with_context(|| format!("ask RabbitMQ for {path}"))
    }
}

/// The usual URL of a broker's management API. Its password must not cross a network unencrypted either.
pub(super) fn default_url(broker: &Url) -> Result<Url> {
    let host = broker.host_str().unwrap_or("localhost");
    if broker.scheme() == "amqps" {
        return Ok(Url::parse(&format!("https://{host}:15671"))?);
    }
    ensure!(is_loopback(host), "{host} is not this machine: use amqps://, or set AMQP_MANAGEMENT_URL");
    Ok(Url::parse(&format!("http://{host}:15672"))?)
}

/// A client without idle connections. A connection belongs to the runtime that opened it, and tests in many runtimes
/// share a broker.
pub(super) fn client() -> Result<Client> {
    let client = Client::builder().pool_max_idle_per_host(0).no_proxy().timeout(Duration::from_secs(30));
    client.build().context("make an HTTP client")
}
