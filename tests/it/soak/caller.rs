//! A client with its own token and address that counts its answers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use longshore_rig::rig::Rig;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// Answers up to this length are read as JSON; of longer ones only the length matters.
const READ: usize = 1024 * 1024;

pub(super) struct Caller {
    pub(super) token: String,
    address: Ipv4Addr,
    http: reqwest::Client,
    schedulers: Vec<String>,
    next: AtomicUsize,
    resets: AtomicUsize,
    /// The number of answers by kind of request, status and code.
    answers: Mutex<BTreeMap<(&'static str, u16, String), usize>>,
}

impl Caller {
    /// A client with a new admin token for one project. Each request has its own socket, from `address`, to the
    /// schedulers in turn.
    pub(super) async fn new(rig: &Rig, name: &str, project: i64, address: Ipv4Addr) -> Self {
        let made = rig.post("/api/tokens", json!({"name": name, "role": "admin", "projects": [project]})).await;
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).local_address(IpAddr::V4(address));
        Self {
            token: made["token"].as_str().expect("a token").to_owned(),
            address,
            http: http.build().expect("an HTTP client"),
            schedulers: rig.schedulers.iter().map(|app| app.url()).collect(),
            next: AtomicUsize::new(0),
            resets: AtomicUsize::new(0),
            answers: Mutex::default(),
        }
    }

    /// Calls the API. `what` is the kind of request that it is counted as.
    pub(super) async fn call(&self, what: &'static str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.send(what, method, path, body.map(|body| Bytes::from(body.to_string()))).await
    }

    /// The same with a body that is JSON already. Status 0 is no answer, and long answers are null.
    pub(super) async fn send(&self, what: &'static str, method: &str, path: &str, body: Option<Bytes>) -> (u16, Value) {
        self.ask(what, self.request(method, path, body).bearer_auth(&self.token)).await
    }

    /// A request without a token.
    pub(super) fn request(&self, method: &str, path: &str, body: Option<Bytes>) -> reqwest::RequestBuilder {
        let scheduler = &self.schedulers[self.next.fetch_add(1, Ordering::Relaxed) % self.schedulers.len()];
        let request = self.http.request(method.parse().expect("a method"), format!("{scheduler}{path}"));
        match body {
            Some(body) => request.header("content-type", "application/json").body(body),
            None => request,
        }
    }

    /// Sends a request and reads the answer whole.
    pub(super) async fn ask(&self, what: &'static str, request: reqwest::RequestBuilder) -> (u16, Value) {
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return self.unanswered(what, &error),
        };
        let status = answer.status().as_u16();
        match answer.bytes().await {
            Ok(text) if text.len() > READ => self.counted(what, status, Value::Null),
            Ok(text) => self.counted(what, status, serde_json::from_slice(&text).unwrap_or_default()),
            Err(error) => self.unanswered(what, &error),
        }
    }

    fn unanswered(&self, what: &'static str, error: &reqwest::Error) -> (u16, Value) {
        self.resets.fetch_add(1, Ordering::Relaxed);
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        self.counted(what, 0, json!({"code": cause}))
    }

    pub(super) fn counted(&self, what: &'static str, status: u16, body: Value) -> (u16, Value) {
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        *self.answers.lock().expect("no panic").entry((what, status, code)).or_default() += 1;
        (status, body)
    }

    /// A connection from the client's address that has sent these bytes, if it was taken.
    pub(super) async fn connection(&self, url: &str, sent: &str) -> Option<TcpStream> {
        let to: SocketAddr = url.strip_prefix("http://").expect("a plain URL").parse().expect("an address");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((self.address, 0).into()).expect("an address of this machine");
        let mut stream = socket.connect(to).await.ok()?;
        stream.write_all(sent.as_bytes()).await.ok()?;
        Some(stream)
    }

    /// The base URL of a scheduler.
    pub(super) fn scheduler(&self, index: usize) -> &str {
        &self.schedulers[index]
    }

    /// The number of requests without an answer.
    pub(super) fn resets(&self) -> usize {
        self.resets.load(Ordering::Relaxed)
    }

    /// The number of answers with this status and code, of all kinds of requests.
    pub(super) fn count(&self, status: u16, code: &str) -> usize {
        let answers = self.answers.lock().expect("no panic");
        answers.iter().filter(|((_, of, is), _)| (*of, is.as_str()) == (status, code)).map(|(_, count)| count).sum()
    }

    /// A line for each kind of request, status and code.
    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        for ((what, status, code), count) in self.answers.lock().expect("no panic").iter() {
            writeln!(text, "{what:<16} {status:>3} {code:<24} {count:>6}").expect("a string takes all");
        }
        text
    }
}
