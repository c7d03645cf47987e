//! Computes the rate and the remaining time from samples of progress.

use std::collections::VecDeque;
use std::time::Duration;

/// The number of samples. At one sample per second, the rate is that of the last 20 seconds.
const WINDOW: usize = 20;

/// The most recent samples of progress.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    samples: VecDeque<(Duration, u64)>,
}

impl Pace {
    /// Adds a sample: the time since a fixed start, and how much was done by then.
    pub(crate) fn add(&mut self, at: Duration, done: u64) {
        if self.samples.len() == WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back((at, done));
    }

    /// Whether there are samples of two times.
    pub(crate) fn is_measured(&self) -> bool {
        self.samples.len() > 1
    }

    /// Progress per second; `None` while there is no progress.
    pub(crate) fn rate(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.samples.front()?, self.samples.back()?);
        let seconds = to.checked_sub(*from)?.as_secs_f64();
        let moved = after.checked_sub(*before)?;
        #[expect(clippy::cast_precision_loss, reason = "a rate for users")]
        (seconds > 0.0 && moved > 0).then(|| moved as f64 / seconds)
    }

    /// The time until `total` is reached at this rate; `None` if there is no progress or `total` is already exceeded.
    pub(crate) fn eta(&self, total: u64) -> Option<Duration> {
        let left = total.checked_sub(self.samples.back()?.1)?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate for users")]
        Duration::try_from_secs_f64(left as f64 / self.rate()?).ok()
    }
}

/// A duration for users: "0.4 s", "12 s", "3 min 5 s", "2 h 10 min".
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(samples: &[(u64, u64)]) -> Pace {
        let mut pace = Pace::default();
        for (seconds, done) in samples {
            pace.add(Duration::from_secs(*seconds), *done);
        }
        pace
    }

    #[test]
    fn the_eta_is_what_is_left_at_the_rate_of_the_last_moments() {
        let pace = pace(&[(0, 0), (1, 100), (2, 200)]);
        assert_eq!(pace.rate(), Some(100.0));
        assert_eq!(pace.eta(500), Some(Duration::from_secs(3)));
        assert_eq!(pace.eta(200), Some(Duration::ZERO));
    }

    #[test]
    fn without_movement_or_beyond_the_total_there_is_no_eta() {
        assert_eq!(pace(&[]).eta(10), None);
        assert_eq!(pace(&[(0, 5)]).eta(10), None);
        assert_eq!(pace(&[(0, 5), (9, 5)]).eta(10), None);
        assert_eq!(pace(&[(0, 5), (1, 50)]).eta(10), None);
    }

    #[test]
    fn old_samples_are_forgotten() {
        let mut samples: Vec<(u64, u64)> = vec![(0, 0)];
        samples.extend((0..20).map(|second| (1_000 + second, 1_000 + 10 * second)));
        assert_eq!(pace(&samples).rate(), Some(10.0));
    }

    #[test]
    fn durations_read_naturally() {
        let say = |seconds| duration(Duration::from_secs_f64(seconds));
        assert_eq!([say(0.44), say(12.9), say(185.0), say(7_800.0)], ["0.4 s", "12 s", "3 min 5 s", "2 h 10 min"]);
    }
}
