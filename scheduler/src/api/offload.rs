//! Runs work on large texts on other threads than those that serve requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::error::{ApiError, ApiResult};

/// Work on up to this many bytes runs on the current thread: it takes well below a millisecond. To hand it to another
/// thread would take a tenth of that.
const SMALL: usize = 64 * 1024;

/// Limits how many threads work on large texts. Clones share the limit.
#[derive(Clone)]
pub(super) struct Offload(Arc<Semaphore>);

/// Tells work to stop because its request has ended.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sets a [`Stop`] when the request ends, also because its client hangs up.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Default for Offload {
    /// As many threads as half of the processors, so that the other half serves small requests.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new((processors / 2).max(1))))
    }
}

impl Offload {
    /// An offload whose threads are all busy and never become free.
    #[cfg(test)]
    pub(super) fn busy() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Runs work on `bytes` bytes of text. The work should check its [`Stop`] every few kilobytes.
    ///
    /// # Errors
    /// Those of the work, and an internal error if it panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Stop) -> ApiResult<T> + Send + 'static,
    ) -> ApiResult<T> {
        let stop = Stop::default();
        if bytes <= SMALL {
            return work(&stop);
        }
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(ApiError::internal)?;
        let guard = StopOnDrop(stop.clone());
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&stop);
            // Free the permit when the work ends, not when the request ends: until it stops, the work uses its thread.
            drop(permit);
            result
        });
        let result = done.await.map_err(ApiError::internal)?;
        drop(guard);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_stops_when_its_request_ends() {
        let (started, starts) = tokio::sync::oneshot::channel();
        let (ended, ends) = mpsc::channel();
        let offload = Offload::default();
        let request = offload.run(SMALL + 1, move |stop| {
            started.send(()).ok();
            while !stop.is_set() {
                std::thread::yield_now();
            }
            ended.send(()).ok();
            Ok(())
        });
        tokio::select! {
            _ = request => unreachable!("the work runs until its stop is set"),
            _ = starts => {}
        }
        tokio::task::spawn_blocking(move || ends.recv().unwrap()).await.unwrap();
    }
}
