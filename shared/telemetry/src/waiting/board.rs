//! What a process shows of its waits: to `/readyz`, as a metric, and as one warning per minute and cause.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use longshore_model::{WaitingFor, time};
use prometheus::{GaugeVec, Opts, Registry};
use serde::Serialize;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Fault;

/// Time between two warnings about the same cause. With a shorter one, a day of waiting would fill the log; with a
/// longer one, a person who looks at the last lines would not find the cause.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// A wait, as `/readyz` and the log show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// When the oldest wait for this began.
    #[serde(serialize_with = "time::serialize")]
    pub since: Timestamp,
    /// The latest error. It is public: no address, key, secret or name of a user.
    pub error: Option<String>,
    /// The latest error with its causes, for the log only.
    #[serde(skip)]
    pub cause: Option<String>,
    /// How many syncs wait for it. Left out by a process that does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syncs: Option<u64>,
}

impl From<Fault> for Wait {
    fn from(fault: Fault) -> Self {
        Self { since: fault.since, error: Some(fault.error), cause: Some(fault.cause), syncs: None }
    }
}

/// The waits of a process, by what it waits for. Clones share them.
#[derive(Clone)]
pub struct WaitBoard {
    state: Arc<Mutex<State>>,
    seconds: GaugeVec,
}

#[derive(Default)]
struct State {
    waits: BTreeMap<WaitingFor, Wait>,
    /// When each cause was last warned about. Kept after its end, so that a cause that comes and goes is no flood.
    warned: BTreeMap<WaitingFor, Instant>,
}

impl WaitBoard {
    /// Creates an empty board, and registers its metric.
    ///
    /// # Errors
    /// It is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Seconds since the oldest wait for something began; 0 if nothing waits for it.";
        let seconds = GaugeVec::new(Opts::new("longshore_wait_seconds", help), &["for"])?;
        registry.register(Box::new(seconds.clone()))?;
        let board = Self { state: Arc::default(), seconds };
        board.observe(&BTreeMap::new());
        Ok(board)
    }

    /// Replaces all waits. Logs each of them once a minute, and the end of those that are over.
    pub fn show(&self, waits: BTreeMap<WaitingFor, Wait>) {
        self.observe(&waits);
        let mut state = self.lock();
        for (what, wait) in &waits {
            if state.warned.get(what).is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
                state.warned.insert(*what, Instant::now());
                warn_of(*what, wait);
            }
        }
        for what in state.waits.keys().filter(|what| !waits.contains_key(what)) {
            info!(event = "wait_ended", waiting_for = what.as_str(), "no longer waiting for: {what}");
        }
        state.waits = waits;
    }

    /// The current waits.
    pub fn waits(&self) -> BTreeMap<WaitingFor, Wait> {
        self.lock().waits.clone()
    }

    fn observe(&self, waits: &BTreeMap<WaitingFor, Wait>) {
        for what in WaitingFor::ALL {
            let seconds = waits.get(what).map(|wait| Timestamp::now().duration_since(wait.since).as_secs_f64());
            self.seconds.with_label_values(&[what.as_str()]).set(seconds.unwrap_or(0.0).max(0.0));
        }
    }

    /// Poisoning is harmless: no statement leaves the state half-updated.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn_of(what: WaitingFor, wait: &Wait) {
    warn!(
        event = "waiting",
        waiting_for = what.as_str(),
        waiting_since = time::text(wait.since),
        waiting_syncs = wait.syncs,
        error = wait.cause.as_ref().or(wait.error.as_ref()),
        "waiting for: {what}"
    );
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Collects the lines that a subscriber writes.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        fn count(&self, event: &str) -> usize {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap().matches(event).count()
        }
    }

    fn waits(error: &str) -> BTreeMap<WaitingFor, Wait> {
        let wait = Wait { since: Timestamp::now(), error: Some(error.to_owned()), cause: None, syncs: Some(2) };
        BTreeMap::from([(WaitingFor::Broker, wait)])
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_is_warned_about_once_a_minute_even_if_it_comes_and_goes() {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let board = WaitBoard::register(&Registry::new()).unwrap();
        for _ in 0..59 {
            board.show(waits("down"));
            board.show(BTreeMap::new());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!((lines.count("\"waiting\""), lines.count("\"wait_ended\"")), (1, 59));
        tokio::time::advance(Duration::from_secs(1)).await;
        board.show(waits("down"));
        assert_eq!(lines.count("\"waiting\""), 2);
        assert_eq!(board.waits()[&WaitingFor::Broker].error.as_deref(), Some("down"));
    }

    #[test]
    fn the_metric_reports_zero_for_what_nothing_waits_for() {
        let registry = Registry::new();
        let board = WaitBoard::register(&registry).unwrap();
        let hour_ago = Timestamp::now() - jiff::SignedDuration::from_hours(1);
        let wait = Wait { since: hour_ago, error: None, cause: None, syncs: None };
        board.show(BTreeMap::from([(WaitingFor::Storage, wait)]));
        let seconds = |what: WaitingFor| board.seconds.with_label_values(&[what.as_str()]).get();
        assert!(seconds(WaitingFor::Storage) >= 3_600.0);
        assert_eq!(seconds(WaitingFor::Broker), 0.0);
    }
}
