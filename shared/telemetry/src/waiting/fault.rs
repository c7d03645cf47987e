//! What is wrong with one server, as several parts of the process see it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// A server that does not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When the first failure began, by the clock of this process.
    pub since: Timestamp,
    /// The latest error for users, in full sentences. Never has an address, a key or a secret.
    pub error: String,
    /// The latest error with its causes, for the log only.
    pub cause: String,
}

/// The faults of one server. Clones share them.
///
/// Each part of the process reports under its own name, so that the success of one does not hide the failures of
/// another: on a full disk, small writes may still succeed.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<BTreeMap<&'static str, Report>>>);

#[derive(Debug)]
struct Report {
    fault: Fault,
    reported: Instant,
    /// How long the report is valid without another one. `None` means until [`Faults::worked`].
    valid: Option<Duration>,
}

impl Report {
    fn is_valid(&self) -> bool {
        self.valid.is_none_or(|valid| self.reported.elapsed() < valid)
    }
}

impl Faults {
    /// Reports a failure. It is valid until [`Self::worked`] is called with the same part.
    pub fn failed(&self, part: &'static str, error: impl Into<String>, cause: impl Into<String>) {
        self.report(part, None, error.into(), cause.into());
    }

    /// Reports a failure of a part that may not come back to report a success, such as a request.
    pub fn failed_for(&self, valid: Duration, part: &'static str, error: impl Into<String>, cause: impl Into<String>) {
        self.report(part, Some(valid), error.into(), cause.into());
    }

    fn report(&self, part: &'static str, valid: Option<Duration>, error: String, cause: String) {
        let mut reports = self.lock();
        let earlier = reports.get(part).filter(|report| report.is_valid()).map(|report| report.fault.since);
        let fault = Fault { since: earlier.unwrap_or_else(Timestamp::now), error, cause };
        reports.insert(part, Report { fault, reported: Instant::now(), valid });
    }

    /// Reports a success, which ends the fault that this part reported.
    pub fn worked(&self, part: &'static str) {
        self.lock().remove(part);
    }

    /// The current fault: the latest error, and since when at least one part fails. `None` if nothing is wrong.
    pub fn current(&self) -> Option<Fault> {
        let mut reports = self.lock();
        reports.retain(|_, report| report.is_valid());
        let since = reports.values().map(|report| report.fault.since).min()?;
        let latest = reports.values().max_by_key(|report| report.reported)?;
        Some(Fault { since, ..latest.fault.clone() })
    }

    /// Poisoning is harmless: no statement leaves the map half-updated.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Report>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fault_lasts_from_the_first_failure_until_every_part_works() {
        let faults = Faults::default();
        assert_eq!(faults.current(), None);
        faults.failed("relay", "Full.", "first");
        let first = faults.current().unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        faults.failed("reporter", "Full.", "second");
        faults.failed("reporter", "Still full.", "third");
        let later = faults.current().unwrap();
        assert_eq!((later.since, later.error.as_str(), later.cause.as_str()), (first.since, "Still full.", "third"));
        faults.worked("relay");
        assert!(faults.current().is_some(), "the other part still fails");
        faults.worked("reporter");
        assert_eq!(faults.current(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_for_a_limited_time_is_forgotten() {
        let faults = Faults::default();
        faults.failed_for(Duration::from_secs(10), "requests", "Full.", "");
        tokio::time::advance(Duration::from_secs(9)).await;
        let first = faults.current().unwrap();
        faults.failed_for(Duration::from_secs(10), "requests", "Full.", "");
        assert_eq!(faults.current().unwrap().since, first.since);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(faults.current(), None);
    }
}
