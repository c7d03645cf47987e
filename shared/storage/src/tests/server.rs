//! A scripted server that takes one request per connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the server does with one request.
pub(super) enum Act {
    /// Writes these bytes after the request, and closes.
    Say(String),
    /// Never answers.
    Stall,
    /// Sends a megabyte, one byte every few milliseconds.
    Drip,
    /// Writes these bytes without waiting for a request.
    Blurt(String),
}

pub(super) struct Server {
    pub(super) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    /// Stops the server when dropped.
    _task: JoinSet<()>,
}

impl Server {
    pub(super) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&requests);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = Vec::new();
            for act in acts {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                if let Act::Blurt(text) = act {
                    drop(stream.write_all(text.as_bytes()).await);
                    open.push(stream);
                    continue;
                }
                let request = read_request(&mut stream).await;
                received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                match act {
                    Act::Say(text) => {
                        // In some tests the client has disconnected already.
                        drop(stream.write_all(text.as_bytes()).await);
                        drop(stream.shutdown().await);
                    }
                    Act::Drip => drip(stream).await,
                    Act::Stall | Act::Blurt(_) => open.push(stream),
                }
            }
            std::future::pending::<()>().await;
        });
        Self { port, requests, _task: task }
    }

    pub(super) async fn saying<const N: usize>(answers: [String; N]) -> Self {
        Self::start(answers.into_iter().map(Act::Say).collect()).await
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first line of each request, without the protocol.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |request: &String| request.lines().next().unwrap_or_default().replace(" HTTP/1.1", "");
        self.requests().iter().map(line).collect()
    }
}

/// Sends until the client disconnects.
async fn drip(mut stream: TcpStream) {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    let mut sent = stream.write_all(head.as_bytes()).await;
    while sent.is_ok() {
        tokio::time::sleep(Duration::from_millis(2)).await;
        sent = stream.write_all(b"x").await;
    }
}

/// Reads a request's head, and as much body as its length says.
pub(super) async fn read_request(stream: &mut TcpStream) -> String {
    let mut held = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&held).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.lines().next().and_then(|length| length.parse().ok()).unwrap_or(0));
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return text,
            Ok(read) => held.extend_from_slice(&piece[..read]),
        }
    }
}
