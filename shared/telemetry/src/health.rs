//! Whether the process can do its work now: named checks, asked once a second at most.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// For one check. Probes usually wait a few seconds at most; a check that hangs is a failed check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the answers of the checks are kept. Probes come every few seconds; anybody may send them without
/// a token, so each is not worth a query. Longer would tell a balancer late; shorter would let a flood ask more.
const FRESH: Duration = Duration::from_secs(1);

type Check = dyn Fn() -> BoxFuture<'static, Result<(), &'static str>> + Send + Sync;

/// The checks of a process. Clones share them.
#[derive(Clone)]
pub struct Health {
    checks: Arc<[(&'static str, Arc<Check>)]>,
    /// The last answers, and when they came. Held while the checks are asked, so that they are asked once
    /// however many want to know.
    last: Arc<Mutex<Option<(Instant, Answers)>>>,
    stopping: CancellationToken,
}

/// `ok`, or what is wrong, by name of the check.
type Answers = BTreeMap<&'static str, &'static str>;

/// The answer of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    pub ready: bool,
    /// `ok`, or what is wrong, by name of the check.
    pub checks: Answers,
}

impl Health {
    /// Health without checks: ready until the process is told to stop, so that nobody sends it new work.
    pub fn new(stopping: CancellationToken) -> Self {
        Self { checks: Arc::new([]), last: Arc::default(), stopping }
    }

    /// Adds a check. What it says when it fails is shown to anybody who asks: fixed words, no addresses.
    #[must_use]
    pub fn with<F, R>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), &'static str>> + Send + 'static,
    {
        let check: Arc<Check> = Arc::new(move || check().boxed());
        let checks = self.checks.iter().cloned().chain([(name, check)]).collect();
        Self { checks, last: Arc::default(), stopping: self.stopping }
    }

    /// What the checks say now, or said less than a second ago.
    pub async fn readiness(&self) -> Readiness {
        let mut last = self.last.lock().await;
        let recent = last.as_ref().filter(|(asked, _)| asked.elapsed() < FRESH);
        let mut checks = match recent {
            Some((_, answers)) => answers.clone(),
            None => {
                let answers = self.ask().await;
                last.insert((Instant::now(), answers)).1.clone()
            }
        };
        drop(last);
        if self.stopping.is_cancelled() {
            checks.insert("process", "stopping");
        }
        Readiness { ready: checks.values().all(|state| *state == "ok"), checks }
    }

    /// Asks every check, all at once.
    async fn ask(&self) -> Answers {
        let answers = self.checks.iter().map(async |(name, check)| {
            let state = match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
                Ok(Ok(())) => "ok",
                Ok(Err(what)) => what,
                Err(_) => "no answer in time",
            };
            (*name, state)
        });
        join_all(answers).await.into_iter().collect()
    }
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

    /// Goal: a flood of probes costs a query a second. Method: count how often the check is asked.
    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_cost_one_check_and_the_next_a_second_later() {
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
            tokio::time::advance(FRESH).await;
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
