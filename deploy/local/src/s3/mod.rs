//! An S3 server in memory, for the local stack and for tests.
//!
//! `s3s` implements the wire format and checks signatures (header and presigned). Each bucket is an ordered map, so that
//! the cost of a listing depends on the names it returns, not on the size of the bucket. Keys are exact bytes. A layer
//! around the service can fail, hold and count requests: see [`When`], [`Fault`] and [`Hold`].

mod alteration;
mod auth;
mod buckets;
mod calls;
mod cors;
mod encoding;
mod hosts;
mod journal;
mod object;
mod rules;
pub mod saved;
mod service;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::auth::AccessKey;
pub use self::buckets::Buckets;
pub use self::calls::{Call, Op};
pub use self::object::Object;
pub use self::rules::{Fault, Hold, When};
/// The error codes of S3, for [`Fault::Error`].
pub use s3s::S3ErrorCode;

use self::calls::Calls;
use self::cors::Cors;
use self::rules::Rules;

/// Address and credentials of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port 0 means a free port; [`S3Server::endpoint`] has its number.
    pub listen: SocketAddr,
    /// If empty, the server refuses every request.
    pub access_keys: Vec<AccessKey>,
    /// Delay before every answer, to simulate a distant endpoint.
    pub latency: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), access_keys: Vec::new(), latency: Duration::ZERO }
    }
}

impl Options {
    /// Options with one access key, on a free port.
    pub fn with_key(id: &str, secret: &str) -> Self {
        Self { access_keys: vec![AccessKey::new(id, secret)], ..Self::default() }
    }
}

/// State that the connections and the handle share.
#[derive(Default)]
struct State {
    buckets: Buckets,
    calls: Calls,
    rules: Rules,
    cors: Cors,
}

/// A running server. Dropping it closes its port and every connection.
pub struct S3Server {
    address: SocketAddr,
    state: Arc<State>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl S3Server {
    /// Starts a server. It answers on return.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();

        let authenticator = auth::Authenticator::new(options.access_keys);
        let mut builder = S3ServiceBuilder::new(service::Service::new(Arc::clone(&state)));
        builder.set_auth(authenticator.clone());
        builder.set_access(authenticator);
        builder.set_host(hosts::Hosts);
        let layer = wire::Layer::new(builder.build(), Arc::clone(&state), options.latency);
        tasks.spawn(wire::accept(listener, layer, tasks.clone(), stop.clone()));

        Ok(Self { address, state, tasks, stop })
    }

    /// Closes the port and every connection, and waits until all are closed. The objects stay until the value is dropped.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for clients; the bucket is the first part of the path.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL for clients that use a host per bucket, `bucket.localhost`.
    pub fn bucket_host_endpoint(&self) -> String {
        format!("http://{{bucket}}.localhost:{}", self.address.port())
    }

    /// Allows pages of this origin to read from browsers (CORS). No origin is allowed by default.
    pub fn allow_origin(&self, origin: &str) {
        self.state.cors.allow(origin);
    }

    /// The stored objects. They may be changed while the server runs.
    pub fn buckets(&self) -> &Buckets {
        &self.state.buckets
    }

    /// Creates a bucket unless it exists.
    pub fn create_bucket(&self, bucket: &str) {
        self.state.buckets.create(bucket);
    }

    /// Stores an object without a request; creates the bucket if needed.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.state.buckets.put(bucket, key, Object::new(bytes));
    }

    /// Stores many objects under one lock; a million keys take seconds.
    pub fn put_many<K: Into<String>, B: Into<Bytes>>(&self, bucket: &str, objects: impl IntoIterator<Item = (K, B)>) {
        self.state.buckets.put_many(bucket, objects.into_iter().map(|(key, bytes)| (key.into(), Object::new(bytes))));
    }

    pub fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.state.buckets.get(bucket, key)
    }

    /// Removes an object without a request. Returns whether it existed.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.state.buckets.remove(bucket, key)
    }

    /// Key, etag and content of every object, in the order of a listing.
    pub fn objects(&self, bucket: &str) -> Vec<(String, String, Bytes)> {
        self.state.buckets.objects(bucket)
    }

    /// Every request so far in order of arrival, including refused ones.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.all()
    }

    /// The number of requests of one operation.
    pub fn count(&self, op: Op) -> usize {
        self.state.calls.count(op)
    }

    pub fn clear_calls(&self) {
        self.state.calls.clear();
    }

    /// Lets matching requests fail, until the count of [`When`] is reached or [`Self::clear_faults`] is called.
    pub fn fail(&self, when: impl Into<When>, fault: Fault) {
        self.state.rules.fail(when.into(), fault);
    }

    /// Removes every fault. Holds and hooks stay.
    pub fn clear_faults(&self) {
        self.state.rules.clear_faults();
    }

    /// Holds matching requests *before* they take effect, until the hold is released.
    pub fn hold(&self, when: impl Into<When>) -> Hold {
        self.state.rules.hold(when.into())
    }

    /// Holds the answers of matching requests *after* they took effect: an object is stored, but its writer does not
    /// know yet.
    pub fn hold_answer(&self, when: impl Into<When>) -> Hold {
        self.state.rules.hold_answer(when.into())
    }

    /// Runs a hook before each matching request takes effect, for example to change a bucket while it is listed.
    pub fn before(&self, when: impl Into<When>, hook: impl Fn(&Buckets) + Send + Sync + 'static) {
        self.state.rules.before(when.into(), hook);
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
