//! A minimal client: `aws-sigv4` signs, and each request has its own socket.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningInstructions,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) id: &'static str,
    pub(super) secret: &'static str,
    pub(super) token: Option<&'static str>,
}

/// A complete or partial answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// 0 if no status line came.
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
    /// How the connection failed; `None` if the server closed it.
    pub(super) error: Option<io::ErrorKind>,
}

impl Answer {
    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether the body has the length in `content-length`.
    pub(super) fn is_whole(&self) -> bool {
        self.header("content-length").is_some_and(|length| length.parse() == Ok(self.body.len()))
    }
}

impl Client {
    pub(super) fn new(address: SocketAddr, id: &'static str, secret: &'static str) -> Self {
        Self { address, id, secret, token: None }
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], b"").await
    }

    /// Sends a signed request; `target` is path and query as sent.
    pub(super) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let settings = SigningSettings::default();
        let signed = self.sign(method, target, headers, SignableBody::Bytes(body), settings, SystemTime::now());
        let signed = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let given = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.exchange(method, target, given.chain(signed).collect(), body).await
    }

    pub(super) async fn unsigned(&self, method: &str, target: &str) -> Answer {
        self.exchange(method, target, Vec::new(), b"").await
    }

    /// Path and query of a presigned GET that was signed `age` ago.
    pub(super) fn presign(&self, path: &str, ttl: Duration, age: Duration) -> String {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(ttl);
        let signed = self.sign("GET", path, &[], SignableBody::UnsignedPayload, settings, SystemTime::now() - age);
        let escape = |value| percent_encoding::utf8_percent_encode(value, super::keys::ESCAPED).to_string();
        let query: Vec<_> = signed.params().iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        format!("{path}?{}", query.join("&"))
    }

    fn sign(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: SignableBody<'_>,
        mut settings: SigningSettings,
        time: SystemTime,
    ) -> SigningInstructions {
        // As S3 requires: the path is not normalized, and a header has the digest of the body.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        if settings.signature_location == SignatureLocation::Headers {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = Credentials::new(self.id, self.secret, self.token.map(str::to_owned), None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let url = format!("http://{}{target}", self.address);
        let request = SignableRequest::new(method, url, headers.iter().copied(), body).unwrap();
        sign(request, &params).unwrap().into_parts().0
    }

    async fn exchange(&self, method: &str, target: &str, headers: Vec<(String, String)>, body: &[u8]) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        head += &format!("content-length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await.unwrap();

        let mut bytes = Vec::new();
        let error = stream.read_to_end(&mut bytes).await.err().map(|error| error.kind());
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let body = bytes.split_off(split);
        let head = String::from_utf8(bytes).unwrap();
        let status = head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
        Answer { status, head, body, error }
    }
}
