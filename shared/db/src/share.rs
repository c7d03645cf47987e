//! Shares of a pool: the number of database connections that one caller's work may hold at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::{Error, Result};

tokio::task_local! {
    /// The share of the current work. It is set around a request, so that the functions between the request and its
    /// statements need no parameter for it.
    static CURRENT: Share;
}

/// A limit on the connections that some work takes from a pool. Clones share the limit.
///
/// Within [`Self::scope`], [`Db::client`](crate::Db::client) first waits for a permit of the share, then for a
/// connection of the pool. Outside of any share it waits only for the pool.
#[derive(Debug, Clone)]
pub struct Share(Arc<Semaphore>);

impl Share {
    /// A share of at most `connections` connections.
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections)))
    }

    /// Runs work within this share.
    pub async fn scope<T>(&self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), work).await
    }

    /// Takes a permit of the current share; `None` outside of any share.
    ///
    /// # Errors
    /// [`Error::ShareInUse`] if no permit is free within `at_most`.
    pub(crate) async fn permit(at_most: Duration) -> Result<Option<OwnedSemaphorePermit>> {
        let Ok(Share(permits)) = CURRENT.try_with(Self::clone) else { return Ok(None) };
        match timeout(at_most, permits.acquire_owned()).await {
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(Error::ShareInUse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn work_waits_for_permits_of_its_own_share_only() {
        let (share, other) = (Share::new(1), Share::new(1));
        let permit = share.scope(Share::permit(WAIT)).await.unwrap();
        assert!(permit.is_some());
        assert!(matches!(share.scope(Share::permit(WAIT)).await, Err(Error::ShareInUse)));
        assert!(other.scope(Share::permit(WAIT)).await.unwrap().is_some());
        assert!(Share::permit(WAIT).await.unwrap().is_none(), "outside of any share");
        drop(permit);
        assert!(share.scope(Share::permit(WAIT)).await.unwrap().is_some());
    }
}
