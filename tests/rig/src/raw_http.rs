//! A minimal HTTP client that sends a URL byte for byte. Other clients normalize its path.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text; invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a GET request. The URL must be percent-encoded.
pub async fn get(url: &str) -> Answer {
    send("GET", url, &[], b"").await
}

/// Sends one request over a new connection.
///
/// It uses HTTP/1.0, where the body of the answer ends when the server closes the connection.
pub async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let sendable = url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    assert!(sendable, "URL is not percent-encoded: {url:?}");
    let rest = url.strip_prefix("http://").expect("a URL without TLS");
    let (host, target) = rest.find('/').map(|at| rest.split_at(at)).expect("a URL with a path");

    let mut head = format!("{method} {target} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(host).await.expect("the server listens");
    stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await.expect("the server reads");

    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("a whole answer");
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer with a head") + 4;
    let body = answer.split_off(head);
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("an answer with a status"), body }
}
