//! A server that lists as stores do that call themselves compatible with S3.
//!
//! It has one bucket, named `bucket`, and does not check signatures: those are tested on other servers. Listings are its
//! purpose; objects can be read.

mod answer;
mod profile;

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
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
pub use profile::{AWS, KeyOrder, Profile, STORES, Spelling, Start, UNLISTABLE};

struct State {
    profile: Profile,
    /// Keys and sizes, in the order in which they were stored.
    keys: Vec<(String, usize)>,
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
        let state = Arc::new(Mutex::new(State { profile, keys, listings: Vec::new() }));
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
    let (status, body) = match (request.method(), key.as_deref()) {
        (&Method::GET, Some("")) => {
            pass(&gate).await;
            let text = request.uri().query().unwrap_or_default();
            let mut state = lock(&state);
            state.listings.push(text.to_owned());
            (StatusCode::OK, answer::page(&state.profile, &state.keys, &query(text)).into())
        }
        (&Method::GET | &Method::HEAD, Some(key)) if lock(&state).keys.iter().any(|(own, _)| own == key) => {
            (StatusCode::OK, Bytes::from_static(content()))
        }
        (_, Some(_)) => (StatusCode::NOT_FOUND, Bytes::from_static(b"<Error><Code>NoSuchKey</Code></Error>")),
        (_, None) => (StatusCode::NOT_FOUND, Bytes::from_static(b"<Error><Code>NoSuchBucket</Code></Error>")),
    };
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    Ok(answer)
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
