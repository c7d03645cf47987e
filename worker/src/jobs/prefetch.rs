//! Work that starts before its result is needed.

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// Computations at once: as many as there are processors. More would only hold more memory, and would take the
/// processors from the threads that keep leases and connections.
static COMPUTATIONS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(processors))
});

/// Work that runs by itself, on any thread, until its result is taken. Dropped, it ends.
pub(crate) struct Prefetch<T> {
    running: AbortOnDropHandle<T>,
    /// Tells a computation that its result is no longer wanted.
    _wanted: Option<DropGuard>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts the work.
    pub(crate) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        #[expect(clippy::disallowed_methods, reason = "ends with its handle, which belongs to an attempt")]
        let running = tokio::spawn(work.in_current_span());
        Self { running: AbortOnDropHandle::new(running), _wanted: None }
    }

    /// Starts a computation that takes longer than a tokio task may keep others waiting, once a processor is free.
    ///
    /// Its token is cancelled when the result is no longer wanted; a computation of more than some milliseconds checks
    /// it.
    pub(crate) fn compute(work: impl FnOnce(&CancellationToken) -> T + Send + 'static) -> Self {
        let abandoned = CancellationToken::new();
        let wanted = abandoned.clone().drop_guard();
        let computing = async move {
            // The semaphore is never closed.
            let permit = Arc::clone(&COMPUTATIONS).acquire_owned().await;
            let computed = tokio::task::spawn_blocking(move || {
                let computed = work(&abandoned);
                drop(permit);
                computed
            });
            joined(computed.await).await
        };
        Self { _wanted: Some(wanted), ..Self::start(computing) }
    }

    /// Waits for the result.
    pub(crate) async fn result(self) -> T {
        joined(self.running.await).await
    }
}

async fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    match ended {
        Ok(result) => result,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
