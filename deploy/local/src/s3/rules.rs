//! What to do to which requests: faults, holds and hooks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use s3s::S3ErrorCode;
use tokio::sync::watch;

use super::buckets::Buckets;
use super::calls::{Call, Op};

/// Which requests a rule is for. Counted from the moment the rule is set, matching requests only.
#[derive(Debug, Clone, Default)]
pub struct When {
    op: Option<Op>,
    key: Option<String>,
    access_key: Option<String>,
    skip: usize,
    times: Option<usize>,
}

impl When {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Every request of an operation. An [`Op`] alone means the same.
    pub fn op(op: Op) -> Self {
        Self { op: Some(op), ..Self::default() }
    }

    /// Requests on this key only.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Requests signed with this access key only.
    #[must_use]
    pub fn access_key(mut self, id: &str) -> Self {
        self.access_key = Some(id.to_owned());
        self
    }

    /// The `n`-th alone, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        self.skip = n.saturating_sub(1);
        self.times(1)
    }

    /// So many and then no more.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// All but the first `n`.
    #[must_use]
    pub fn after(mut self, n: usize) -> Self {
        self.skip = n;
        self
    }

    fn matches(&self, call: &Call) -> bool {
        self.op.is_none_or(|op| op == call.op)
            && self.key.as_ref().is_none_or(|key| *key == call.key)
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
    /// Refused with an S3 error, its status and its document; nothing is changed. The credential errors are
    /// `ExpiredToken` (400 on AWS), `AccessDenied`, `InvalidAccessKeyId`, `SignatureDoesNotMatch`,
    /// `RequestTimeTooSkewed` (403); a plain 500 is `InternalError`.
    Error(S3ErrorCode),
    /// 503 `SlowDown` with `Retry-After`; nothing is changed.
    SlowDown { retry_after_seconds: u64 },
    /// The request takes effect; half the body is sent, then the connection is reset. An answer
    /// without a body is not sent at all.
    Reset,
    /// The request takes effect; half the body is sent as if it were the whole.
    Truncated,
    /// A listing claims to be truncated, but gives no token to go on with.
    NoContinuationToken,
    /// The request takes effect, late.
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
    seen: usize,
    action: Action,
}

/// All that is to be done to one request.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) hooks: Vec<Hook>,
    pub(super) delay: Duration,
    pub(super) holds: Vec<Arc<Gate>>,
    pub(super) answer_holds: Vec<Arc<Gate>>,
    /// The first that was set; two at once would hide each other.
    pub(super) fault: Option<Fault>,
}

/// The rules in force.
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

    /// Counts a request against every rule and says what is to be done to it.
    pub(super) fn plan(&self, call: &Call) -> Plan {
        let mut plan = Plan::default();
        for rule in self.lock().iter_mut().filter(|rule| rule.when.matches(call)) {
            let turn = rule.seen.checked_sub(rule.when.skip);
            rule.seen += 1;
            if turn.is_none_or(|turn| rule.when.times.is_some_and(|times| turn >= times)) {
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
        self.lock().push(Rule { when, seen: 0, action });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests kept waiting. Dropped, it releases them.
#[must_use = "a dropped hold keeps nothing"]
pub struct Hold {
    gate: Arc<Gate>,
}

impl Hold {
    /// Resolves once a request is waiting here, its client still connected.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Resolves once so many requests are waiting here at the same time.
    pub async fn reached_by(&self, requests: usize) {
        let mut waiting = self.gate.waiting.subscribe();
        // It cannot fail: the sender lives in the gate.
        waiting.wait_for(|waiting| *waiting >= requests).await.ok();
    }

    /// Resolves once no request is waiting here, such as after its client was killed.
    ///
    /// To wait for this before the release keeps a dead client's request from taking effect.
    pub async fn abandoned(&self) {
        let mut waiting = self.gate.waiting.subscribe();
        // It cannot fail: the sender lives in the gate.
        waiting.wait_for(|waiting| *waiting == 0).await.ok();
    }

    /// Lets the waiting requests go on, and all that come later.
    pub fn release(self) {}
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.open.send_replace(true);
    }
}

/// What a [`Hold`] and the requests it keeps share.
#[derive(Default)]
pub(super) struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    /// Waits until the gate is open. A request whose client went away stops counting as waiting.
    pub(super) async fn pass(&self) {
        if *self.open.borrow() {
            return;
        }
        let _waiting = Waiting::enter(&self.waiting);
        let mut open = self.open.subscribe();
        // It cannot fail: the sender lives in `self`.
        open.wait_for(|open| *open).await.ok();
    }
}

struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}
