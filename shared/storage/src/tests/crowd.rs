//! A server that holds its requests until a test answers them, and counts the waiting ones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::server::read_request;

/// A test fails if the expected requests do not come within this time.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Crowd {
    pub(super) port: u16,
    waiting: Arc<Waiting>,
    /// Stops the server when dropped.
    _task: JoinSet<()>,
}

#[derive(Default)]
struct Waiting {
    requests: Mutex<Vec<oneshot::Sender<String>>>,
    arrival: Notify,
}

impl Waiting {
    fn requests(&self) -> MutexGuard<'_, Vec<oneshot::Sender<String>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds one request until its answer is known.
    async fn serve(&self, mut stream: TcpStream) {
        read_request(&mut stream).await;
        let (sender, answer) = oneshot::channel();
        self.requests().push(sender);
        self.arrival.notify_one();
        if let Ok(answer) = answer.await {
            drop(stream.write_all(answer.as_bytes()).await);
            drop(stream.shutdown().await);
        }
    }
}

impl Crowd {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let waiting = Arc::new(Waiting::default());
        let mut task = JoinSet::new();
        let shared = Arc::clone(&waiting);
        task.spawn(async move {
            let mut requests = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let waiting = Arc::clone(&shared);
                requests.spawn(async move { waiting.serve(stream).await });
            }
        });
        Self { port, waiting, _task: task }
    }

    /// Waits until exactly `for_requests` requests wait; more than that fail the test.
    pub(super) async fn waits(&self, for_requests: usize) {
        let all = async {
            loop {
                let waiting = self.waiting.requests().len();
                assert!(waiting <= for_requests, "{waiting} concurrent requests, but only {for_requests} are allowed");
                if waiting == for_requests {
                    return;
                }
                self.waiting.arrival.notified().await;
            }
        };
        timeout(PATIENCE, all).await.unwrap_or_else(|_| {
            panic!("{} concurrent requests, but {for_requests} were expected", self.waiting.requests().len())
        });
    }

    /// Answers the request that has waited longest.
    pub(super) fn answer_one(&self, answer: String) {
        // The client may have disconnected already.
        drop(self.waiting.requests().remove(0).send(answer));
    }

    /// Answers all waiting requests.
    pub(super) fn answer_all(&self, answer: &str) {
        for request in self.waiting.requests().drain(..) {
            drop(request.send(answer.to_owned()));
        }
    }
}
