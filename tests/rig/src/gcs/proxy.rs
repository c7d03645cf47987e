//! The proxy before fake-gcs-server: it forwards only requests that Google would accept.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::oauth::{Oauth, Right};
use super::rules::{Call, Fault, Op, Rules};
use super::signed;

pub(super) struct FrontProxy {
    address: SocketAddr,
    /// Host and port of fake-gcs-server.
    backend: String,
    client: Client<HttpConnector, Full<Bytes>>,
    oauth: Oauth,
    rules: Rules,
    /// Maximum number of keys in a listing page.
    page: AtomicUsize,
}

impl FrontProxy {
    pub(super) async fn start(backend: String) -> io::Result<(Arc<Self>, JoinSet<()>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let proxy = Arc::new(Self {
            address,
            backend,
            client: Client::builder(TokioExecutor::new()).build_http(),
            oauth: Oauth::new(format!("http://{address}/token")),
            rules: Rules::default(),
            page: AtomicUsize::new(1_000),
        });
        let mut task = JoinSet::new();
        let serving = Arc::clone(&proxy);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = Arc::clone(&serving);
                let service = service_fn(move |request| {
                    let proxy = Arc::clone(&proxy);
                    async move { proxy.serve(request).await }
                });
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok((proxy, task))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn oauth(&self) -> &Oauth {
        &self.oauth
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn set_page(&self, keys: usize) {
        self.page.store(keys, Ordering::Relaxed);
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = parts.uri.to_string();
        let Some(op) = operation(&parts) else { return Ok(refusal(404, "notFound", "Not Found")) };
        let mut account = None;
        let answer = self.answer(op, parts, body, &mut account).await;
        self.rules.record(Call { op, target, status: answer.status().as_u16(), account });
        Ok(answer)
    }

    async fn answer(&self, op: Op, parts: Parts, body: Bytes, account: &mut Option<String>) -> Response<Full<Bytes>> {
        let mut is_halved = false;
        match self.rules.next(op) {
            Some(Fault::Page(content_type, page)) => return answer(200, content_type, page.to_owned()),
            Some(Fault::Half) => is_halved = true,
            Some(Fault::Status(status, reason, wait)) => {
                let mut answer = refusal(status, reason, "injected by a test");
                if let Some(wait) = wait {
                    answer.headers_mut().insert(header::RETRY_AFTER, wait.into());
                }
                return answer;
            }
            Some(Fault::Delay(wait)) => tokio::time::sleep(wait).await,
            Some(Fault::Revoke) => self.oauth.revoke(),
            None => {}
        }
        let right = match op {
            Op::Token => {
                let (status, body) = self.oauth.answer_token_request(&String::from_utf8_lossy(&body));
                return answer(status, "application/json", body.to_string());
            }
            Op::Signed => match signed::check(&self.oauth, &parts) {
                Ok(who) => {
                    *account = Some(who);
                    return self.forward(parts, body).await;
                }
                Err((status, code)) => {
                    let body = format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>");
                    return answer(status, "application/xml; charset=UTF-8", body);
                }
            },
            Op::List => Right::List,
            Op::Get | Op::Head => Right::Get,
            Op::Put => Right::Put,
            Op::Delete => Right::Delete,
        };
        let token =
            parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some(who) = token.and_then(|token| self.oauth.token_account(token)) else {
            return refusal(401, "authError", "Invalid Credentials");
        };
        *account = Some(who.clone());
        if self.oauth.has_right(&who, right) != Some(true) {
            let permission = right.permission();
            let message = format!(
                "{who} does not have {permission} access to the Google Cloud Storage bucket. Permission \
                 '{permission}' denied on resource (or it may not exist)."
            );
            return refusal(403, "forbidden", &message);
        }
        let bucket = parts.uri.path().split('/').skip_while(|part| *part != "b").nth(1).unwrap_or_default().to_owned();
        let answer = self.forward(parts, body).await;
        if answer.status() != StatusCode::NOT_FOUND {
            return if is_halved { half(answer).await } else { answer };
        }
        // fake-gcs-server does not say whether the bucket or the object is missing.
        let bucket_answer = self.send(Method::GET, &format!("/storage/v1/b/{bucket}"), Bytes::new(), &[]).await;
        if bucket_answer.status() == StatusCode::OK && !matches!(op, Op::List | Op::Put) {
            refusal(404, "notFound", &format!("No such object: {bucket}/..."))
        } else {
            refusal(404, "notFound", "The specified bucket does not exist.")
        }
    }

    async fn forward(&self, parts: Parts, body: Bytes) -> Response<Full<Bytes>> {
        let mut target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let page = self.page.load(Ordering::Relaxed);
        if let Some(requested) = target.split(['?', '&']).find_map(|pair| pair.strip_prefix("maxResults=")) {
            let limit = requested.parse().unwrap_or(page).min(page);
            target = target.replacen(&format!("maxResults={requested}"), &format!("maxResults={limit}"), 1);
        }
        let forwarded = [header::RANGE, header::CONTENT_TYPE, header::ORIGIN, header::ACCEPT_ENCODING];
        let headers: Vec<_> =
            forwarded.iter().filter_map(|name| Some((name.clone(), parts.headers.get(name)?.clone()))).collect();
        self.send(parts.method, &target, body, &headers).await
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
        headers: &[(header::HeaderName, header::HeaderValue)],
    ) -> Response<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://{}{target}", self.backend).parse().expect("a URI");
        request.headers_mut().extend(headers.iter().cloned());
        let answer = self.client.request(request).await.expect("fake-gcs-server answers");
        let (mut head, body) = answer.into_parts();
        head.headers.remove(header::TRANSFER_ENCODING);
        head.headers.remove(header::CONNECTION);
        Response::from_parts(head, Full::new(body.collect().await.expect("a whole answer").to_bytes()))
    }
}

fn operation(parts: &Parts) -> Option<Op> {
    let path = parts.uri.path();
    if signed::is_signed(parts) {
        return Some(Op::Signed);
    }
    if path == "/token" {
        return (parts.method == Method::POST).then_some(Op::Token);
    }
    if path.starts_with("/upload/storage/v1/b/") {
        return (parts.method == Method::POST).then_some(Op::Put);
    }
    let (_, rest) = path.strip_prefix("/storage/v1/b/")?.split_once('/')?;
    match (&parts.method, rest) {
        (&Method::GET, "o") => Some(Op::List),
        (&Method::GET, _) if parts.uri.query().is_some_and(|query| query.contains("alt=media")) => Some(Op::Get),
        (&Method::GET, _) => Some(Op::Head),
        (&Method::DELETE, _) => Some(Op::Delete),
        _ => None,
    }
}

/// A refusal in the format of the JSON API.
fn refusal(status: u16, reason: &str, message: &str) -> Response<Full<Bytes>> {
    let errors = json!([{"domain": "global", "reason": reason, "message": message}]);
    let body = json!({"error": {"code": status, "message": message, "errors": errors}});
    answer(status, "application/json; charset=UTF-8", body.to_string())
}

fn answer(status: u16, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    answer
}

/// The answer with the first half of its body.
async fn half(answer: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await.expect("a whole answer").to_bytes();
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Full::new(body.slice(..body.len() / 2)))
}
