//! The only retry policy below the storages: a few seconds, for short failures. The job's backoff handles longer
//! ones.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use tokio::time::Instant;

use crate::{ErrorKind, StorageError};

/// How often and how long one call is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries after the first one.
    pub retries: usize,
    /// The wait before the first retry. It doubles each time, plus a random part of up to the same length.
    pub first_wait: Duration,
    /// The longest wait, without the random part.
    pub longest_wait: Duration,
    /// No retry starts later than this after the call began; a longer `Retry-After` is passed to the caller.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            // With the waits below, three retries outlast a restart of one node behind a load balancer.
            retries: 3,
            // If it is shorter, the retry meets the same failure; if it is longer, users notice a single reset.
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(1),
            // The same as a job's time quantum: if it is longer, a worker spends its slots on waiting, and one that
            // drains may not finish in time.
            budget: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    /// Runs `attempt` until it succeeds, fails for good or the policy ends; calls `retrying` before each retry.
    pub(super) async fn run<T, F, Fut>(
        &self,
        attempt: F,
        mut retrying: impl FnMut(&StorageError) + Send,
    ) -> Result<T, StorageError>
    where
        T: Send,
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<T, StorageError>> + Send,
    {
        let started = Instant::now();
        let waits = ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.retries)
            .with_jitter();
        attempt
            .retry(waits)
            .when(StorageError::is_transient)
            .adjust(|error, wait| {
                let wait = wait?.max(retry_after(error).unwrap_or_default());
                // Servers may ask for any number of seconds, so this must not overflow.
                (started.elapsed().saturating_add(wait) <= self.budget).then_some(wait)
            })
            .notify(|error, _| retrying(error))
            .await
    }
}

fn retry_after(error: &StorageError) -> Option<Duration> {
    match error.kind {
        ErrorKind::Throttled { retry_after } => retry_after,
        ErrorKind::NotFound
        | ErrorKind::Denied
        | ErrorKind::Invalid
        | ErrorKind::Unavailable
        | ErrorKind::Cancelled => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use longshore_model::FailureReason;

    use super::*;
    use crate::Op;

    #[tokio::test]
    async fn an_overflowing_wait_is_passed_to_the_caller() {
        let (tries, retry_after) = (AtomicUsize::new(0), Some(Duration::from_secs(u64::MAX)));
        let attempt = || async {
            tries.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(StorageError::new(Op::List, ErrorKind::Throttled { retry_after }, FailureReason::Throttled))
        };
        let error = RetryPolicy::default().run(attempt, |_| {}).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Throttled { retry_after: after } if after == retry_after));
        assert_eq!(tries.into_inner(), 1);
    }
}
