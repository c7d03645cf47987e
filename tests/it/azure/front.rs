//! A front before Azurite, which answers in its place where a test wants that: Azurite grants every
//! right, is never busy and has the same clock.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use longshore_tests::azurite::ACCOUNT;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    List,
    Get,
    Put,
    Delete,
}

/// An answer in Azure's own words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    /// `AuthenticationErrorDetail`, where there is one.
    pub(super) detail: &'static str,
    pub(super) retry_after: Option<u32>,
}

impl Refusal {
    pub(super) const fn new(status: u16, code: &'static str) -> Self {
        Self { status, code, detail: "", retry_after: None }
    }
}

/// From the `nth` such request on, counted from zero, so many are refused.
struct Rule {
    ask: Ask,
    skip: usize,
    times: usize,
    refusal: Refusal,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) ask: Ask,
    /// Path and query as they came.
    pub(super) target: String,
    pub(super) status: u16,
}

struct Desk {
    upstream: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<Call>>,
}

/// The front. Dropped, it closes.
pub(super) struct Front {
    address: SocketAddr,
    desk: Arc<Desk>,
    _task: JoinSet<()>,
}

impl Front {
    pub(super) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let desk = Arc::new(Desk { upstream, client, rules: Mutex::default(), calls: Mutex::default() });
        let mut task = JoinSet::new();
        let served = Arc::clone(&desk);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let desk = Arc::clone(&served);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let desk = Arc::clone(&desk);
                        async move { Ok::<_, Infallible>(desk.answer(request).await) }
                    });
                    // A client that hangs up is none of our business.
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { address, desk, _task: task }
    }

    /// The URL clients are given in place of Azurite's.
    pub(super) fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.address)
    }

    /// Refuses every such request from now on.
    pub(super) fn refuse(&self, ask: Ask, refusal: Refusal) {
        self.refuse_some(ask, 0, usize::MAX, refusal);
    }

    /// Lets `skip` such requests pass and refuses the next `times`.
    pub(super) fn refuse_some(&self, ask: Ask, skip: usize, times: usize, refusal: Refusal) {
        self.desk.rules().push(Rule { ask, skip, times, refusal });
    }

    /// Passes on everything again.
    pub(super) fn relent(&self) {
        self.desk.rules().clear();
    }

    /// What came, in order.
    pub(super) fn calls(&self, ask: Ask) -> Vec<Call> {
        let calls = self.desk.calls.lock().expect("nothing panics while holding the calls");
        calls.iter().filter(|call| call.ask == ask).cloned().collect()
    }
}

impl Desk {
    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().expect("nothing panics while holding the rules")
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let query = request.uri().query().unwrap_or_default();
        let ask = match *request.method() {
            Method::PUT => Ask::Put,
            Method::DELETE => Ask::Delete,
            _ if query.contains("comp=list") => Ask::List,
            _ => Ask::Get,
        };
        let target = request.uri().to_string();
        let answer = match self.refusal(ask) {
            Some(refusal) => refused(refusal),
            None => self.pass_on(request).await,
        };
        let status = answer.status().as_u16();
        self.calls.lock().expect("nothing panics while holding the calls").push(Call { ask, target, status });
        answer
    }

    fn refusal(&self, ask: Ask) -> Option<Refusal> {
        let mut rules = self.rules();
        let rule = rules.iter_mut().find(|rule| rule.ask == ask && rule.times > 0)?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.refusal)
    }

    /// The host is not signed, so Azurite takes the request as it came.
    async fn pass_on(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (mut head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        head.uri = Uri::builder()
            .scheme("http")
            .authority(self.upstream.to_string())
            .path_and_query(target)
            .build()
            .expect("a URI");
        let body = body.collect().await.expect("a whole request").to_bytes();
        let answer = self.client.request(Request::from_parts(head, Full::new(body))).await.expect("Azurite answers");
        let (head, body) = answer.into_parts();
        Response::from_parts(head, Full::new(body.collect().await.expect("a whole answer").to_bytes()))
    }
}

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    let Refusal { status, code, detail, retry_after } = refusal;
    let detail = if detail.is_empty() {
        String::new()
    } else {
        format!("<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>")
    };
    let body = format!(
        "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>Told by the front.</Message>{detail}</Error>"
    );
    let mut answer = Response::builder().status(status).header("x-ms-error-code", code);
    if let Some(seconds) = retry_after {
        answer = answer.header("retry-after", seconds);
    }
    answer.body(Full::new(Bytes::from(body))).expect("an answer")
}
