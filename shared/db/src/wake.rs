//! Wakes loops of the schedulers: the relay after a sync was enqueued, the reporter after a sync began or ended.
//!
//! Postgres holds a lock from `NOTIFY` until its transaction is on disk, so transactions that notify commit one after
//! the other. Requests, claims and ends of jobs are many at once: they send their wake-ups after the commit, in a
//! separate transaction that writes nothing, and several wake-ups become one. A lost one costs a second at most,
//! because each loop also has a timer. Rare transactions (releases, splits, cancellations) still use `NOTIFY`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::{Db, GenericClient as _};

/// The pause between two wake-ups. Shorter, and a loop would be woken for every job of a busy process; longer, and a sync that
/// is enqueued right after another would wait for it.
const PAUSE: Duration = Duration::from_millis(50);

/// The loops that are to be woken. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Wakeups(Arc<Inner>);

#[derive(Default)]
struct Inner {
    relay: AtomicBool,
    reporter: AtomicBool,
    wanted: Notify,
}

impl Wakeups {
    fn want(&self, which: &AtomicBool) {
        which.store(true, Ordering::Release);
        self.0.wanted.notify_one();
    }

    /// The statements that wake these loops, which are none afterwards.
    fn take(&self) -> String {
        let notify = |which: &AtomicBool, channel: &str| {
            if which.swap(false, Ordering::AcqRel) { format!("NOTIFY {channel};") } else { String::new() }
        };
        notify(&self.0.relay, "longshore_outbox") + &notify(&self.0.reporter, "longshore_syncs")
    }
}

impl Db {
    /// Has the relay look at the outbox. Call it once the transaction that wrote there has committed.
    pub fn wake_relay(&self) {
        self.wakeups.want(&self.wakeups.0.relay);
    }

    /// Has the reporter look at the syncs. Call it once a transaction that began or ended one has committed.
    pub fn wake_reporter(&self) {
        self.wakeups.want(&self.wakeups.0.reporter);
    }

    /// Sends this pool's wake-ups through another, whose connections no requests hold.
    #[must_use]
    pub fn waking_through(mut self, other: &Self) -> Self {
        self.wakeups = other.wakeups.clone();
        self
    }

    /// Sends wake-ups of this pool, its clones and those that wake through it, until dropped.
    pub async fn send_wakeups(&self) {
        loop {
            self.wakeups.0.wanted.notified().await;
            let statements = self.wakeups.take();
            if statements.is_empty() {
                continue;
            }
            let sent = self.in_time(async { Ok(self.client().await?.batch_execute(&statements).await?) });
            // A failure needs no retry: each loop also has a timer.
            sent.await.ok();
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wake_ups_at_once_are_one_of_each_loop() {
        let wakeups = Wakeups::default();
        assert_eq!(wakeups.take(), "");
        for _ in 0..3 {
            wakeups.want(&wakeups.0.reporter);
        }
        assert_eq!(wakeups.take(), "NOTIFY longshore_syncs;");
        wakeups.want(&wakeups.0.relay);
        wakeups.want(&wakeups.0.reporter);
        assert_eq!(wakeups.take(), "NOTIFY longshore_outbox;NOTIFY longshore_syncs;");
    }
}
