//! Work that starts before its result is needed.

use std::sync::{Arc, LazyLock};

use longshore_telemetry::waiting::inherit;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// Permits for concurrent computations, one per processor. More computations would only hold more memory, and would
/// take processor time from the threads that extend leases and serve connections.
static COMPUTATIONS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new(processors))
});

/// Work that runs in the background until its result is taken. Dropping it cancels the work.
pub(crate) struct Prefetch<T> {
    running: AbortOnDropHandle<T>,
    /// Dropping it signals a computation that its result is no longer needed.
    _wanted: Option<DropGuard>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts the work.
    pub(crate) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        #[expect(clippy::disallowed_methods, reason = "ends with its handle, which belongs to an attempt")]
        let running = tokio::spawn(inherit(work).in_current_span());
        Self { running: AbortOnDropHandle::new(running), _wanted: None }
    }

    /// Starts a computation that is too long for a tokio task, on a blocking thread and once a processor is free.
    ///
    /// Its token is cancelled when the result is no longer needed. A computation of more than a few milliseconds must
    /// check it.
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
            // The runtime is shutting down and drops this tokio task.
            Err(_) => std::future::pending().await,
        },
    }
}
