//! The tasks of a process and their common end.
//!
//! A process that has lost one of its loops looks healthy and does half its work; so a task that
//! panics or fails takes the process down in an orderly way, and whoever runs it starts a new one.

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

/// The tasks of this process. Clones share them.
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

/// A process that did not end well.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShutdownError {
    /// A task panicked or failed, which ended the process. The log says how.
    #[error("task {name} failed")]
    Failed { name: &'static str },
    /// Tasks were still at work at the deadline.
    #[error("still running at the deadline: {}", names.join(", "))]
    Overdue { names: Vec<&'static str> },
}

/// How a task can end: by nothing worth saying, or by a `Result`.
pub trait Ending: Send {
    /// The failure with its causes, if it was one.
    fn failure(self) -> Option<String>;
}

impl Ending for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>> + Send> Ending for Result<(), E> {
    fn failure(self) -> Option<String> {
        let error = self.err()?.into();
        Some(error_chain(error.as_ref()))
    }
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process is to end: take no new work, finish what is in hand.
    pub fn stopping(&self) -> CancellationToken {
        self.inner.stop.clone()
    }

    /// Cancels [`stopping`](Self::stopping) on the first SIGTERM or SIGINT.
    ///
    /// # Errors
    /// The handlers cannot be installed.
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

    /// Runs a task until it ends by itself. A panic or an error stops the whole process.
    ///
    /// The task watches [`stopping`](Self::stopping) itself: at its own safe points, not at any `await`.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output: Ending> + Send + 'static,
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
                // The first failure is the one to report; later ones may follow from it.
                inner.failed.get_or_init(|| name);
                inner.stop.cancel();
            }
            inner.ended(name);
        });
    }

    /// Waits until the process is to stop, and then for its tasks, at most as long as `drain`.
    ///
    /// # Errors
    /// A task had failed, or some are still running at the deadline: they are cut off when the process exits.
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
        // Counting cannot leave the map half changed.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, name: &'static str) {
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

    /// Paused clock: it passes only when nothing else can happen.
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
        assert!(tokio::time::timeout(DRAIN, tasks.wait(DRAIN)).await.is_err(), "nobody asked to stop");
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
