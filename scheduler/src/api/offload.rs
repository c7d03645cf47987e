//! Work on large texts, off the threads that serve requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use super::error::{ApiError, ApiResult};

/// Bytes up to which work is done at once: it takes well below a millisecond, and a thread's hand-over a tenth of that.
const AT_ONCE: usize = 64 * 1024;

/// Threads that work on large texts. Clones share them.
#[derive(Clone)]
pub(super) struct Offload(Arc<Semaphore>);

/// Whether work has to stop, because its request is over.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sets a [`Stop`] when it is dropped: with the request, also when its client hangs up.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

impl Default for Offload {
    /// Half of the processors, so that the other half serves small requests.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new((processors / 2).max(1))))
    }
}

impl Offload {
    /// One whose threads are all busy and never become free.
    #[cfg(test)]
    pub(super) fn busy() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Does work on `bytes` bytes of text. It should look at its [`Stop`] every few kilobytes.
    ///
    /// # Errors
    /// Those of the work, and an internal one if it panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Stop) -> ApiResult<T> + Send + 'static,
    ) -> ApiResult<T> {
        let stop = Stop::default();
        if bytes <= AT_ONCE {
            return work(&stop);
        }
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(ApiError::internal)?;
        let guard = StopOnDrop(stop.clone());
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&stop);
            // With the work and not with the request: work that is to stop still takes a thread.
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
    async fn work_whose_request_is_over_is_told_to_stop() {
        let (started, starts) = tokio::sync::oneshot::channel();
        let (ended, ends) = mpsc::channel();
        let offload = Offload::default();
        let request = offload.run(AT_ONCE + 1, move |stop| {
            started.send(()).ok();
            while !stop.is_set() {
                std::thread::yield_now();
            }
            ended.send(()).ok();
            Ok(())
        });
        tokio::select! {
            _ = request => unreachable!("it works until it is told to stop"),
            _ = starts => {}
        }
        tokio::task::spawn_blocking(move || ends.recv().unwrap()).await.unwrap();
    }
}
