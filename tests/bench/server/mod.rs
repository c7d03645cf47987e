//! The synthetic object store of the bench, a separate process that generates all answers.
//!
//! It checks no signatures and stores no objects, because the bench measures the client. It delays answers by the
//! latency of the bucket.

pub mod bucket;
pub mod listing;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use bucket::Bucket;

/// The path of the counters; no bucket has this name.
pub const COUNTS: &str = "/-/counts";

/// The length of every object.
const OBJECT_BYTES: usize = 1024;

/// Counters of requests.
#[derive(Default)]
struct State {
    lists: AtomicU64,
    /// Keys and prefixes in the answers.
    listed: AtomicU64,
    gets: AtomicU64,
    puts: AtomicU64,
    put_bytes: AtomicU64,
    task: Bytes,
}

/// Serves until the process is killed.
pub async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let state = Arc::new(State { task: task(), ..State::default() });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                // Answers go out in one write; waiting to fill a packet only adds latency.
                stream.set_nodelay(true)?;
                let state = Arc::clone(&state);
                let service = service_fn(move |request| {
                    let state = Arc::clone(&state);
                    async move { Ok::<_, Infallible>(answer(&state, request).await) }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
            // The end of a connection needs no action.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A task file of exactly [`OBJECT_BYTES`].
fn task() -> Bytes {
    let text = |filling: &str| {
        let task = json!({
            "data": { "image": "https://example.org/images/0000000000.jpg", "text": filling },
            "meta": { "source": "bench", "taken": "2026-03-14T15:09:26Z", "camera": 7 },
        });
        task.to_string()
    };
    text(&"A line of text to label. ".repeat(50)[..OBJECT_BYTES - text("").len()]).into()
}

async fn answer(state: &State, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if path == COUNTS {
        return respond("application/json", Bytes::from(state.counts().to_string()));
    }
    let (name, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    let Ok(bucket) = name.parse::<Bucket>() else { return refuse("NoSuchBucket", StatusCode::NOT_FOUND) };
    match (request.method(), key.is_empty()) {
        (&Method::GET, true) => {
            let (body, entries) =
                listing::answer(&bucket, name, &listing::Query::read(request.uri().query().unwrap_or_default()));
            state.lists.fetch_add(1, Ordering::Relaxed);
            state.listed.fetch_add(entries, Ordering::Relaxed);
            wait(bucket.list).await;
            respond("application/xml", body.into())
        }
        (&Method::GET, false) => {
            state.gets.fetch_add(1, Ordering::Relaxed);
            wait(bucket.get).await;
            let mut response = respond("application/json", state.task.clone());
            let etag = format!("\"{}\"", String::from_utf8_lossy(&listing::etag(key.as_bytes())));
            if let Ok(etag) = etag.parse() {
                response.headers_mut().insert(http::header::ETAG, etag);
            }
            response
        }
        (&Method::PUT, false) => {
            let Ok(body) = request.into_body().collect().await else {
                return refuse("IncompleteBody", StatusCode::BAD_REQUEST);
            };
            state.puts.fetch_add(1, Ordering::Relaxed);
            state.put_bytes.fetch_add(body.to_bytes().len() as u64, Ordering::Relaxed);
            wait(bucket.put).await;
            respond("application/xml", Bytes::new())
        }
        (&Method::DELETE, false) => status(StatusCode::NO_CONTENT, Bytes::new()),
        (&Method::HEAD, _) => respond("application/octet-stream", Bytes::new()),
        _ => refuse("MethodNotAllowed", StatusCode::METHOD_NOT_ALLOWED),
    }
}

async fn wait(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

fn respond(content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = status(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(http::header::ETAG, http::HeaderValue::from_static("\"9bb58f26192e4ba00f01e2e7b136bbd8\""));
    response
}

fn refuse(code: &str, refusal: StatusCode) -> Response<Full<Bytes>> {
    status(refusal, format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>").into())
}

fn status(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

impl State {
    fn counts(&self) -> Value {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        json!({
            "lists": read(&self.lists),
            "listed": read(&self.listed),
            "gets": read(&self.gets),
            "puts": read(&self.puts),
            "put_bytes": read(&self.put_bytes),
        })
    }
}
