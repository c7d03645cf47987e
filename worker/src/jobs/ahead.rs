//! Work begun before its result is asked for.

use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// Work that goes on by itself, on any thread, until its result is taken. Dropped, it ends.
pub(crate) struct Ahead<T>(AbortOnDropHandle<T>);

impl<T: Send + 'static> Ahead<T> {
    /// Begins.
    pub(crate) fn begin(work: impl Future<Output = T> + Send + 'static) -> Self {
        #[expect(clippy::disallowed_methods, reason = "ends with its handle, which belongs to an attempt")]
        let running = tokio::spawn(work.in_current_span());
        Self(AbortOnDropHandle::new(running))
    }

    /// Begins what computes for longer than a task may keep others waiting. It is not cut short.
    pub(crate) fn compute(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self(AbortOnDropHandle::new(tokio::task::spawn_blocking(work)))
    }

    /// Waits for the result.
    pub(crate) async fn result(self) -> T {
        match self.0.await {
            Ok(result) => result,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
