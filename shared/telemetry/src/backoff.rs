//! The wait between repeated failures.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// After this many failures in a row, every policy here has reached its longest wait. The cap keeps a job with a
/// million failures from a million doublings.
const MOST_DOUBLINGS: u32 = 32;

/// Waits that double up to a limit. Half of each wait is random, so that processes or jobs that failed together do
/// not retry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after a failure that follows `failures` others in a row: between half of the full wait and all of it.
    pub fn wait(&self, failures: u32) -> Duration {
        let waits = ExponentialBuilder::new()
            .with_min_delay(self.first / 2)
            .with_max_delay(self.longest / 2)
            .without_max_times()
            .with_jitter();
        let nth = failures.min(MOST_DOUBLINGS) as usize;
        waits.build().nth(nth).unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_half_of_it_is_random() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) };
        for (failures, full) in
            [(0, 100), (1, 200), (5, 3_200), (6, 5_000), (31, 5_000), (32, 5_000), (u32::MAX, 5_000)]
        {
            let wait = backoff.wait(failures);
            assert!(
                wait >= Duration::from_millis(full / 2) && wait <= Duration::from_millis(full),
                "{failures}: {wait:?}"
            );
        }
        let waits: std::collections::BTreeSet<_> = (0..32).map(|_| backoff.wait(3)).collect();
        assert!(waits.len() > 1, "the wait is never random");
    }
}
