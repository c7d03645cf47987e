//! Memory for answers and bodies. A request reserves it before it takes it, from limits per process and per token.
//!
//! A list of large tasks, or a large body, takes megabytes until its client has read or sent it. Small answers and
//! bodies are not counted: the number of sockets limits them.

mod reserved;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::error::{ApiError, ApiResult};
use super::load_limits::Limit;

pub(super) use reserved::{Reserved, Unfinished};

/// Answers and bodies of up to this many bytes are not counted. Nearly all are smaller, so they are served even if
/// large ones use all memory. With the default of 1,024 sockets, they take at most 64 MiB.
pub(super) const UNCOUNTED: usize = 64 * 1024;

/// How long a request waits for memory. Answers are sent in a second or two. With a longer wait, requests would pile up
/// behind clients that do not read their answers.
const WAIT: Duration = Duration::from_secs(5);

/// Shares in the map before unused ones are removed.
const MOST_SHARES: usize = 256;

/// How often [`Memory::work`] starts at most. Work may find three times that it needs more memory: by its counts, its
/// rows and its texts. Each new start follows a wait, so more starts would only wait longer.
const STARTS: usize = 4;

const KIB: usize = 1024;

/// The memory of all requests together. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    all: Arc<Semaphore>,
    /// The share of one token: half, so that no token can take all memory.
    share_kib: u32,
    shares: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
    /// Lets one request at a time take more than a share. Only the share is counted for it.
    largest: Arc<Semaphore>,
}

impl Memory {
    /// Makes a limit of this many bytes, of which one token may reserve half.
    pub(super) fn new(bytes: usize) -> Self {
        let kib = (bytes / KIB).clamp(2, u32::MAX as usize / 2);
        Self {
            all: Arc::new(Semaphore::new(kib)),
            share_kib: u32::try_from(kib / 2).unwrap_or(u32::MAX),
            shares: Arc::default(),
            largest: Arc::new(Semaphore::new(1)),
        }
    }

    /// Reserves memory for a token. Waits up to [`WAIT`] for each limit. A request for more than a share counts as the
    /// share, and only one such request runs at a time.
    ///
    /// Call it without a database connection, because others could not use that connection during the wait.
    ///
    /// # Errors
    /// `too_many_bytes` if the token uses all of its share, `too_busy` if all tokens together use all memory.
    pub(super) async fn reserve(&self, token: &str, bytes: usize) -> ApiResult<Reserved> {
        let mut reserved = self.nothing(token);
        if bytes <= UNCOUNTED {
            return Ok(reserved);
        }
        let (wanted, kib) = self.kib(bytes);
        let wait = |semaphore: Arc<Semaphore>, count, error| async move {
            match timeout(WAIT, semaphore.acquire_many_owned(count)).await {
                Ok(Ok(permit)) => Ok(permit),
                // The semaphore is never closed. If it were, nothing could be reserved.
                Ok(Err(_)) | Err(_) => Err(error),
            }
        };
        reserved.share = Some(wait(Arc::clone(&reserved.of_token), kib, too_many_bytes()).await?);
        reserved.all = Some(wait(Arc::clone(&self.all), kib, too_busy()).await?);
        if wanted > kib {
            // Last: a request that waits here holds memory that the one with this permit does not need.
            reserved.largest = Some(wait(Arc::clone(&self.largest), 1, too_busy()).await?);
        }
        Ok(reserved)
    }

    /// A reservation of 0 bytes for a token.
    pub(super) fn nothing(&self, token: &str) -> Reserved {
        Reserved { all: None, share: None, largest: None, memory: self.clone(), of_token: self.share(token) }
    }

    /// Runs work that finds out while it runs how much memory it needs. The work calls [`Reserved::grow_to`] before it
    /// takes more.
    ///
    /// If there is no free memory, the work ends and drops all that it has read. Once there is, it starts again. So a
    /// request holds nothing while it waits. Until then, the work must not have changed anything permanently.
    ///
    /// # Errors
    /// Those of the work, and those of [`Self::reserve`].
    pub(super) async fn work<T: Send, F>(
        &self,
        token: &str,
        work: impl (Fn(Reserved) -> F) + Send + Sync,
    ) -> ApiResult<T>
    where
        F: Future<Output = Result<T, Unfinished>> + Send,
    {
        let mut reserved = self.nothing(token);
        for _ in 1..STARTS {
            match work(reserved).await {
                Ok(done) => return Ok(done),
                Err(Unfinished::Failed(error)) => return Err(error),
                Err(Unfinished::NoMemory { bytes, .. }) => reserved = self.reserve(token, bytes).await?,
            }
        }
        Ok(work(reserved).await?)
    }

