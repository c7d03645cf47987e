//! A headless Chromium that opens one page of a test server and reports what it shows.

use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use longshore_rig::rig::PATIENCE;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::oneshot;

const PAGE: &str = include_str!("../../browser/page.html");

/// The browser connects only to the test, needs no screen, and plays sounds without a click.
pub(super) const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--autoplay-policy=no-user-gesture-required",
];

/// The site of the page, with its own origin.
pub(super) struct Site {
    listener: TcpListener,
}

/// What the page fetches and what it reports.
struct PageState {
    wanted: String,
    shown: Mutex<Option<oneshot::Sender<Value>>>,
}

impl Site {
    pub(super) async fn open() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port") }
    }

    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.listener.local_addr().expect("an address"))
    }

    /// Opens the page in a browser and returns a report for each item that it was to show.
    pub(super) async fn show(&self, folder: &Path, wanted: &Value) -> Vec<Value> {
        let (sender, shown) = oneshot::channel();
        let talk = Arc::new(PageState { wanted: wanted.to_string(), shown: Mutex::new(Some(sender)) });
        let mut browser = Command::new("chromium")
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", folder.join(format!("chromium-{}", uuid::Uuid::new_v4())).display()))
            .arg(self.origin())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Chromium is installed: deploy/local/install.sh tests");
        let shown = tokio::select! {
            shown = tokio::time::timeout(PATIENCE, shown) => shown.expect("the page reports").expect("a report"),
            () = self.serve(&talk) => unreachable!("it serves until it is dropped"),
            ended = browser.wait() => panic!("the browser ended by itself: {ended:?}"),
        };
        browser.kill().await.expect("the browser ends");
        shown.as_array().expect("a list").clone()
    }

    async fn serve(&self, talk: &Arc<PageState>) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = self.listener.accept().await.expect("a connection");
            let talk = Arc::clone(talk);
            let service = service_fn(move |request| answer(Arc::clone(&talk), request));
            connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }
}

async fn answer(talk: Arc<PageState>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (kind, body) = match request.uri().path() {
        "/" => ("text/html", PAGE.to_owned()),
        "/wanted" => ("application/json", talk.wanted.clone()),
        "/shown" => {
            let body = request.into_body().collect().await.expect("a report").to_bytes();
            let sender = talk.shown.lock().expect("the lock is not poisoned").take();
            let report = serde_json::from_slice(&body).expect("JSON");
            sender.expect("one report").send(report).expect("the test waits");
            ("text/plain", String::new())
        }
        _ => ("text/plain", String::new()),
    };
    let answer = Response::builder().header("content-type", kind).body(Full::new(body.into()));
    Ok(answer.expect("a response"))
}
