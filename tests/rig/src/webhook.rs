//! An HTTP server of a user, which receives webhooks.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A request that the server received.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    /// The body, in JSON.
    pub body: Value,
}

/// What the server does with requests for a path, after it received them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Status(StatusCode),
    /// Never answers.
    Hang,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    replies: BTreeMap<String, Reply>,
}

/// The server. It ends when this is dropped.
pub struct WebhookServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

impl WebhookServer {
    /// Starts the server. It answers 200.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&state);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| serve(Arc::clone(&shared), request));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, state, _serving: serving }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The host and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the reply to requests for a path.
    pub fn reply(&self, path: &str, reply: Reply) {
        lock(&self.state).replies.insert(path.to_owned(), reply);
    }

    /// The requests for a path so far.
    pub fn received(&self, path: &str) -> Vec<Received> {
        lock(&self.state).received.iter().filter(|received| received.path == path).cloned().collect()
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let reply = lock(&state).replies.get(&path).copied().unwrap_or(Reply::Status(StatusCode::OK));
    if let Ok(body) = body.collect().await {
        let body = serde_json::from_slice(&body.to_bytes()).unwrap_or(Value::Null);
        lock(&state).received.push(Received { path, headers: head.headers, body });
    }
    match reply {
        Reply::Status(status) => {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = status;
            Ok(answer)
        }
        Reply::Hang => std::future::pending().await,
    }
}
