//! Faults, holds and hooks, and the requests they apply to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s3s::S3ErrorCode;
use tokio::sync::watch;

use super::buckets::Buckets;
use super::calls::{Call, Op};

/// Which requests a rule applies to. Counts start when the rule is set and include matching requests only.
#[derive(Debug, Clone, Default)]
pub struct When {
    op: Option<Op>,
    key: Option<String>,
    listed_from: Option<String>,
    access_key: Option<String>,
    skip: usize,
    times: Option<usize>,
    is_per_key: bool,
}

impl When {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Every request of an operation. An [`Op`] converts to the same.
    pub fn op(op: Op) -> Self {
        Self { op: Some(op), ..Self::default() }
    }

    /// Only requests on this key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Only listings that go on after this key or a later one, whatever was listed before them.
    pub fn listing_after(key: &str) -> Self {
        Self { listed_from: Some(key.to_owned()), ..Self::op(Op::List) }
    }

    /// Only requests that this access key signed.
    #[must_use]
    pub fn access_key(mut self, id: &str) -> Self {
        self.access_key = Some(id.to_owned());
        self
    }

    /// Only the `n`-th request, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        self.skip = n.saturating_sub(1);
        self.times(1)
    }

    /// Only this many requests.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// All requests but the first `n`.
    #[must_use]
    pub fn after(mut self, n: usize) -> Self {
        self.skip = n;
        self
    }

    /// Counts the requests on each key by themselves.
    #[must_use]
    pub fn per_key(mut self) -> Self {
        self.is_per_key = true;
        self
    }

    fn matches(&self, call: &Call) -> bool {
        self.op.is_none_or(|op| op == call.op)
            && self.key.as_ref().is_none_or(|key| *key == call.key)
            && self.listed_from.as_ref().is_none_or(|from| call.start_after.as_ref() >= Some(from))
            && self.access_key.as_ref().is_none_or(|id| call.access_key.as_ref() == Some(id))
    }
}

impl From<Op> for When {
    fn from(op: Op) -> Self {
        Self::op(op)
    }
}

/// One way to fail.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The server refuses the request with an S3 error and changes no object. The credential errors are
    /// `ExpiredToken` (400 on AWS), `AccessDenied`, `InvalidAccessKeyId`, `SignatureDoesNotMatch`,
    /// `RequestTimeTooSkewed` (403); a plain 500 is `InternalError`.
    Error(S3ErrorCode),
    /// The server answers 503 `SlowDown` with `Retry-After` and changes no object.
    SlowDown { retry_after_seconds: u64 },
    /// The request takes effect; the server sends half the body, then resets the connection. It does not send an answer
    /// without a body.
    Reset,
    /// The request takes effect; the server sends half the body as if it were complete.
    Truncated,
    /// The server sends the whole body with its length and etag, but each `0` in it is a `9`.
    Altered,
    /// The answer has another etag than the listing, as with servers that compute an etag for each answer.
    OtherEtag,
    /// A proxy answers 200 with its error page and changes no object.
    Page { content_type: &'static str, body: &'static str, etag: Option<&'static str> },
    /// A listing says that it is truncated, but has no continuation token.
    NoContinuationToken,
    /// A listing has its keys in descending order.
    Descending,
    /// The request takes effect after this delay.
    Delay(Duration),
}

type Hook = Arc<dyn Fn(&Buckets) + Send + Sync>;

#[derive(Clone)]
enum Action {
    Fail(Fault),
    Hold(Arc<Gate>),
    HoldAnswer(Arc<Gate>),
    Run(Hook),
}

struct Rule {
    when: When,
    /// Matching requests, by key if the rule counts each key by itself.
    seen: HashMap<String, usize>,
    action: Action,
}

/// All actions for one request.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) hooks: Vec<Hook>,
    pub(super) delay: Duration,
    pub(super) holds: Vec<Arc<Gate>>,
    pub(super) answer_holds: Vec<Arc<Gate>>,
    /// The fault that was set first; a request has at most one.
    pub(super) fault: Option<Fault>,
}

