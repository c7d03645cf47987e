//! The background loops of a scheduler: one file each, named for what they do.
//!
//! Each tick runs the same code for normal work and for recovery, and the next tick is the retry. Loops that notify
//! each other are woken by a notification *and* by a timer, so a lost notification only delays work. Several schedulers
//! can run the same loops at the same time.

pub(crate) mod counters;
pub(crate) mod denials;
pub(crate) mod effects;
pub(crate) mod observer;
pub(crate) mod pruner;
pub(crate) mod relay;
pub(crate) mod reporter;
pub(crate) mod requests;
pub(crate) mod rescuer;
pub(crate) mod watcher;
pub(crate) mod webhooks;

use longshore_telemetry::error_chain;
use std::time::Duration;

use longshore_db::{Db, Error, Listener, Outage, Result};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::situation::Situation;

/// The wait between two ticks of a loop: until a notification on `channel`, at most `period`.
///
/// If the database cannot be listened to, it is only a timer, and the next wait tries to listen again.
pub(crate) struct Wake {
    channel: &'static str,
    listener: Option<Listener>,
}

impl Wake {
    pub(crate) fn on(channel: &'static str) -> Self {
        Self { channel, listener: None }
    }

    /// Waits for the next tick. Returns false if the loop has to stop.
    pub(crate) async fn next_tick(&mut self, db: &Db, period: Duration, stop: &CancellationToken) -> bool {
        let wait = async {
            if self.listener.is_none() {
                self.listener = db.listen(self.channel).await.ok();
                // A notification may have been sent before this loop listened, so start the tick immediately.
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

/// Records and logs the result of a tick. The next tick is the retry.
pub(crate) fn record_tick<T>(situation: &Situation, name: &'static str, result: &Result<T>) {
    situation.record(name, result.as_ref());
    if let Err(error) = result {
        log_failed_tick(name, error);
    }
}

/// Logs a failed tick.
pub(crate) fn log_failed_tick(name: &'static str, error: &Error) {
    let cause = error_chain(error);
    if error.outage().is_some_and(Outage::stops_writes) {
        // The watcher warns once a minute.
        debug!(event = "round_failed", task.name = name, error = cause, "{name} failed, retrying on the next tick");
    } else {
        warn!(event = "round_failed", task.name = name, error = cause, "{name} failed, retrying on the next tick");
    }
}
