//! Credential sources of AWS on one local port: STS for web identities, the container endpoint, and the instance
//! metadata service (version 2 only).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use longshore_local::s3::{AccessKey, Options, S3Server};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/labels";
/// The identity token for STS, and the authorization token for the container endpoint.
pub(super) const IDENTITY: &str = "eyJhbGciOi.identity-6b1f.signed";
pub(super) const KEY: &str = "ASIAHANDEDOUT";
pub(super) const SECRET: &str = "handed-out-secret-77ac";
pub(super) const TOKEN: &str = "handed-out-token-19d3";

const METADATA_TOKEN: &str = "metadata-token-40aa";
const INSTANCE_ROLE: &str = "labels-instance";
const HOUR: Duration = Duration::from_secs(3_600);

/// How the metadata service behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Metadata {
    Second,
    /// The operator of the instance has switched it off.
    Forbidden,
    /// As before 2019: credentials for every caller, without tokens.
    FirstOnly,
}

/// A running credential server.
pub(super) struct CredentialServer {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    /// Dropping it ends the server.
    _task: JoinSet<()>,
}

/// An S3 server that takes what a credential_server hands out, and nothing else.
pub(super) async fn bucket_server() -> S3Server {
    let key = AccessKey::new(KEY, SECRET).with_session_token(TOKEN);
    S3Server::start(Options { access_keys: vec![key], ..Options::default() }).await.expect("an S3 server")
}

impl CredentialServer {
    pub(super) async fn start(metadata: Metadata) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                connections.spawn(async move {
                    let request = read(&mut stream).await;
                    let (status, head, body) = answer(metadata, &request);
                    seen.lock().expect("no panic under the lock").push(line(&request).to_owned());
                    let text = format!(
                        "HTTP/1.1 {status}\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    // A client that disconnected early sends its request again.
                    stream.write_all(text.as_bytes()).await.ok();
                });
            }
        });
        Self { url, requests, _task: task }
    }

    /// The first line of each request so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic under the lock").clone()
    }
}

fn line(request: &str) -> &str {
    request.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1")
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let head = request.split_once("\r\n\r\n")?.0;
    head.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

type Answer = (&'static str, String, String);

fn answer(metadata: Metadata, request: &str) -> Answer {
    let refused = |status| (status, String::new(), String::new());
    let path = "/latest/meta-data/iam/security-credentials/";
    match line(request) {
        "POST /" => web_identity(request),
        "GET /container" if header(request, "authorization") == Some(IDENTITY) => ok(json()),
        "GET /container" => refused("401 Unauthorized"),
        "PUT /latest/api/token" => match (metadata, header(request, "x-aws-ec2-metadata-token-ttl-seconds")) {
            (Metadata::Second, Some(seconds)) => {
                ("200 OK", format!("x-aws-ec2-metadata-token-ttl-seconds: {seconds}\r\n"), METADATA_TOKEN.to_owned())
            }
            (Metadata::Second, None) => refused("400 Bad Request"),
            (Metadata::Forbidden, _) => refused("403 Forbidden"),
            (Metadata::FirstOnly, _) => refused("404 Not Found"),
        },
        line => {
            let may = metadata == Metadata::FirstOnly
                || metadata == Metadata::Second && header(request, "x-aws-ec2-metadata-token") == Some(METADATA_TOKEN);
            match line.strip_prefix("GET ").and_then(|asked| asked.strip_prefix(path)) {
                Some("") if may => ok(INSTANCE_ROLE.to_owned()),
                Some(INSTANCE_ROLE) if may => ok(json()),
                _ if may && line == "GET /latest/meta-data/placement/region" => ok("us-east-1".to_owned()),
                _ if may => refused("404 Not Found"),
                _ => refused("401 Unauthorized"),
            }
        }
    }
}

fn ok(body: String) -> Answer {
    ("200 OK", String::new(), body)
}

fn end() -> String {
    format!("{:.0}", Timestamp::now() + HOUR)
}

/// As the container's endpoint and the metadata service write them.
fn json() -> String {
    serde_json::json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": end(),
    })
    .to_string()
}

/// STS checks the token that the cluster gave, not a signature.
fn web_identity(request: &str) -> Answer {
    let form = request.split_once("\r\n\r\n").map_or("", |(_, form)| form);
    let field = |name: &str| {
        let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        percent_decode_str(value).decode_utf8().ok().map(|value| value.into_owned())
    };
    let is = |name: &str, value: &str| field(name).as_deref() == Some(value);
    let xmlns = "https://sts.amazonaws.com/doc/2011-06-15/";
    if !(is("Action", "AssumeRoleWithWebIdentity") && is("RoleArn", ROLE) && is("WebIdentityToken", IDENTITY)) {
        let error = "<Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>m</Message></Error>";
        let body = format!("<ErrorResponse xmlns=\"{xmlns}\">{error}<RequestId>r</RequestId></ErrorResponse>");
        return ("400 Bad Request", "content-type: text/xml\r\n".to_owned(), body);
    }
    let body = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"{xmlns}\"><AssumeRoleWithWebIdentityResult><Credentials>\
         <AccessKeyId>{KEY}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>{TOKEN}</SessionToken><Expiration>{}</Expiration></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        end()
    );
    ("200 OK", "content-type: text/xml\r\n".to_owned(), body)
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
