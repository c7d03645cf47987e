//! The memory that one request has reserved.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{KIB, Memory, UNCOUNTED, too_busy, too_many_bytes};
use crate::api::error::ApiError;

/// The memory that one request has reserved. Dropping it gives the memory back.
#[derive(Debug)]
pub(in crate::api) struct Reserved {
    // Fields drop in this order: first the process, then the token, so that the token's next request finds both free.
    pub(super) all: Option<OwnedSemaphorePermit>,
    pub(super) share: Option<OwnedSemaphorePermit>,
    pub(super) largest: Option<OwnedSemaphorePermit>,
    pub(super) memory: Memory,
    /// The share of the request's token.
    pub(super) of_token: Arc<Semaphore>,
}

/// Why work on an answer ended early.
#[derive(Debug)]
pub(in crate::api) enum Unfinished {
    /// There is no free memory for this many bytes.
    NoMemory { bytes: usize, error: ApiError },
    /// Any other failure.
    Failed(ApiError),
}

impl From<ApiError> for Unfinished {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl From<longshore_db::Error> for Unfinished {
    fn from(error: longshore_db::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Unfinished> for ApiError {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::NoMemory { error, .. } | Unfinished::Failed(error) => error,
        }
    }
}

impl Reserved {
    /// The counted bytes.
    pub(in crate::api) fn bytes(&self) -> usize {
        self.all.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * KIB
    }

    /// Whether this many bytes are reserved, or a share if they are more than a share.
    pub(in crate::api) fn holds(&self, bytes: usize) -> bool {
        let (_, kib) = self.memory.kib(bytes);
        self.bytes() >= kib as usize * KIB
    }

    /// Grows the reservation to at least this many bytes. Does not wait, because the caller holds the rows that it has
    /// read.
    ///
    /// # Errors
    /// [`Unfinished::NoMemory`]; then the reservation does not change.
    pub(in crate::api) fn grow_to(&mut self, bytes: usize) -> Result<(), Unfinished> {
        if bytes <= UNCOUNTED {
            return Ok(());
        }
        let (wanted, kib) = self.memory.kib(bytes);
        let missing = kib.saturating_sub(u32::try_from(self.bytes() / KIB).unwrap_or(u32::MAX));
        let take = |semaphore: &Arc<Semaphore>, count, error: fn() -> ApiError| {
            let permit = Arc::clone(semaphore).try_acquire_many_owned(count);
            permit.map_err(|_| Unfinished::NoMemory { bytes, error: error() })
        };
        let share = take(&self.of_token, missing, too_many_bytes)?;
        let all = take(&self.memory.all, missing, too_busy)?;
        if wanted > kib && self.largest.is_none() {
            self.largest = Some(take(&self.memory.largest, 1, too_busy)?);
        }
        for (held, more) in [(&mut self.share, share), (&mut self.all, all)] {
            match held {
                Some(held) => held.merge(more),
                None => *held = Some(more),
            }
        }
        Ok(())
    }

    /// Gives back all but this many bytes.
    pub(in crate::api) fn shrink(&mut self, bytes: usize) {
        let keep = bytes.div_ceil(KIB);
        self.largest = None;
        for permit in [&mut self.all, &mut self.share].into_iter().flatten() {
            drop(permit.num_permits().checked_sub(keep).and_then(|extra| permit.split(extra)));
        }
    }
}
