//! HTTP with the API: one request, one answer, every failure as a [`CliError`].

use std::error::Error as _;
use std::time::Duration;

use longshore_model::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode, Url, redirect};
use serde_json::Value;

use crate::error::{CliError, Result};

/// A storage with millions of rows takes minutes to delete, a doctor's visit to a silent one a minute or two.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// A server that is there accepts at once.
const CONNECT: Duration = Duration::from_secs(10);

/// The API as one token sees it.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(crate) fn new(url: &str, token: Option<&Secret>) -> Result<Self> {
        let bad = || CliError::BadUrl { url: url.to_owned() };
        let base = Url::parse(url).map_err(|_| bad())?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad());
        }
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = format!("Token {}", token.expose());
            let mut value = HeaderValue::from_str(&value).map_err(|_| CliError::Unauthorized {
                url: url.to_owned(),
                detail: "it has characters that no token has".to_owned(),
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            // The API never redirects; another server must not get the token.
            .redirect(redirect::Policy::none());
        if is_here(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| unreachable(url, &error))?;
        Ok(Self { http, base: url.trim_end_matches('/').to_owned() })
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        Ok(self.send(self.request(Method::GET, path).query(query)).await?.1)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.send(self.request(Method::POST, path).json(body)).await?.1)
    }

    /// Starts a sync of the storage at `path` and returns the sync's id, which comes as a header: the
    /// body is the storage.
    pub(crate) async fn start_sync(&self, path: &str, body: &Value) -> Result<i64> {
        let (headers, _) = self.send(self.request(Method::POST, &format!("{path}/sync")).json(body)).await?;
        let id = headers.get("x-longshore-sync").and_then(|id| id.to_str().ok()?.parse().ok());
        id.ok_or_else(|| self.stranger())
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        Ok(self.send(self.request(Method::DELETE, path)).await?.1)
    }

    /// For an answer that lacks what Longshore's has.
    pub(crate) fn stranger(&self) -> CliError {
        CliError::Stranger { url: self.base.clone(), what: "without the expected fields".to_owned() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// The answer's headers and body; null where it is empty.
    async fn send(&self, request: RequestBuilder) -> Result<(HeaderMap, Value)> {
        let failed = |error: reqwest::Error| unreachable(&self.base, &error);
        let answer = request.send().await.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await.map_err(failed)?;
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice::<Value>(&bytes) };
        let url = self.base.clone();
        match body {
            Ok(body) if status.is_success() => Ok((headers, body)),
            Ok(body) if status == StatusCode::UNAUTHORIZED && body.is_object() => {
                let detail = body["detail"].as_str().unwrap_or_default().to_owned();
                Err(CliError::Unauthorized { url, detail })
            }
            Ok(body) if body["detail"].is_string() => Err(CliError::Api { body }),
            _ => Err(CliError::Stranger { url, what: format!("{status}") }),
        }
    }
}

/// Whether the URL names this machine, which no proxy can reach.
fn is_here(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// The innermost cause says it best: "Connection refused", "timed out".
fn unreachable(url: &str, error: &reqwest::Error) -> CliError {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(|cause| cause.source()) {
        cause = Some(deeper);
    }
    let cause = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        cause.map_or_else(|| "no connection".to_owned(), ToString::to_string)
    };
    CliError::Unreachable { url: url.to_owned(), cause }
}

/// The API path of the storages of a direction and kind.
pub(crate) fn storage_path(direction: &str, kind: &str) -> String {
    if direction == "export" { format!("/api/storages/export/{kind}") } else { format!("/api/storages/{kind}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_reached_without_a_proxy() {
        let here = |url: &str| is_here(&Url::parse(url).unwrap());
        assert!(here("http://127.0.0.1:8080") && here("http://localhost") && here("http://[::1]:8080/"));
        assert!(!here("https://longshore.example.com") && !here("http://10.0.0.1"));
    }

    #[test]
    fn a_url_that_is_none_is_refused() {
        for url in ["longshore:8080", "", "ftp://host/"] {
            assert!(matches!(Client::new(url, None), Err(CliError::BadUrl { .. })), "{url}");
        }
    }

    #[test]
    fn each_direction_and_kind_has_its_path() {
        assert_eq!(storage_path("import", "s3"), "/api/storages/s3");
        assert_eq!(storage_path("export", "gcs"), "/api/storages/export/gcs");
    }
}
