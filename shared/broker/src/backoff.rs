//! How long to wait before the next try.

use std::time::Duration;

/// The first wait: a broker that restarts drops everybody at once, and is back soon for a closed socket.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait: longer, and a broker that came back waits for its clients; shorter, and a dead
/// address is hammered by every process.
pub(crate) const LONGEST: Duration = Duration::from_secs(5);

/// The wait after this many failures in a row: doubling, capped, and shortened by up to half at
/// random, so that processes that lost the same broker do not come back in step.
pub(crate) fn delay(failures: u32) -> Duration {
    let full = FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST);
    full.mul_f64(rand::random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_to_its_cap_and_no_further() {
        for failures in [0, 1, 5, 6, 31, 32, u32::MAX] {
            let full = [100, 200, 3200][..]
                .get(match failures {
                    0 => 0,
                    1 => 1,
                    5 => 2,
                    _ => 3,
                })
                .copied()
                .unwrap_or(5000);
            let wait = delay(failures);
            assert!(
                wait >= Duration::from_millis(full / 2) && wait <= Duration::from_millis(full),
                "{failures}: {wait:?}"
            );
        }
    }
}
