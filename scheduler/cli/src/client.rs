//! The HTTP client of the API. Turns every failure into a [`CliError`].

use std::error::Error as _;
use std::time::Duration;

use longshore_model::Secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK};
use reqwest::{Method, RequestBuilder, StatusCode, Url, redirect};
use serde_json::Value;

use crate::error::{CliError, Result};

/// Time limit of a request. To delete a storage with millions of rows takes minutes, and the scheduler allows an hour.
/// To examine a storage that does not answer takes a minute or two.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Time limit to open a socket. A server that runs accepts immediately.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of the API, with one token.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(crate) fn new(url: &str, token: Option<&Secret>) -> Result<Self> {
        let base = check_url(url)?;
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = format!("Token {}", token.expose());
            let mut value = HeaderValue::from_str(&value).map_err(|_| CliError::Unauthorized {
                url: url.to_owned(),
                status: None,
                detail: "it contains characters that are not allowed in a token".to_owned(),
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // The API routes used here never redirect, and another server must not get the token.
            .redirect(redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| unreachable(url, &error))?;
        Ok(Self { http, base: url.trim_end_matches('/').to_owned() })
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        Ok(self.send(self.request(Method::GET, path).query(query)).await?.1)
    }

    /// All rows of a list that continues where header `Link` says.
    pub(crate) async fn get_all(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<Value>> {
        let (mut headers, mut answer) = self.send(self.request(Method::GET, path).query(query)).await?;
        let mut all = Vec::new();
        loop {
            let rows = answer.as_array_mut().ok_or_else(|| self.not_longshore())?;
            let is_empty = rows.is_empty();
            all.append(rows);
            match next_page(&headers) {
                Some(next) if !is_empty => {
                    (headers, answer) = self.send(self.request(Method::GET, &next)).await?;
                }
                _ => return Ok(all),
            }
        }
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.send(self.request(Method::PATCH, path).json(body)).await?.1)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.send(self.request(Method::POST, path).json(body)).await?.1)
    }

    /// Sends a request whose answer is a stream of events, and passes the data of each on as it comes.
    pub(crate) async fn post_for_events(&self, path: &str, mut each: impl FnMut(Value)) -> Result<()> {
        let failed = |error: reqwest::Error| unreachable(&self.base, &error);
        let mut answer = self.request(Method::POST, path).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return self.received(answer).await.map(drop);
        }
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            text.extend_from_slice(&piece);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data: ") {
                    each(serde_json::from_slice(data).map_err(|_| self.not_longshore())?);
                }
            }
        }
        Ok(())
    }

    /// Starts a sync of the storage at `path`. Returns the sync's ID, which is in a header; the body is the storage.
    pub(crate) async fn start_sync(&self, path: &str, body: &Value) -> Result<i64> {
        let (headers, _) = self.send(self.request(Method::POST, &format!("{path}/sync")).json(body)).await?;
        sync_id(&headers).ok_or_else(|| self.not_longshore())
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value> {
        self.delete_selected(path, &[]).await
    }

    /// Deletes what the query selects.
    pub(crate) async fn delete_selected(&self, path: &str, query: &[(&str, String)]) -> Result<Value> {
        Ok(self.send(self.request(Method::DELETE, path).query(query)).await?.1)
    }

    /// Deletes what the path and query name. Returns the sync that does it; `None` if it is done.
    pub(crate) async fn delete_as_sync(&self, path: &str, query: &[(&str, String)]) -> Result<Option<i64>> {
        let (headers, _) = self.send(self.request(Method::DELETE, path).query(query)).await?;
        Ok(sync_id(&headers))
    }

    /// The error for an answer without the fields of Longshore's answers.
    pub(crate) fn not_longshore(&self) -> CliError {
        CliError::NotLongshore { url: self.base.clone(), what: "without the expected fields".to_owned() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request. Returns the headers and the body of the answer; the body is null if it is empty.
    async fn send(&self, request: RequestBuilder) -> Result<(HeaderMap, Value)> {
        let answer = request.send().await.map_err(|error| unreachable(&self.base, &error))?;
        self.received(answer).await
    }

    /// The headers and the body of an answer.
    async fn received(&self, answer: reqwest::Response) -> Result<(HeaderMap, Value)> {
        let failed = |error: reqwest::Error| unreachable(&self.base, &error);
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await.map_err(failed)?;
        let body = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice::<Value>(&bytes) };
        let url = self.base.clone();
        match body {
            Ok(body) if status.is_success() => Ok((headers, body)),
            Ok(body) if status == StatusCode::UNAUTHORIZED && body.is_object() => {
                let detail = body["detail"].as_str().unwrap_or_default().to_owned();
                Err(CliError::Unauthorized { url, detail, status: Some(status.as_u16()) })
            }
            Ok(body) if body["detail"].is_string() => Err(CliError::Api { body }),
            _ => Err(CliError::NotLongshore { url, what: format!("{status}") }),
        }
    }
}

/// The sync that an answer names in its header.
fn sync_id(headers: &HeaderMap) -> Option<i64> {
    headers.get("x-longshore-sync")?.to_str().ok()?.parse().ok()
}

/// The path and query of the next page in header `Link`. Another server's URL is not followed: it would get the token.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (url, rest) = link.strip_prefix('<')?.split_once('>')?;
    (rest.contains("rel=\"next\"") && url.starts_with("/api/")).then(|| url.to_owned())
}

