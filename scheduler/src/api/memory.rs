//! Memory for answers and bodies: counted before it is taken, per process and per token.
//!
//! A list of large tasks, or a large body, costs megabytes for as long as its client takes. What is small is not
//! counted: it is bounded by the number of connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::{ApiError, ApiResult};

/// Bytes up to which an answer or a body is not counted. Nearly all are smaller, so they are served however much the
/// large ones hold; 1,000 connections hold at most 64 MiB of them.
pub(super) const UNCOUNTED: usize = 64 * 1024;

/// How long a request waits for memory. Answers are sent in a second or two; longer would pile up requests behind
/// clients that do not read.
const WAIT: Duration = Duration::from_secs(5);

/// Tokens whose shares are remembered before unused ones are removed.
const MOST_SHARES: usize = 256;

const KIB: usize = 1024;

/// Memory that requests may hold together. Clones share it.
#[derive(Clone)]
pub(super) struct Memory {
    all: Arc<Semaphore>,
    /// What one token may hold: half, so that no token keeps the others out.
    share_kib: u32,
    shares: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
    /// For one request at a time that takes more than a share, and so more than is counted for it.
    largest: Arc<Semaphore>,
}

/// Memory that one request holds until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    // In the order of release: the process before the token, so that a token's next request finds both.
    all: Option<OwnedSemaphorePermit>,
    share: Option<OwnedSemaphorePermit>,
    largest: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// Memory of this many bytes, of which one token may hold half.
    pub(super) fn new(bytes: usize) -> Self {
        let kib = (bytes / KIB).clamp(2, u32::MAX as usize / 2);
        Self {
            all: Arc::new(Semaphore::new(kib)),
            share_kib: u32::try_from(kib / 2).unwrap_or(u32::MAX),
            shares: Arc::default(),
            largest: Arc::new(Semaphore::new(1)),
        }
    }

    /// Reserves memory for a token, waiting for a while. More than its share counts as the share, and goes to one request
    /// at a time.
    ///
    /// Call it without a database connection: a wait would keep that from others.
    ///
    /// # Errors
    /// `too_many_bytes` if the token holds its share, `too_busy` if all tokens together hold everything.
    pub(super) async fn reserve(&self, token: &str, bytes: usize) -> ApiResult<Reserved> {
        if bytes <= UNCOUNTED {
            return Ok(Reserved::default());
        }
        let wanted = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        let kib = wanted.min(self.share_kib);
        let wait = |semaphore: Arc<Semaphore>, count, error| async move {
            match timeout(WAIT, semaphore.acquire_many_owned(count)).await {
                Ok(Ok(permit)) => Ok(permit),
                // Never closed; if it were, nothing more may be taken.
                Ok(Err(_)) | Err(_) => Err(error),
            }
        };
        let share = wait(self.share(token), kib, too_many_bytes()).await?;
        let all = wait(Arc::clone(&self.all), kib, too_busy()).await?;
        // Last: who waits for it holds what the one that has it does not need.
        let largest = if wanted > kib { Some(wait(Arc::clone(&self.largest), 1, too_busy()).await?) } else { None };
        Ok(Reserved { all: Some(all), share: Some(share), largest })
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

impl Reserved {
    /// Whether it was too small to be counted.
    pub(super) fn is_nothing(&self) -> bool {
        self.all.is_none()
    }

    /// Gives back what is more than this many bytes.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let keep = bytes.div_ceil(KIB);
        self.largest = None;
        for permit in [&mut self.all, &mut self.share].into_iter().flatten() {
            drop(permit.num_permits().checked_sub(keep).and_then(|extra| permit.split(extra)));
        }
    }
}

fn too_many_bytes() -> ApiError {
    ApiError::NoMemory {
        code: "too_many_bytes",
        detail: "This token has too many bytes of answers and bodies under way. Read the answers, or try again in a \
                 moment.",
    }
}

fn too_busy() -> ApiError {
    ApiError::NoMemory {
        code: "too_busy",
        detail: "The API has too many bytes of answers and bodies under way; try again in a moment.",
    }
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
    async fn what_is_given_back_is_free_for_others() {
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
}
