//! Wakes loops of the schedulers: the relay after a sync was enqueued, the reporter after a sync started or ended.
//!
//! Postgres holds a lock from `NOTIFY` until its transaction is on disk, so transactions with `NOTIFY` commit one after
//! the other. Requests, claims and ends of jobs are frequent and run in parallel. They send their wake-up after the
//! commit, in a separate transaction that writes nothing, and several wake-ups are combined. A lost wake-up costs at
//! most a second, because each loop also has a timer. Rare transactions (releases, splits, cancellations) use `NOTIFY`
//! within the transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::{Db, GenericClient as _};

/// The mean time between two wake-ups of a busy process. With a shorter one, it would wake a loop for every job. With a
/// longer one, a sync that is enqueued right after another would wait noticeably.
const PAUSE: Duration = Duration::from_millis(50);

/// Wake-ups that a process sends without a pause after it was quiet: the beginning, a split and the end of a short sync.
const AT_ONCE: u32 = 5;

/// When the next wake-up may be sent: at [`PAUSE`] on average, some at once after a quiet time.
struct Pace {
    /// When the pauses of all sent wake-ups are over.
    paid: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { paid: now }
    }

    /// Counts a wake-up that is sent now. Returns when the next one may be sent.
    fn sent(&mut self, now: Instant) -> Instant {
        self.paid = self.paid.max(now) + PAUSE;
        self.paid - PAUSE * (AT_ONCE - 1)
    }
}

/// The wake-ups that were requested and not sent yet. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Wakeups(Arc<Inner>);

#[derive(Default)]
struct Inner {
    relay: AtomicBool,
    reporter: AtomicBool,
    requested: Notify,
}

impl Wakeups {
    fn request(&self, which: &AtomicBool) {
        which.store(true, Ordering::Release);
        self.0.requested.notify_one();
    }

    /// Takes the statements that send the requested wake-ups; empty if there are none.
    fn take(&self) -> String {
        let notify = |which: &AtomicBool, channel: &str| {
            if which.swap(false, Ordering::AcqRel) { format!("NOTIFY {channel};") } else { String::new() }
        };
        notify(&self.0.relay, "longshore_outbox") + &notify(&self.0.reporter, "longshore_syncs")
    }
}

impl Db {
    /// Makes the relay look at the outbox. Call it after the commit of a transaction that wrote to the outbox.
    pub fn wake_relay(&self) {
        self.wakeups.request(&self.wakeups.0.relay);
    }

    /// Makes the reporter look at the syncs. Call it after the commit of a transaction that started or ended a sync.
    pub fn wake_reporter(&self) {
        self.wakeups.request(&self.wakeups.0.reporter);
    }

    /// Lets `other` send this pool's wake-ups. Use it where requests may hold all connections of this pool.
    #[must_use]
    pub fn waking_through(mut self, other: &Self) -> Self {
        self.wakeups = other.wakeups.clone();
        self
    }

    /// Sends the wake-ups of this pool, of its clones, and of pools that wake through it. Runs until it is dropped.
    pub async fn send_wakeups(&self) {
        let mut pace = Pace::new(Instant::now());
        loop {
            self.wakeups.0.requested.notified().await;
            let statements = self.wakeups.take();
            if statements.is_empty() {
                continue;
            }
            let sent = self.in_time(async { Ok(self.client().await?.batch_execute(&statements).await?) });
            // A failure needs no retry: each loop also has a timer.
            sent.await.ok();
            sleep_until(pace.sent(Instant::now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_process_sends_some_wake_ups_at_once_and_a_busy_one_pauses() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let waits = |pace: &mut Pace, now: Instant| pace.sent(now).saturating_duration_since(now);
        for _ in 1..AT_ONCE {
            assert_eq!(waits(&mut pace, start), Duration::ZERO);
        }
        assert_eq!(waits(&mut pace, start), PAUSE);
        assert_eq!(waits(&mut pace, start + PAUSE), PAUSE);
        let later = start + PAUSE * 100;
        assert_eq!(waits(&mut pace, later), Duration::ZERO);
    }

    #[test]
    fn several_wake_ups_of_a_loop_become_one() {
        let wakeups = Wakeups::default();
        assert_eq!(wakeups.take(), "");
        for _ in 0..3 {
            wakeups.request(&wakeups.0.reporter);
        }
        assert_eq!(wakeups.take(), "NOTIFY longshore_syncs;");
        wakeups.request(&wakeups.0.relay);
        wakeups.request(&wakeups.0.reporter);
        assert_eq!(wakeups.take(), "NOTIFY longshore_outbox;NOTIFY longshore_syncs;");
    }
}
