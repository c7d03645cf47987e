//! The memory budget: object bytes that the worker may hold. Pages reserve parts of it before they read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::warn;

use crate::metrics::JobMetrics;

/// The unit of the memory budget. A semaphore counts to 2^29 only, so bytes would end at 512 MiB.
const KIBIBYTE: u64 = 1024;

/// The share of the operator's number that is handed out. The allocator keeps some of what was freed: where
/// `longshore_telemetry::tune_allocator` cannot set it, the heaviest test came to 262 MiB with all of 128 MiB handed out.
const HANDED_OUT_PERCENT: u64 = 75;

/// What may be held with the whole budget reserved, however small that is: a process has 128 MiB beside its budget, of
/// which connections and listed pages take some 60. Less, and small budgets would refuse ordinary files.
const ALONE_BYTES: u64 = 64 * 1024 * KIBIBYTE;

/// The part of the budget that is for small pages only, and the size up to which a page is small: 6 MiB and
/// 3 MiB by default. Without it a page of 209 KiB of one tenant waited over 90 s beside large ones of another. More of
/// it would be memory that no large page may use; with smaller pages, one of a thousand files of 1 KB would not count.
const SMALL_PAGES: u64 = 16;
const SMALL_PAGE: u64 = 32;

/// A wait for memory that is logged: pages commit in less.
const LONG_WAIT: Duration = Duration::from_secs(30);

/// Object bytes that the worker may hold, over all jobs.
#[derive(Clone)]
pub(crate) struct MemoryBudget {
    permits: Arc<Semaphore>,
    /// For small pages only, so that none waits behind large ones.
    small: Arc<Semaphore>,
    /// What `permits` and `small` began with together, and `permits` alone, in KiB.
    total: u64,
    large: u64,
    metrics: JobMetrics,
}

/// A part of the budget. Dropped, it is free again.
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

    /// Waits until this many bytes are free. More than there is for large pages waits for all of that: a huge object
    /// is held with small pages alone beside it.
    ///
    /// Callers are served in their order, but a small page takes the part for small pages if that is free
    /// earlier: it waits for small pages alone.
    ///
    /// A caller reserves once for all that it will hold: reserving bit by bit, two pages could each
    /// hold a half and wait for the other's.
    pub(crate) async fn reserve(&self, bytes: u64) -> Reservation {
        let kibibytes = bytes.div_ceil(KIBIBYTE).min(self.large);
        let permits = u32::try_from(kibibytes).unwrap_or(u32::MAX);
        let acquire = self.acquire(kibibytes, permits);
        tokio::pin!(acquire);
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
        self.metrics.memory.add(signed(bytes));
        Reservation { _permit: permit, bytes, metrics: self.metrics.clone() }
    }

    async fn acquire(&self, kibibytes: u64, permits: u32) -> Result<OwnedSemaphorePermit, AcquireError> {
        let any = Arc::clone(&self.permits).acquire_many_owned(permits);
        if kibibytes > self.total / SMALL_PAGE {
            return any.await;
        }
        tokio::select! {
            // The shared part first: the part for small pages is for when that is full.
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
        assert!(small.iter().all(Option::is_some), "small ones do not");
        assert!(memory.reserve(MIB).now_or_never().is_none(), "there is a bound for small ones, too");
        drop(whole);
        large.await;
        drop(small);
        assert!(memory.reserve(3 * MIB).now_or_never().is_some());
    }
}