    /// This many bytes in KiB, and how many KiB are counted: at most a share.
    fn kib(&self, bytes: usize) -> (u32, u32) {
        let wanted = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        (wanted, wanted.min(self.share_kib))
    }

    fn share(&self, token: &str) -> Arc<Semaphore> {
        // Poisoning is harmless: no statement half-updates the map.
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(token).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= MOST_SHARES {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.share_kib as usize));
        shares.insert(token.to_owned(), Arc::downgrade(&share));
        share
    }
}

fn too_many_bytes() -> ApiError {
    ApiError::Busy(Limit::TokenBytes)
}

fn too_busy() -> ApiError {
    ApiError::Busy(Limit::Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * KIB;

    #[tokio::test(start_paused = true)]
    async fn a_token_gets_half_and_the_others_are_served() {
        let memory = Memory::new(8 * MIB);
        let first = memory.reserve("a", 3 * MIB).await.unwrap();
        assert_eq!(memory.reserve("a", 2 * MIB).await.unwrap_err().code(), "too_many_bytes");
        let second = memory.reserve("b", 4 * MIB).await.unwrap();
        assert_eq!(memory.reserve("c", 2 * MIB).await.unwrap_err().code(), "too_busy");
        assert!(memory.reserve("a", UNCOUNTED).await.is_ok(), "what is small is always served");
        drop((first, second));
        assert!(memory.reserve("a", 100 * MIB).await.is_ok(), "more than the share counts as the share");
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_at_a_time_takes_more_than_a_share() {
        let memory = Memory::new(8 * MIB);
        let mut first = memory.reserve("a", 5 * MIB).await.unwrap();
        assert_eq!(memory.reserve("b", 5 * MIB).await.unwrap_err().code(), "too_busy");
        first.shrink(MIB);
        assert!(memory.reserve("b", 5 * MIB).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_that_is_given_back_is_free_for_others() {
        let memory = Memory::new(8 * MIB);
        let mut first = memory.reserve("a", 4 * MIB).await.unwrap();
        first.shrink(MIB);
        assert_eq!(memory.all.available_permits(), 7 * KIB);
        let second = memory.reserve("a", 3 * MIB).await.unwrap();
        drop((first, second));
        assert_eq!(memory.all.available_permits(), 8 * KIB);
        memory.reserve("b", MIB).await.unwrap().shrink(9 * MIB);
        assert_eq!(memory.all.available_permits(), 8 * KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_grows_without_a_wait_and_completely_or_not_at_all() {
        let memory = Memory::new(8 * MIB);
        let other = memory.reserve("b", 3 * MIB).await.unwrap();
        let mut own = memory.nothing("a");
        own.grow_to(UNCOUNTED).unwrap();
        assert_eq!(own.bytes(), 0, "what is small is not counted");
        own.grow_to(2 * MIB).unwrap();
        own.grow_to(MIB).unwrap();
        assert_eq!(own.bytes(), 2 * MIB);
        let third = memory.reserve("c", 2 * MIB).await.unwrap();
        assert_eq!(ApiError::from(own.grow_to(4 * MIB).unwrap_err()).code(), "too_busy");
        assert_eq!((own.bytes(), own.of_token.available_permits()), (2 * MIB, 2 * KIB));
        drop(third);
        own.grow_to(5 * MIB).unwrap();
        assert_eq!(own.bytes(), 4 * MIB, "more than the share counts as the share");
        assert_eq!(ApiError::from(memory.nothing("a").grow_to(MIB).unwrap_err()).code(), "too_many_bytes");
        drop((own, other));
        assert_eq!((memory.all.available_permits(), memory.largest.available_permits()), (8 * KIB, 1));
    }

    /// Goal: a request that waits for memory holds nothing that it read. Method: count what is held while it waits.
    #[tokio::test(start_paused = true)]
    async fn work_without_memory_drops_its_rows_and_starts_again_when_there_is_some() {
        let memory = Memory::new(8 * MIB);
        let held = memory.reserve("a", 4 * MIB).await.unwrap();
        let rows = Arc::new(());
        let rounds = std::sync::atomic::AtomicUsize::new(0);
        let work = |mut reserved: Reserved| {
            let (read, round) = (Arc::clone(&rows), rounds.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            async move {
                reserved.grow_to(MIB * (round + 1))?;
                drop(read);
                Ok(reserved.bytes())
            }
        };
        let mut done = std::pin::pin!(memory.work("a", work));
        assert!(futures::poll!(&mut done).is_pending());
        assert_eq!(Arc::strong_count(&rows), 1, "a request that waits holds no rows");
        drop(held);
        assert_eq!(done.await.unwrap(), 2 * MIB, "the second start asks for more");
        let _held = memory.reserve("a", 4 * MIB).await.unwrap();
        assert_eq!(memory.work("a", work).await.unwrap_err().code(), "too_many_bytes");
    }
}
