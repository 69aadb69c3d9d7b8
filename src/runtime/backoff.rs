//! Exponential backoff with jitter.

use std::time::Duration;

/// The first pause after a failure.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest pause after failures.
pub const LAST_RETRY: Duration = Duration::from_secs(300);

/// The pause after this many failures in a row: it doubles each time, up to five minutes.
///
/// `chance` is from 0 to 1 and spreads the pause over its second half, so that those who failed together don't return
/// together.
pub fn backoff(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(
        1u32.checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    doubled.min(LAST_RETRY).mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let pauses: Vec<u64> = [1, 2, 3, 8, 9, 10, 33, 1000]
            .map(|n| backoff(n, 1.0).as_secs())
            .into();
        assert_eq!(pauses, [1, 2, 4, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn pauses_are_spread_over_their_second_half() {
        assert_eq!(backoff(3, 0.0), Duration::from_secs(2));
        assert_eq!(backoff(3, 0.5), Duration::from_secs(3));
    }
}
