//! Backoff: when something that failed is tried again.

use std::time::Duration;

use tokio::time::Instant;

/// The delay after the first failure.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest delay.
pub const LAST_DELAY: Duration = Duration::from_secs(300);

/// Failures in a row, and until when the next try waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many tries in a row have failed.
    pub failures: u32,
    /// When the next try is due.
    pub until: Instant,
}

impl Retry {
    /// The retry after one more failure. `random` is from 0 to 1.
    pub fn after(previous: Option<Self>, now: Instant, random: f64) -> Self {
        Self::after_at_most(previous, LAST_DELAY, now, random)
    }

    /// The same with a shorter longest delay, for failures whose end sends no event.
    pub fn after_at_most(
        previous: Option<Self>,
        longest: Duration,
        now: Instant,
        random: f64,
    ) -> Self {
        let failures = previous.map_or(0, |previous| previous.failures) + 1;
        Self {
            failures,
            until: now + backoff(failures, random).min(longest),
        }
    }

    /// Whether the next try must still wait.
    pub fn is_pending(&self, now: Instant) -> bool {
        now < self.until
    }
}

/// The delay after this many failures in a row: doubled each time up to five minutes, of which the second half is
/// random, so that failures at the same time are not retried at the same time. `random` is from 0 to 1.
pub fn backoff(failures: u32, random: f64) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(
        1u32.checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    doubled.min(LAST_DELAY).mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_five_minutes() {
        let delays: Vec<u64> = [1, 2, 3, 8, 9, 10, 33, 1000]
            .map(|failures| backoff(failures, 1.0).as_secs())
            .into();
        assert_eq!(delays, [1, 2, 4, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn the_second_half_of_a_delay_is_random() {
        let delays = [0.0, 0.5, 1.0].map(|random| backoff(3, random).as_secs());
        assert_eq!(delays, [2, 3, 4]);
    }

    #[test]
    fn each_failure_doubles_the_delay_of_the_one_before() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let first = Retry::after(None, start, 1.0);
        let again = Retry::after(Some(first), first.until, 1.0);
        let (failures, until) = (2, start + 3 * second);
        assert_eq!(again, Retry { failures, until });
        assert!(again.is_pending(start + 2 * second) && !again.is_pending(until));
        let capped = Retry::after_at_most(Some(again), second, until, 1.0);
        assert_eq!(capped.until, until + second);
    }
}
