//! Counts requests that are denied access, so that guessed and stolen tokens are visible.
//!
//! Each request adds to a metric and to a counter by client, token and reason. A loop writes the counters to the audit
//! and to the log: a new one within a second, and then at most once a minute. So a flood of guesses costs a few rows.

mod counters;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::time::Instant;

use super::client_address::ClientAddress;
use super::error::{Denial, DeniedAccess};
use counters::{Counters, Key};

/// Time between two rows of one counter. With less, a flood would write more rows; with more, its end would show late.
const ROW_PERIOD: Duration = Duration::from_secs(60);

/// Denied requests of one client, token and reason, to write to the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeniedRequests {
    pub(crate) address: ClientAddress,
    /// ID and name of the token, if it is known.
    pub(crate) token: Option<(i64, String)>,
    pub(crate) denial: Denial,
    pub(crate) count: u64,
    pub(crate) since: Timestamp,
}

/// The counters. Clones share them.
#[derive(Clone)]
pub(crate) struct Denials(Arc<Inner>);

struct Inner {
    counters: Mutex<Counters>,
    total: IntCounterVec,
}

impl Denials {
    /// Starts without counters, and registers the metric.
    ///
    /// # Errors
    /// The metric is already registered.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let options = Opts::new("longshore_api_denials_total", "Requests that were denied access, by reason.");
        let total = IntCounterVec::new(options, &["denial"])?;
        registry.register(Box::new(total.clone()))?;
        for denial in Denial::ALL {
            total.with_label_values(&[denial.as_str()]);
        }
        Ok(Self(Arc::new(Inner { counters: Mutex::default(), total })))
    }

    /// Counts a request.
    pub(super) fn count(&self, address: ClientAddress, denied: &DeniedAccess) {
        self.0.total.with_label_values(&[denied.denial.as_str()]).inc();
        self.0.lock().count(address, denied);
    }

    /// The counters whose time has come, or all at the end of the process.
    pub(crate) fn due(&self, all: bool) -> Vec<DeniedRequests> {
        let now = Instant::now();
        let mut counters = self.0.lock();
        // A counter that was written and did not grow within its minute makes room for others.
        counters.retain(|counter| counter.unwritten > 0 || counter.next_row > now);
        let due = counters.iter().filter(|(_, counter)| counter.unwritten > 0 && (all || counter.next_row <= now));
        due.map(|(key, counter)| DeniedRequests {
            address: key.address,
            token: key.token.map(|id| (id, counter.token_name.clone().unwrap_or_default())),
            denial: key.denial,
            count: counter.unwritten,
            since: counter.since,
        })
        .collect()
    }

    /// Subtracts what was written. Requests that were counted meanwhile stay.
    pub(crate) fn written(&self, rows: &[DeniedRequests]) {
        let mut counters = self.0.lock();
        for row in rows {
            let key = Key { address: row.address, token: row.token.as_ref().map(|(id, _)| *id), denial: row.denial };
            if let Some(counter) = counters.get_mut(&key) {
                counter.unwritten = counter.unwritten.saturating_sub(row.count);
                counter.since = Timestamp::now();
                counter.next_row = Instant::now() + ROW_PERIOD;
            }
        }
    }
}

impl Inner {
    /// Poisoning is harmless: no statement leaves a counter half-updated.
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
