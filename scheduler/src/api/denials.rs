//! Counts requests that are denied access, so that guessed and stolen tokens are visible.
//!
//! Each request adds to a metric and to a counter by client, token and reason. A loop writes the counters to the audit
//! and to the log: a new one within a second, and then at most once a minute. So a flood of guesses costs a few rows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::time::Instant;

use super::client_address::ClientAddress;
use super::error::{Denial, DeniedAccess};

/// Time between two rows of one counter. With less, a flood would write more rows; with more, its end would show late.
const ROW_PERIOD: Duration = Duration::from_secs(60);

/// The most counters. Further clients are counted together, without their address. With more, an attack from many
/// addresses would write more rows: this many write 370,000 rows a day.
const MOST_COUNTERS: usize = 256;

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    address: ClientAddress,
    token: Option<i64>,
    denial: Denial,
}

/// A counter.
#[derive(Debug)]
struct Counter {
    token_name: Option<String>,
    /// Requests that are not in the audit yet, and the time of the first one.
    unwritten: u64,
    since: Timestamp,
    /// When the next row may be written.
    next_row: Instant,
}

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
    counters: Mutex<HashMap<Key, Counter>>,
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
        let mut counters = self.0.lock();
        let token = denied.token.as_ref();
        let mut key = Key { address: address.network(), token: token.map(|token| token.id), denial: denied.denial };
        let mut token_name = token.map(|token| token.name.clone());
        if counters.len() >= MOST_COUNTERS && !counters.contains_key(&key) {
            // As many further counters as there are reasons.
            (key.address, key.token, token_name) = (ClientAddress(None), None, None);
        }
        let new = || Counter { token_name, unwritten: 0, since: Timestamp::now(), next_row: Instant::now() };
        let counter = counters.entry(key).or_insert_with(new);
        if counter.unwritten == 0 {
            counter.since = Timestamp::now();
        }
        counter.unwritten += 1;
    }

    /// The counters whose time has come, or all at the end of the process.
    pub(crate) fn due(&self, all: bool) -> Vec<DeniedRequests> {
        let now = Instant::now();
        let mut counters = self.0.lock();
        // A counter that was written and did not grow within its minute makes room for others.
        counters.retain(|_, counter| counter.unwritten > 0 || counter.next_row > now);
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
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Counter>> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::TokenName;
    use super::*;

    fn denials() -> Denials {
        Denials::register(&Registry::new()).unwrap()
    }

    fn address(text: &str) -> ClientAddress {
        ClientAddress(Some(text.parse().unwrap()))
    }

    fn denied(denial: Denial) -> DeniedAccess {
        DeniedAccess { denial, token: None }
    }

    fn counts(rows: &[DeniedRequests]) -> Vec<u64> {
        rows.iter().map(|row| row.count).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_denied_request_is_due_at_once_and_the_next_ones_after_a_minute() {
        let denials = denials();
        denials.count(address("192.0.2.1"), &denied(Denial::UnknownToken));
        let rows = denials.due(false);
        assert_eq!(counts(&rows), [1]);
        assert_eq!(counts(&denials.due(false)), [1], "it was not written");
        denials.count(address("192.0.2.1"), &denied(Denial::UnknownToken));
        denials.written(&rows);
        for _ in 0..1_000 {
            denials.count(address("192.0.2.1"), &denied(Denial::UnknownToken));
        }
        assert_eq!(denials.due(false), []);
        assert_eq!(counts(&denials.due(true)), [1_001], "at the end of the process");
        tokio::time::advance(ROW_PERIOD).await;
        let rows = denials.due(false);
        assert_eq!(counts(&rows), [1_001]);
        denials.written(&rows);
        tokio::time::advance(ROW_PERIOD).await;
        assert_eq!(denials.due(false), []);
        assert!(denials.0.lock().is_empty());
    }

    #[test]
    fn clients_tokens_and_reasons_are_counted_apart_and_many_clients_together() {
        let denials = denials();
        let token = Some(TokenName { id: 7, name: "ci".to_owned() });
        denials.count(address("192.0.2.1"), &denied(Denial::UnknownToken));
        denials.count(address("192.0.2.1"), &denied(Denial::MissingToken));
        denials.count(address("192.0.2.1"), &DeniedAccess { denial: Denial::Forbidden, token });
        // One customer has a whole network of IPv6 addresses.
        denials.count(address("2001:db8::1"), &denied(Denial::UnknownToken));
        denials.count(address("2001:db8::2"), &denied(Denial::UnknownToken));
        let mut rows = denials.due(false);
        rows.sort_by_key(|row| row.count);
        assert_eq!(counts(&rows), [1, 1, 1, 2]);
        assert!(rows.iter().any(|row| row.token == Some((7, "ci".to_owned()))));
        for client in 0..10_000_u32 {
            denials.count(ClientAddress(Some(client.to_be_bytes().into())), &denied(Denial::InvalidLink));
        }
        let rows = denials.due(false);
        assert!(rows.len() <= MOST_COUNTERS + Denial::ALL.len(), "{}", rows.len());
        assert_eq!(counts(&rows).iter().sum::<u64>(), 10_005);
    }
}
