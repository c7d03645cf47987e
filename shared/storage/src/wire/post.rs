//! Posts JSON to URLs that users gave, with the address guard of requests to storages.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::connect::Connector;
use super::{AllowedEndpoints, READ_BUFFER};

/// A client for posts to servers of users, such as webhooks.
#[derive(Clone)]
pub struct Poster {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    patience: Duration,
}

/// Why a post has no answer. Never names the URL, which may contain a secret.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// No connection was opened, the server is blocked, or it closed the connection.
    #[error("the server does not answer")]
    NoAnswer(#[source] hyper_util::client::legacy::Error),
    /// The server did not answer in time.
    #[error("the server did not answer within {} s", .0.as_secs())]
    Late(Duration),
}

impl Poster {
    /// `patience` is the limit for connecting, sending and the head of the answer together.
    ///
    /// # Errors
    /// The TLS library rejects its own defaults.
    pub fn new(allowed: AllowedEndpoints, patience: Duration) -> Result<Self, rustls::Error> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(longshore_telemetry::tls_config()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector::new(allowed, patience));
        // Posts are rare, and a kept connection may be one that the server is closing.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(READ_BUFFER)
            .build(connector);
        Ok(Self { client, patience })
    }

    /// Posts a body, and returns the status of the answer, whose body is not read. Redirects are not followed.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn post(&self, uri: Uri, headers: HeaderMap, body: Bytes) -> Result<StatusCode, PostError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let answer = timeout(self.patience, self.client.request(request)).await;
        Ok(answer.map_err(|_| PostError::Late(self.patience))?.map_err(PostError::NoAnswer)?.status())
    }
}
