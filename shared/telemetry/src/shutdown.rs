//! Runs the tokio tasks of a process and shuts them down together.
//!
//! A process that has lost one of its loops looks healthy but does only half of its work. So a tokio task that panics
//! or fails stops the whole process in an orderly way, and the service manager starts a new one.

use std::any::Any;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::error_chain;

/// The tokio tasks of this process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    stop: CancellationToken,
    failed: OnceLock<&'static str>,
    running: Mutex<BTreeMap<&'static str, usize>>,
}

/// A process that did not shut down cleanly.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShutdownError {
    /// A tokio task panicked or failed, which stopped the process. The log has the reason.
    #[error("task {name} failed")]
    Failed { name: &'static str },
    /// Tokio tasks were still running at the deadline.
    #[error("still running at the deadline: {}", names.join(", "))]
    Overdue { names: Vec<&'static str> },
}

/// The output of a tokio task: nothing, or a `Result`.
pub trait TaskOutput: Send {
    /// The failure with its causes, if there was one.
    fn failure(self) -> Option<String>;
}

impl TaskOutput for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>> + Send> TaskOutput for Result<(), E> {
    fn failure(self) -> Option<String> {
        let error = self.err()?.into();
        Some(error_chain(error.as_ref()))
    }
}

impl Tasks {
    /// Starts without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process shuts down: take no new work, and finish the current work.
    pub fn stopping(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    /// Cancels [`stopping`](Self::stopping) on the first SIGTERM or SIGINT.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn stop_on_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = self.stopping();
        self.spawn("signals", async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = stop.cancelled() => return,
            };
            info!(event = "stopping", signal = name, "stopping");
            stop.cancel();
        });
        Ok(())
    }

    /// Runs a tokio task until it ends. A panic or an error stops the whole process.
    ///
    /// The task must watch [`stopping`](Self::stopping) itself, at its own safe points: it is not aborted at an
    /// `await`.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output: TaskOutput> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        *inner.running().entry(name).or_default() += 1;
        self.inner.tracker.spawn(async move {
            let failure = match AssertUnwindSafe(future).catch_unwind().await {
                Ok(ending) => ending.failure(),
                Err(panic) => Some(format!("panicked: {}", panic_text(&*panic))),
            };
            if let Some(failure) = failure {
                error!(
                    event = "task_failed",
                    task.name = name,
                    error = failure,
                    "task {name} failed, stopping the process"
                );
                // Only the first failure is reported; later ones may be its consequences.
                inner.failed.get_or_init(|| name);
                inner.stop.cancel();
            }
            inner.record_end(name);
        });
    }

    /// Waits until the process is stopping, and then at most `drain` for its tasks.
    ///
    /// # Errors
    /// A task failed, or some tasks are still running at the deadline; they end when the process exits.
    pub async fn wait(&self, drain: Duration) -> Result<(), ShutdownError> {
        self.inner.stop.cancelled().await;
        self.inner.tracker.close();
        let drained = tokio::time::timeout(drain, self.inner.tracker.wait()).await;
        if let Some(name) = self.inner.failed.get() {
            return Err(ShutdownError::Failed { name });
        }
        drained.map_err(|_| {
            let names: Vec<_> = self.inner.running().keys().copied().collect();
            warn!(event = "drain_timed_out", tasks = names.join(","), "tasks still running at the deadline");
            ShutdownError::Overdue { names }
        })
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        // Poisoning is harmless: no statement leaves the map half-updated.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_end(&self, name: &'static str) {
        let mut running = self.running();
        if let Some(count) = running.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                running.remove(name);
            }
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paused clock advances only when no task can run.
    const DRAIN: Duration = Duration::from_secs(60);

    async fn panics() {
        panic!("on purpose");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_stops_the_process_and_names_the_task() {
        let tasks = Tasks::new();
        let stopping = tasks.stopping();
        tasks.spawn("watcher", async move { stopping.cancelled().await });
        tasks.spawn("relay", panics());
        assert_eq!(tasks.wait(DRAIN).await, Err(ShutdownError::Failed { name: "relay" }));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_stops_the_process_and_names_the_task() {
        let tasks = Tasks::new();
        tasks.spawn("listener", async { Err::<(), _>(io::Error::other("on purpose")) });
        assert_eq!(tasks.wait(DRAIN).await, Err(ShutdownError::Failed { name: "listener" }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_well_stops_nothing() {
        let tasks = Tasks::new();
        tasks.spawn("one page", async {});
        tasks.spawn("another", async { Ok::<(), io::Error>(()) });
        assert!(tokio::time::timeout(DRAIN, tasks.wait(DRAIN)).await.is_err(), "no stop was requested");
        tasks.stopping().cancel();
        assert_eq!(tasks.wait(DRAIN).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_do_not_end_in_time_are_named() {
        let tasks = Tasks::new();
        tasks.spawn("stuck", std::future::pending::<()>());
        tasks.spawn("stuck", async {});
        tasks.spawn("quick", async {});
        tasks.stopping().cancel();
        assert_eq!(tasks.wait(DRAIN).await, Err(ShutdownError::Overdue { names: vec!["stuck"] }));
    }

    #[tokio::test]
    async fn sigterm_stops_the_process() {
        let tasks = Tasks::new();
        tasks.stop_on_signals().unwrap();
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(tasks.wait(DRAIN).await, Ok(()));
    }
}
