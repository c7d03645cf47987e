//! A minimal STS: it checks identity and role of a caller, and returns numbered credentials that an S3 server accepts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use longshore_local::s3::{AccessKey, Fault, Options, S3ErrorCode, S3Server, When};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/labels/reader";
pub(crate) const OPERATOR_KEY: &str = "AKIAOPERATOR";
pub(crate) const OPERATOR_SECRET: &str = "operator-secret-5e11";

/// A lifetime that no test outlasts.
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// More than any test needs.
const CREDENTIALS: usize = 200;

/// Part of every secret and token that the STS returns.
pub(crate) const ROLE_SECRET: &str = "role-secret-9c02";

/// The STS, and the S3 server that accepts only its credentials.
pub(crate) struct Cloud {
    pub(crate) s3: Arc<S3Server>,
    pub(crate) sts_url: String,
    handed_out: Arc<AtomicUsize>,
    /// The external ID that the role's trust policy requires.
    trusted: Arc<Mutex<String>>,
    /// Dropping it ends the STS.
    _task: JoinSet<()>,
}

struct StsState {
    s3: Arc<S3Server>,
    lifetime: Duration,
    handed_out: Arc<AtomicUsize>,
    trusted: Arc<Mutex<String>>,
    /// Concurrent callers get credentials one after the other.
    last: Mutex<Option<String>>,
}

fn access_key_id(n: usize) -> String {
    format!("ASIAROLE{n:04}")
}

impl Cloud {
    /// Credentials live for `lifetime`; the bucket refuses old ones once there are newer ones, if that is short.
    pub(crate) async fn start(lifetime: Duration) -> Self {
        let access_keys = (0..CREDENTIALS)
            .map(|n| {
                AccessKey::new(&access_key_id(n), &format!("{ROLE_SECRET}-{n}"))
                    .with_session_token(&format!("{ROLE_SECRET}-token-{n}"))
            })
            .collect();
        let s3 = Arc::new(S3Server::start(Options { access_keys, ..Options::default() }).await.expect("an S3 server"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let sts_url = format!("http://{}", listener.local_addr().expect("a bound socket"));
        let handed_out = Arc::new(AtomicUsize::new(0));
        let trusted = Arc::new(Mutex::new("the ID of no project".to_owned()));
        let state = Arc::new(StsState {
            s3: Arc::clone(&s3),
            lifetime,
            handed_out: Arc::clone(&handed_out),
            trusted: Arc::clone(&trusted),
            last: Mutex::default(),
        });
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                connections.spawn(async move { state.serve(stream).await });
            }
        });
        Self { s3, sts_url, handed_out, trusted, _task: task }
    }

    /// Sets the external ID that the role requires from now on.
    pub(crate) fn trust(&self, external_id: &str) {
        external_id.clone_into(&mut self.trusted.lock().expect("no panic under the lock"));
    }

    pub(crate) fn handed_out(&self) -> usize {
        self.handed_out.load(Ordering::Relaxed)
    }
}

impl StsState {
    /// Answers one request and closes the connection.
    async fn serve(&self, mut stream: TcpStream) {
        let request = read(&mut stream).await;
        let (status, body) = self.answer(&request);
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        // A client that disconnected early sends its request again.
        stream.write_all(answer.as_bytes()).await.ok();
    }

    fn answer(&self, request: &str) -> (&'static str, String) {
        let field = |name: &str| {
            let form = request.split_once("\r\n\r\n")?.1;
            let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
            percent_decode_str(value).decode_utf8().ok().map(|value| value.into_owned())
        };
        let field = |name: &str| field(name).unwrap_or_default();
        assert_eq!((field("Action"), field("RoleSessionName")), ("AssumeRole".into(), "longshore".into()), "{request}");
        assert!(request.contains(&format!("Credential={OPERATOR_KEY}/")), "asked as somebody else: {request}");
        if field("RoleArn") != ROLE || field("ExternalId") != *self.trusted.lock().expect("no panic under the lock") {
            // AWS's text; it is the same for a wrong role and a wrong external ID.
            let message = format!(
                "User: arn:aws:iam::999999999999:user/longshore is not authorized to perform: sts:AssumeRole on \
                 resource: {}",
                field("RoleArn")
            );
            let error =
                format!("<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{message}</Message></Error>");
            let xmlns = "https://sts.amazonaws.com/doc/2011-06-15/";
            return (
                "403 Forbidden",
                format!("<ErrorResponse xmlns=\"{xmlns}\">{error}<RequestId>r</RequestId></ErrorResponse>"),
            );
        }
        ("200 OK", self.hand_out())
    }

    fn hand_out(&self) -> String {
        let n = self.handed_out.fetch_add(1, Ordering::Relaxed);
        let id = access_key_id(n);
        let old = self.last.lock().expect("no panic under the lock").replace(id.clone());
        if let Some(old) = old.filter(|_| self.lifetime < Duration::from_secs(60)) {
            self.s3.fail(When::any().access_key(&old), Fault::Error(S3ErrorCode::ExpiredToken));
        }
        let end = format!("{:.3}", Timestamp::now() + self.lifetime);
        format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
             <AssumedRoleUser><AssumedRoleId>AROA:longshore</AssumedRoleId>\
             <Arn>arn:aws:sts::123456789012:assumed-role/reader/longshore</Arn></AssumedRoleUser>\
             <Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{ROLE_SECRET}-{n}</SecretAccessKey>\
             <SessionToken>{ROLE_SECRET}-token-{n}</SessionToken><Expiration>{end}</Expiration></Credentials>\
             </AssumeRoleResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>"
        )
    }
}

/// A request's head and its form.
async fn read(stream: &mut TcpStream) -> String {
    let mut held = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&held).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0_usize) {
                return text;
            }
        }
        match stream.read_buf(&mut held).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return text,
        }
    }
}