/// The active rules.
#[derive(Default)]
pub(super) struct Rules(Mutex<Vec<Rule>>);

impl Rules {
    pub(super) fn fail(&self, when: When, fault: Fault) {
        self.add(when, Action::Fail(fault));
    }

    pub(super) fn clear_faults(&self) {
        self.lock().retain(|rule| !matches!(rule.action, Action::Fail(_)));
    }

    pub(super) fn hold(&self, when: When) -> Hold {
        let gate = Arc::new(Gate::default());
        self.add(when, Action::Hold(Arc::clone(&gate)));
        Hold { gate }
    }

    pub(super) fn hold_answer(&self, when: When) -> Hold {
        let gate = Arc::new(Gate::default());
        self.add(when, Action::HoldAnswer(Arc::clone(&gate)));
        Hold { gate }
    }

    pub(super) fn before(&self, when: When, hook: impl Fn(&Buckets) + Send + Sync + 'static) {
        self.add(when, Action::Run(Arc::new(hook)));
    }

    /// Counts a request in every matching rule and returns the actions for it.
    pub(super) fn plan(&self, call: &Call) -> Plan {
        let mut plan = Plan::default();
        for rule in self.lock().iter_mut().filter(|rule| rule.when.matches(call)) {
            let key = if rule.when.is_per_key { call.key.clone() } else { String::new() };
            let seen = rule.seen.entry(key).or_default();
            let number = seen.checked_sub(rule.when.skip);
            *seen += 1;
            if number.is_none_or(|number| rule.when.times.is_some_and(|times| number >= times)) {
                continue;
            }
            match rule.action.clone() {
                Action::Fail(Fault::Delay(delay)) => plan.delay += delay,
                Action::Fail(fault) => plan.fault = plan.fault.or(Some(fault)),
                Action::Hold(gate) => plan.holds.push(gate),
                Action::HoldAnswer(gate) => plan.answer_holds.push(gate),
                Action::Run(hook) => plan.hooks.push(hook),
            }
        }
        plan
    }

    fn add(&self, when: When, action: Action) {
        self.lock().push(Rule { when, seen: HashMap::new(), action });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hold on requests. Dropping it releases them.
#[must_use = "dropping the hold releases the requests"]
pub struct Hold {
    gate: Arc<Gate>,
}

impl Hold {
    /// Waits until one request is held and its client is still connected.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until this many requests are held at the same time.
    pub async fn reached_by(&self, requests: usize) {
        let mut waiting = self.gate.waiting.subscribe();
        // It cannot fail: the sender lives in the gate.
        waiting.wait_for(|waiting| *waiting >= requests).await.ok();
    }

    /// Waits until no request is held, for example after its client was killed.
    ///
    /// Call it before the release, so that the request of a dead client does not take effect.
    pub async fn abandoned(&self) {
        let mut waiting = self.gate.waiting.subscribe();
        // It cannot fail: the sender lives in the gate.
        waiting.wait_for(|waiting| *waiting == 0).await.ok();
    }

    /// Releases the held requests; later ones are not held.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.open.send_replace(true);
    }
}

/// State that a [`Hold`] and its requests share.
#[derive(Default)]
pub(super) struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    /// Waits until the gate is open. A request whose client disconnected is no longer counted as waiting.
    pub(super) async fn pass(&self) {
        if *self.open.borrow() {
            return;
        }
        let _waiting = WaitingRequest::enter(&self.waiting);
        let mut open = self.open.subscribe();
        // It cannot fail: the sender lives in `self`.
        open.wait_for(|open| *open).await.ok();
    }
}

struct WaitingRequest<'a>(&'a watch::Sender<usize>);

impl<'a> WaitingRequest<'a> {
    fn enter(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}