/// Checks that a text is a URL of a scheduler.
pub(crate) fn check_url(url: &str) -> Result<Url> {
    let bad = || CliError::BadUrl { url: url.to_owned() };
    let base = Url::parse(url).map_err(|_| bad())?;
    if matches!(base.scheme(), "http" | "https") { Ok(base) } else { Err(bad()) }
}

/// Whether the URL names this machine, which an HTTP proxy cannot reach.
fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// The error for a failed request. The innermost cause is the most helpful one, such as "Connection refused".
fn unreachable(url: &str, error: &reqwest::Error) -> CliError {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(|cause| cause.source()) {
        cause = Some(deeper);
    }
    let cause = if error.is_timeout() {
        "timed out".to_owned()
    } else {
        let cause = cause.map_or_else(|| "connection failed".to_owned(), ToString::to_string);
        // What the TLS library says of an answer in plain HTTP.
        if cause.contains("InvalidContentType") {
            "this port speaks no TLS, so its URL begins with http://".to_owned()
        } else {
            cause
        }
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
        let here = |url: &str| is_loopback(&Url::parse(url).unwrap());
        assert!(here("http://127.0.0.1:8080") && here("http://localhost") && here("http://[::1]:8080/"));
        assert!(!here("https://longshore.example.com") && !here("http://10.0.0.1"));
    }

    #[test]
    fn an_invalid_url_is_refused() {
        for url in ["longshore:8080", "", "ftp://host/"] {
            assert!(matches!(Client::new(url, None), Err(CliError::BadUrl { .. })), "{url}");
        }
    }

    #[test]
    fn the_next_page_is_followed_only_on_the_same_server() {
        let next = |link: &'static str| next_page(&HeaderMap::from_iter([(LINK, HeaderValue::from_static(link))]));
        assert_eq!(next("</api/storages?after=7>; rel=\"next\"").as_deref(), Some("/api/storages?after=7"));
        for other in ["<https://evil/api/>; rel=\"next\"", "</api/x>; rel=\"prev\"", "</x>; rel=\"next\"", "//evil"] {
            assert_eq!(next(other), None, "{other}");
        }
        assert_eq!(next_page(&HeaderMap::new()), None);
    }

    #[test]
    fn each_direction_and_kind_has_its_path() {
        assert_eq!(storage_path("import", "s3"), "/api/storages/s3");
        assert_eq!(storage_path("export", "gcs"), "/api/storages/export/gcs");
    }
}
