//! A server that lists as stores do that call themselves compatible with S3.
//!
//! It has one bucket, named `bucket`, and does not check signatures: those are tested on other servers. Listings are its
//! purpose; objects can be read.

mod answer;
mod document;
mod profile;
mod stores;

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use answer::Query;
pub use profile::{Continuation, Document, KeyOrder, Profile, SecondVersion, Spelling, Start, Truncation};
pub use stores::{AWS, STORES, UNLISTABLE};

struct State {
    profile: Profile,
    /// Keys and sizes, in the order in which they were stored.
    keys: Vec<(String, usize)>,
    /// The content of keys that have their own.
    contents: HashMap<String, Bytes>,
    /// The queries of the listings so far.
    listings: Vec<String>,
}

/// A running store. It ends when this is dropped.
pub struct CompatibleStore {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    gate: watch::Sender<Gate>,
    _serving: JoinSet<()>,
}

/// Where listings wait.
#[derive(Debug, Clone, Copy, Default)]
struct Gate {
    /// Listings that may pass; `None` for all.
    passes: Option<usize>,
    waiting: usize,
}

impl CompatibleStore {
    /// Starts a store that lists as the profile says. Each key has content that a task can be made of.
    pub async fn start(profile: Profile, keys: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let keys = keys.into_iter().map(|key| (key, content().len())).collect();
        let state = Arc::new(Mutex::new(State { profile, keys, contents: HashMap::new(), listings: Vec::new() }));
        let gate = watch::Sender::new(Gate::default());
        let mut serving = JoinSet::new();
        let (shared, doors) = (Arc::clone(&state), gate.clone());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, doors) = (Arc::clone(&shared), doors.clone());
                let service = service_fn(move |request| serve(Arc::clone(&shared), doors.clone(), request));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, state, gate, _serving: serving }
    }

    /// The URL of the endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets this many more listings pass; those after them wait.
    pub fn hold_after(&self, listings: usize) {
        self.gate.send_modify(|gate| gate.passes = Some(listings));
    }

    /// Waits until a listing waits.
    pub async fn reached(&self) {
        self.gate.subscribe().wait_for(|gate| gate.waiting > 0).await.expect("a gate");
    }

    /// Lets all listings pass.
    pub fn release(&self) {
        self.gate.send_modify(|gate| gate.passes = None);
    }

    /// Stores more keys.
    pub fn add(&self, keys: impl IntoIterator<Item = String>) {
        lock(&self.state).keys.extend(keys.into_iter().map(|key| (key, content().len())));
    }

    /// Deletes keys.
    pub fn remove(&self, is_removed: impl Fn(&str) -> bool) {
        lock(&self.state).keys.retain(|(key, _)| !is_removed(key));
    }

    /// Stores an object with its own content, or replaces it.
    pub fn put(&self, key: &str, content: &str) {
        let mut state = lock(&self.state);
        state.keys.retain(|(own, _)| own != key);
        state.keys.push((key.to_owned(), content.len()));
        state.contents.insert(key.to_owned(), Bytes::copy_from_slice(content.as_bytes()));
    }

    /// The queries of the listings so far.
    pub fn listings(&self) -> Vec<String> {
        lock(&self.state).listings.clone()
    }

    /// Lists in another way from now on.
    pub fn become_like(&self, profile: Profile) {
        lock(&self.state).profile = profile;
    }
}

fn content() -> &'static [u8] {
    br#"{"image": "x"}"#
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    state: Arc<Mutex<State>>,
    gate: watch::Sender<Gate>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let key = request.uri().path().strip_prefix("/bucket").map(|rest| rest.trim_start_matches('/'));
    let key = key.map(|key| percent_decode_str(key).decode_utf8_lossy().into_owned());
    let is_listing = request.method() == Method::GET && key.as_deref() == Some("");
    if is_listing {
        pass(&gate).await;
    }
    let mut state = lock(&state);
    let found = state.keys.iter().position(|(own, _)| Some(own.as_str()) == key.as_deref());
    let mut answer = Response::new(Full::default());
    let (status, body) = match (request.method(), key.as_deref()) {
        _ if is_listing => {
            let text = request.uri().query().unwrap_or_default();
            state.listings.push(text.to_owned());
            match answer::page(&state.profile, &state.keys, &query(text)) {
                Ok(page) => {
                    if state.profile.document == Document::Packed {
                        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    }
                    (StatusCode::OK, page.into())
                }
                Err((status, code)) => (StatusCode::from_u16(status).expect("a status"), refusal(code)),
            }
        }
        (&Method::HEAD, Some(_)) if !state.profile.has_head => (StatusCode::METHOD_NOT_ALLOWED, Bytes::new()),
        (&Method::GET | &Method::HEAD, _) if found.is_some() => {
            if let Some(time) = found.filter(|_| !state.profile.omitted.contains(&"ETag")) {
                let etag = HeaderValue::from_str(&format!("\"e{time}\"")).expect("a header");
                answer.headers_mut().insert(header::ETAG, etag);
            }
            let own = key.as_deref().and_then(|key| state.contents.get(key)).cloned();
            (StatusCode::OK, own.unwrap_or(Bytes::from_static(content())))
        }
        (_, Some(_)) => (StatusCode::NOT_FOUND, refusal("NoSuchKey")),
        (_, None) => (StatusCode::NOT_FOUND, refusal("NoSuchBucket")),
    };
    *answer.status_mut() = status;
    *answer.body_mut() = Full::new(body);
    Ok(answer)
}

fn refusal(code: &str) -> Bytes {
    format!("<Error><Code>{code}</Code></Error>").into()
}

/// Waits until the gate lets a listing pass.
async fn pass(gate: &watch::Sender<Gate>) {
    /// Counts a listing that waits, also if its client leaves.
    struct Waiting<'a>(&'a watch::Sender<Gate>);
    impl Drop for Waiting<'_> {
        fn drop(&mut self) {
            self.0.send_modify(|gate| gate.waiting -= 1);
        }
    }

    let mut changes = gate.subscribe();
    let mut waiting = None;
    loop {
        let may_pass = gate.send_if_modified(|gate| match &mut gate.passes {
            None => true,
            Some(0) => false,
            Some(passes) => {
                *passes -= 1;
                true
            }
        });
        if may_pass {
            return;
        }
        waiting.get_or_insert_with(|| {
            gate.send_modify(|gate| gate.waiting += 1);
            Waiting(gate)
        });
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn query(text: &str) -> Query {
    let mut query = Query { limit: 1_000, ..Query::default() };
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8().map(Cow::into_owned).expect("UTF-8");
        match name {
            "prefix" => query.prefix = value,
            "delimiter" => query.has_delimiter = value == "/",
            "start-after" => query.after = value,
            "continuation-token" => query.token = value,
            "marker" => query.marker = value,
            "max-keys" => query.limit = value.parse().expect("a number"),
            "list-type" => query.is_second_version = value == "2",
            "encoding-type" => query.is_encoded = value == "url",
            other => panic!("a parameter {other}"),
        }
    }
    query
}
