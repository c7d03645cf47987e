//! The memory budget: object bytes that the worker may hold. Pages reserve parts of it before they read.

use std::sync::Arc;
use std::time::Duration;

use longshore_telemetry::waiting::CurrentWaits;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::warn;

use crate::metrics::JobMetrics;

/// The unit of the memory budget. A semaphore only counts to 2^29, so a budget in bytes could not exceed 512 MiB.
const KIBIBYTE: u64 = 1024;

/// The percentage of the operator's number that pages can reserve. The allocator keeps some of the freed memory: where
/// `longshore_telemetry::tune_allocator` has no effect, the heaviest test took 262 MiB with all of 128 MiB reserved.
const HANDED_OUT_PERCENT: u64 = 75;

/// Bytes that one caller with the whole budget may hold, even if the budget is smaller: a process has 128 MiB beside
/// its budget, of which connections and listed pages take about 60. With less, small budgets would refuse ordinary
/// files.
const ALONE_BYTES: u64 = 64 * 1024 * KIBIBYTE;

/// Fractions of the budget: the part that only small pages may use (a sixteenth), and the size limit of a small page:
/// by default 6 MiB and 3 MiB. Without that part, a page of 209 KiB of one tenant waited over 90 s behind large pages
/// of another. A larger part would take memory from large pages; with a lower limit, a page of a thousand files of 1 KB
/// would not be small.
const SMALL_PAGES: u64 = 16;
const SMALL_PAGE: u64 = 32;

/// Longer waits for memory are logged: a page commits in less time.
const LONG_WAIT: Duration = Duration::from_secs(30);

/// Object bytes that the worker may hold, over all jobs.
#[derive(Clone)]
pub(crate) struct MemoryBudget {
    permits: Arc<Semaphore>,
    /// For small pages only, so that none waits behind large ones.
    small: Arc<Semaphore>,
    /// The sum of both semaphores, and `permits` alone, in KiB.
    total: u64,
    large: u64,
    metrics: JobMetrics,
}

/// A reserved part of the budget. Dropping it frees the memory.
pub(crate) struct Reservation {
    _permit: Option<OwnedSemaphorePermit>,
    bytes: u64,
    metrics: JobMetrics,
}

impl MemoryBudget {
    pub(crate) fn new(bytes: u64, metrics: JobMetrics) -> Self {
        let total = (bytes / KIBIBYTE * HANDED_OUT_PERCENT / 100).max(1);
        let semaphore =
            |kibibytes: u64| Arc::new(Semaphore::new(usize::try_from(kibibytes).unwrap_or(usize::MAX >> 4)));
        let small = total / SMALL_PAGES;
        let large = total - small;
        Self { permits: semaphore(large), small: semaphore(small), large, total, metrics }
    }

    /// Bytes that one caller may hold with the whole budget reserved.
    pub(crate) fn max_bytes(&self) -> u64 {
        (self.total * KIBIBYTE).max(ALONE_BYTES)
    }

    /// Waits until this many bytes are free, and reserves them. A larger number than large pages can have waits for all
    /// of that: only small pages run beside a huge object.
    ///
    /// Callers are served in order. A small page may also take the part for small pages if that is free earlier, so it
    /// never waits behind large pages.
    ///
    /// A caller must reserve once for everything that it will hold. With several steps, two pages could each hold half
    /// of the budget and wait for each other.
    pub(crate) async fn reserve(&self, bytes: u64) -> Reservation {
        let kibibytes = bytes.div_ceil(KIBIBYTE).min(self.large);
        let permits = u32::try_from(kibibytes).unwrap_or(u32::MAX);
        let acquire = self.acquire(kibibytes, permits);
        tokio::pin!(acquire);
        let wait = CurrentWaits::take_memory();
        let permit = match timeout(LONG_WAIT, &mut acquire).await {
            Ok(permit) => permit,
            Err(_) => {
                warn!(
                    event = "memory_waited_for",
                    kibibytes,
                    of = self.total,
                    "page waits for memory; consider a larger LONGSHORE_MEMORY_MB"
                );
                acquire.await
            }
        };
        let permit = permit.ok();
        wait.end();
        self.metrics.memory.add(signed(bytes));
        Reservation { _permit: permit, bytes, metrics: self.metrics.clone() }
    }

    async fn acquire(&self, kibibytes: u64, permits: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        let any = Arc::clone(&self.permits).acquire_many_owned(permits);
        if kibibytes > self.total / SMALL_PAGE {
            return any.await;
        }
        tokio::select! {
            // The shared part first: small pages use their own part only if the shared one is full.
            biased;
            permit = any => permit,
            permit = Arc::clone(&self.small).acquire_many_owned(permits) => permit,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.metrics.memory.sub(signed(self.bytes));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use prometheus::Registry;

    use super::*;

    #[tokio::test]
    async fn a_small_page_does_not_wait_behind_large_ones() {
        const MIB: u64 = 1024 * KIBIBYTE;
        let memory = MemoryBudget::new(128 * MIB, JobMetrics::register(&Registry::new()).expect("metrics"));
        let whole = memory.reserve(memory.max_bytes()).await;
        let mut large = Box::pin(memory.reserve(64 * MIB));
        assert!(large.as_mut().now_or_never().is_none(), "a large page waits");
        let small = [memory.reserve(3 * MIB).now_or_never(), memory.reserve(3 * MIB).now_or_never()];
        assert!(small.iter().all(Option::is_some), "small pages do not wait");
        assert!(memory.reserve(MIB).now_or_never().is_none(), "the part for small pages has a limit, too");
        drop(whole);
        large.await;
        drop(small);
        assert!(memory.reserve(3 * MIB).now_or_never().is_some());
    }
}
