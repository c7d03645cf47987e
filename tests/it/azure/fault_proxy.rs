//! A proxy before Azurite that injects errors: Azurite grants every right, is never busy and has the same clock.

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
use longshore_rig::azurite::ACCOUNT;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    List,
    Get,
    Put,
    Delete,
}

/// An error answer of Azure.
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

/// What the proxy does instead of passing an answer on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Refuse(Refusal),
    /// A page of the proxy with status 200.
    Page(&'static str),
    /// The correct head of the answer with half of the body and a length to match.
    Half,
}

/// Disturbs this many requests, starting with the `nth` one, counted from zero.
struct Rule {
    ask: RequestKind,
    skip: usize,
    times: usize,
    fault: Fault,
}

/// A recorded request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) ask: RequestKind,
    /// Path and query as received.
    pub(super) target: String,
    pub(super) status: u16,
}

struct ProxyState {
    upstream: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<Call>>,
}

/// The running proxy. Dropping it closes its port.
pub(super) struct FaultProxy {
    address: SocketAddr,
    state: Arc<ProxyState>,
    _task: JoinSet<()>,
}

impl FaultProxy {
    pub(super) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let client = Client::builder(TokioExecutor::new()).build_http();
        let state = Arc::new(ProxyState { upstream, client, rules: Mutex::default(), calls: Mutex::default() });
        let mut task = JoinSet::new();
        let served = Arc::clone(&state);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&served);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let state = Arc::clone(&state);
                        async move { Ok::<_, Infallible>(state.answer(request).await) }
                    });
                    // The client closed the connection.
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { address, state, _task: task }
    }

    /// The URL for clients.
    pub(super) fn endpoint(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.address)
    }

    /// Refuses every such request from now on.
    pub(super) fn refuse(&self, ask: RequestKind, refusal: Refusal) {
        self.refuse_some(ask, 0, usize::MAX, refusal);
    }

    /// Lets `skip` such requests pass and refuses the next `times`.
    pub(super) fn refuse_some(&self, ask: RequestKind, skip: usize, times: usize, refusal: Refusal) {
        self.disturb(ask, skip, times, Fault::Refuse(refusal));
    }

    /// Lets `skip` such requests pass and disturbs the next `times`.
    pub(super) fn disturb(&self, ask: RequestKind, skip: usize, times: usize, fault: Fault) {
        self.state.rules().push(Rule { ask, skip, times, fault });
    }

    /// Removes all refusals.
    pub(super) fn clear(&self) {
        self.state.rules().clear();
    }

    /// All requests in order.
    pub(super) fn calls(&self, ask: RequestKind) -> Vec<Call> {
        let calls = self.state.calls.lock().expect("nothing panics while holding the calls");
        calls.iter().filter(|call| call.ask == ask).cloned().collect()
    }
}

impl ProxyState {
    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().expect("nothing panics while holding the rules")
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let query = request.uri().query().unwrap_or_default();
        let ask = match *request.method() {
            Method::PUT => RequestKind::Put,
            Method::DELETE => RequestKind::Delete,
            _ if query.contains("comp=list") => RequestKind::List,
            _ => RequestKind::Get,
        };
        let target = request.uri().to_string();
        let answer = match self.fault(ask) {
            Some(Fault::Refuse(refusal)) => refused(refusal),
            Some(Fault::Page(page)) => Response::new(Full::new(Bytes::from_static(page.as_bytes()))),
            Some(Fault::Half) => half(self.pass_on(request).await).await,
            None => self.pass_on(request).await,
        };
        let status = answer.status().as_u16();
        self.calls.lock().expect("nothing panics while holding the calls").push(Call { ask, target, status });
        answer
    }

    fn fault(&self, ask: RequestKind) -> Option<Fault> {
        let mut rules = self.rules();
        let rule = rules.iter_mut().find(|rule| rule.ask == ask && rule.times > 0)?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault)
    }

    /// Forwards a request. The signature does not cover the host, so Azurite accepts it unchanged.
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
        "\u{FEFF}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>Injected by a test.</Message>{detail}</Error>"
    );
    let mut answer = Response::builder().status(status).header("x-ms-error-code", code);
    if let Some(seconds) = retry_after {
        answer = answer.header("retry-after", seconds);
    }
    answer.body(Full::new(Bytes::from(body))).expect("an answer")
}

/// The answer with the first half of its body.
async fn half(answer: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await.expect("a whole answer").to_bytes();
    head.headers.remove("content-length");
    head.headers.remove("transfer-encoding");
    Response::from_parts(head, Full::new(body.slice(..body.len() / 2)))
}
