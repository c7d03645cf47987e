//! Shares of a pool: how many database connections one caller's work may hold at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::{Error, Result};

tokio::task_local! {
    /// The share of the work that runs now. Set around a request, so that no function between the request
    /// and its statements has to pass it on.
    static CURRENT: Share;
}

/// A part of a pool's connections. Clones share it.
///
/// Work in [`Self::scope`] that asks [`Db::client`](crate::Db::client) for a connection waits until the share
/// has a free place, and then for the pool. Work outside of any share waits for the pool alone.
#[derive(Debug, Clone)]
pub struct Share(Arc<Semaphore>);

impl Share {
    /// A share of this many connections.
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections)))
    }

    /// Runs work within this share.
    pub async fn scope<T>(&self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), work).await
    }

    /// Takes a place in the current share; `None` outside of any.
    pub(crate) async fn place(at_most: Duration) -> Result<Option<OwnedSemaphorePermit>> {
        let Ok(Share(places)) = CURRENT.try_with(Self::clone) else { return Ok(None) };
        match timeout(at_most, places.acquire_owned()).await {
            Ok(place) => Ok(place.ok()),
            Err(_) => Err(Error::ShareInUse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn work_of_one_share_waits_for_its_own_places_and_other_work_does_not() {
        let (share, other) = (Share::new(1), Share::new(1));
        let held = share.scope(Share::place(WAIT)).await.unwrap();
        assert!(held.is_some());
        assert!(matches!(share.scope(Share::place(WAIT)).await, Err(Error::ShareInUse)));
        assert!(other.scope(Share::place(WAIT)).await.unwrap().is_some());
        assert!(Share::place(WAIT).await.unwrap().is_none(), "outside of any share");
        drop(held);
        assert!(share.scope(Share::place(WAIT)).await.unwrap().is_some());
    }
}
