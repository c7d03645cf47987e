//! Whether the process can do its work now: named checks, asked anew every time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// For one check. Probes usually wait a few seconds at most; a check that hangs is a failed check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type Check = dyn Fn() -> BoxFuture<'static, Result<(), &'static str>> + Send + Sync;

/// The checks of a process. Clones share them.
#[derive(Clone)]
pub struct Health {
    checks: Arc<[(&'static str, Arc<Check>)]>,
    stopping: CancellationToken,
}

/// The answer of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    pub ready: bool,
    /// `ok`, or what is wrong, by name of the check.
    pub checks: BTreeMap<&'static str, &'static str>,
}

impl Health {
    /// Health without checks: ready until the process is told to stop, so that nobody sends it new work.
    pub fn new(stopping: CancellationToken) -> Self {
        Self { checks: Arc::new([]), stopping }
    }

    /// Adds a check. What it says when it fails is shown to anybody who asks: fixed words, no addresses.
    #[must_use]
    pub fn with<F, R>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), &'static str>> + Send + 'static,
    {
        let check: Arc<Check> = Arc::new(move || check().boxed());
        Self { checks: self.checks.iter().cloned().chain([(name, check)]).collect(), stopping: self.stopping }
    }

    /// Asks every check, all at once.
    pub async fn readiness(&self) -> Readiness {
        let answers = self.checks.iter().map(async |(name, check)| {
            let state = match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
                Ok(Ok(())) => "ok",
                Ok(Err(what)) => what,
                Err(_) => "no answer in time",
            };
            (*name, state)
        });
        let mut checks: BTreeMap<_, _> = join_all(answers).await.into_iter().collect();
        if self.stopping.is_cancelled() {
            checks.insert("process", "stopping");
        }
        Readiness { ready: checks.values().all(|state| *state == "ok"), checks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[tokio::test]
    async fn a_process_that_is_stopping_is_not_ready() {
        let stopping = CancellationToken::new();
        let health = Health::new(stopping.clone());
        assert!(health.readiness().await.ready);
        stopping.cancel();
        assert!(!health.readiness().await.ready);
    }
}
