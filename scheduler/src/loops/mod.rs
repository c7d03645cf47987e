//! What a scheduler does without being asked: a loop a file, named by what it does.
//!
//! Every loop has one code path for the happy case and for recovery, is woken by a signal *and* by a
//! timer, and retries by coming round again. Several schedulers may run the same loops side by side.

pub(crate) mod observer;
pub(crate) mod pruner;
pub(crate) mod relay;
pub(crate) mod reporter;
pub(crate) mod requests;
pub(crate) mod rescuer;

use longshore_telemetry::error_chain;
use std::time::Duration;

use longshore_db::{Db, Listener};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A wait between two rounds of a loop: until something is notified, at most `period`.
///
/// Without a connection to listen on it is a plain timer, and the next round tries to listen again.
pub(crate) struct Wake {
    channel: &'static str,
    listener: Option<Listener>,
}

impl Wake {
    pub(crate) fn on(channel: &'static str) -> Self {
        Self { channel, listener: None }
    }

    /// Waits, and says whether the loop goes on.
    pub(crate) async fn next(&mut self, db: &Db, period: Duration, stop: &CancellationToken) -> bool {
        let wait = async {
            if self.listener.is_none() {
                self.listener = db.listen(self.channel).await.ok();
                // A notification may have been sent before this loop listened, so it looks at once.
                if self.listener.is_some() {
                    return;
                }
            }
            match &mut self.listener {
                Some(listener) => {
                    if !listener.wait(period).await {
                        self.listener = None;
                    }
                }
                None => tokio::time::sleep(period).await,
            }
        };
        stop.run_until_cancelled(wait).await.is_some()
    }
}

/// Logs a failed round once; the next round is the retry.
pub(crate) fn round_failed(name: &'static str, error: &(dyn std::error::Error + 'static)) {
    warn!(
        event = "round_failed",
        task.name = name,
        error = error_chain(error),
        "{name} failed, retrying on the next tick"
    );
}
