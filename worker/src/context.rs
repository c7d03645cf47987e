//! What every attempt of this worker shares.

use std::sync::Arc;
use std::time::Duration;

use longshore_db::Db;
use longshore_db::host::Host;
use longshore_storage::Stores;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::config::Config;
use crate::leases::Leases;
use crate::metrics::JobMetrics;

/// The unit of the memory budget. A semaphore counts to 2^29 only, so bytes would end at 512 MiB.
const KIBIBYTE: u64 = 1024;

/// A wait for memory that is worth a word: pages commit in less.
const LONG_WAIT: Duration = Duration::from_secs(30);

/// What every attempt of this worker shares.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) db: Db,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) stores: Stores,
    pub(crate) metrics: JobMetrics,
    pub(crate) leases: Leases,
    pub(crate) memory: Memory,
    /// Cancelled on SIGTERM: finish the page, take nothing new.
    pub(crate) stop: CancellationToken,
}

/// The bytes of objects that may be held at once, over all jobs of the worker.
#[derive(Clone)]
pub(crate) struct Memory {
    permits: Arc<Semaphore>,
    total: u64,
    metrics: JobMetrics,
}

/// A part of the budget, given back when dropped.
pub(crate) struct Reserved {
    _permit: Option<OwnedSemaphorePermit>,
    bytes: u64,
    metrics: JobMetrics,
}

impl Memory {
    pub(crate) fn new(bytes: u64, metrics: JobMetrics) -> Self {
        let total = (bytes / KIBIBYTE).max(1);
        Self { permits: Arc::new(Semaphore::new(usize::try_from(total).unwrap_or(usize::MAX >> 4))), total, metrics }
    }

    /// Waits until so many bytes are free. More than the whole budget waits for the whole budget, so
    /// one huge object passes alone.
    ///
    /// A caller reserves once for all that it will hold: reserving bit by bit, two pages could each
    /// hold a half and wait for the other's.
    pub(crate) async fn reserve(&self, bytes: u64) -> Reserved {
        let kibibytes = bytes.div_ceil(KIBIBYTE).min(self.total);
        let permits = u32::try_from(kibibytes).unwrap_or(u32::MAX);
        let acquire = Arc::clone(&self.permits).acquire_many_owned(permits);
        tokio::pin!(acquire);
        let permit = match timeout(LONG_WAIT, &mut acquire).await {
            Ok(permit) => permit,
            Err(_) => {
                warn!(
                    kibibytes,
                    of = self.total,
                    "a page waits long for memory: LONGSHORE_MEMORY_MB may be too little"
                );
                acquire.await
            }
        };
        let permit = permit.ok();
        self.metrics.memory.add(signed(bytes));
        Reserved { _permit: permit, bytes, metrics: self.metrics.clone() }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.metrics.memory.sub(signed(self.bytes));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
