//! Whether the process can work: named checks, run at most once a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use longshore_model::WaitingFor;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::waiting::{Wait, WaitBoard};

/// Time limit of one check. Probes usually wait only a few seconds; a check that hangs counts as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the results of the checks are cached. Probes come every few seconds and need no token, so a flood of them
/// must not become a flood of queries. If it is longer, load balancers learn of a failure late; if it is shorter, a
/// flood causes more queries.
const CACHE_TIME: Duration = Duration::from_secs(1);

/// The same while a check fails, so that a process which has become ready is soon seen as ready.
const CACHE_TIME_NOT_READY: Duration = Duration::from_millis(100);

type Check = dyn Fn() -> BoxFuture<'static, Result<(), &'static str>> + Send + Sync;

/// The checks of a process. Clones share them.
#[derive(Clone)]
pub struct Health {
    checks: Arc<[(&'static str, Arc<Check>)]>,
    /// The last results and their time. Locked while the checks run, so that concurrent callers run them once.
    last: Arc<Mutex<Option<(Instant, Answers)>>>,
    stopping: CancellationToken,
    waits: Option<WaitBoard>,
}

/// `ok`, or what is wrong, by the check's name.
type Answers = BTreeMap<&'static str, &'static str>;

/// The results of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    pub ready: bool,
    /// `ok`, or what is wrong, by the check's name.
    pub checks: Answers,
    /// What the process waits for. Left out if it waits for nothing. Does not change `ready`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<WaitingFor, Wait>,
}

impl Health {
    /// Creates a health without checks: ready until `stopping` is cancelled, so that a stopping process gets no new
    /// work.
    pub fn new(stopping: CancellationToken) -> Self {
        Self { checks: Arc::new([]), last: Arc::default(), stopping, waits: None }
    }

    /// Adds a check. Its error text is public: use constant texts without addresses.
    #[must_use]
    pub fn with<F, R>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), &'static str>> + Send + 'static,
    {
        let check: Arc<Check> = Arc::new(move || check().boxed());
        let checks = self.checks.iter().cloned().chain([(name, check)]).collect();
        Self { checks, last: Arc::default(), ..self }
    }

    /// Shows what the process waits for, beside the checks.
    #[must_use]
    pub fn with_waits(self, waits: WaitBoard) -> Self {
        Self { waits: Some(waits), ..self }
    }

    /// Returns the results of the checks, at most a second old.
    pub async fn readiness(&self) -> Readiness {
        let mut last = self.last.lock().await;
        let recent = last.as_ref().filter(|(checked_at, answers)| checked_at.elapsed() < cache_time(answers));
        let mut checks = match recent {
            Some((_, answers)) => answers.clone(),
            None => {
                let answers = self.run_checks().await;
                last.insert((Instant::now(), answers)).1.clone()
            }
        };
        drop(last);
        if self.stopping.is_cancelled() {
            checks.insert("process", "stopping");
        }
        let waiting = self.waits.as_ref().map(WaitBoard::waits).unwrap_or_default();
        Readiness { ready: all_ok(&checks), checks, waiting }
    }

    /// Runs all checks concurrently.
    async fn run_checks(&self) -> Answers {
        let results = self.checks.iter().map(async |(name, check)| {
            let state = match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
                Ok(Ok(())) => "ok",
                Ok(Err(what)) => what,
                Err(_) => "no answer in time",
            };
            (*name, state)
        });
        join_all(results).await.into_iter().collect()
    }
}

fn all_ok(answers: &Answers) -> bool {
    answers.values().all(|state| *state == "ok")
}

fn cache_time(answers: &Answers) -> Duration {
    if all_ok(answers) { CACHE_TIME } else { CACHE_TIME_NOT_READY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn one_failed_check_makes_the_process_not_ready() {
        let health = Health::new(CancellationToken::new())
            .with("database", async || Ok(()))
            .with("broker", async || Err("not connected"));
        let readiness = health.readiness().await;
        assert!(!readiness.ready);
        assert_eq!(readiness.checks, BTreeMap::from([("database", "ok"), ("broker", "not connected")]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_is_a_failed_check() {
        let health = Health::new(CancellationToken::new()).with("database", std::future::pending);
        assert_eq!(health.readiness().await.checks["database"], "no answer in time");
    }

    /// Goal: a flood of probes costs one query per second. Method: count the runs of the check.
    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_check_per_second() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let health = Health::new(CancellationToken::new()).with("database", move || {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        });
        for round in 1..=3 {
            let answers = join_all((0..100).map(|_| health.readiness())).await;
            assert!(answers.iter().all(|answer| answer.ready));
            assert_eq!(asked.load(Ordering::Relaxed), round);
            tokio::time::advance(CACHE_TIME).await;
        }
    }

    /// Goal: a process that has become ready is soon seen as ready, and a flood of probes still costs little. Method: count
    /// the runs of a check that fails.
    #[tokio::test(start_paused = true)]
    async fn a_failed_check_is_repeated_after_a_tenth_of_a_second() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let health = Health::new(CancellationToken::new()).with("database", move || {
            count.fetch_add(1, Ordering::Relaxed);
            async { Err("not reachable") }
        });
        for round in 1..=3 {
            join_all((0..100).map(|_| health.readiness())).await;
            assert_eq!(asked.load(Ordering::Relaxed), round);
            tokio::time::advance(CACHE_TIME_NOT_READY).await;
        }
    }

    #[tokio::test]
    async fn a_process_that_is_stopping_is_not_ready() {
        let stopping = CancellationToken::new();
        let health = Health::new(stopping.clone());
        assert!(health.readiness().await.ready);
        stopping.cancel();
        assert!(!health.readiness().await.ready);
    }
}
