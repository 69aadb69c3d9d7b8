//! A token bucket. Pure: the caller passes the time.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket, kept as the time until it is full again, so that nothing is rounded.
#[derive(Debug)]
pub(super) struct TokenBucket {
    refill: Duration,
    size: Duration,
    owed: Duration,
    at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new(burst: u32, refill: Duration, now: Instant) -> TokenBucket {
        TokenBucket {
            refill,
            size: refill.saturating_mul(burst),
            owed: Duration::ZERO,
            at: now,
        }
    }

    /// Takes a token, or returns the time until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.owed = self
            .owed
            .saturating_sub(now.saturating_duration_since(self.at));
        self.at = self.at.max(now);
        let owed = self.owed.saturating_add(self.refill);
        match owed.checked_sub(self.size) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.owed = owed;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_at_once_then_one_per_refill() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut bucket = TokenBucket::new(3, second, start);
        let mut at = |after: Duration| bucket.take(start + after);
        assert_eq!([0, 0, 0].map(|_| at(Duration::ZERO)), [Ok(()); 3]);
        assert_eq!(at(Duration::ZERO), Err(second));
        assert_eq!(at(second / 4), Err(second * 3 / 4));
        assert_eq!(at(second), Ok(()));
        assert_eq!(at(second), Err(second));
        assert_eq!([0, 0, 0].map(|_| at(100 * second)), [Ok(()); 3]);
        assert_eq!(at(100 * second), Err(second));
        // An earlier time refills nothing.
        assert_eq!(at(50 * second), Err(second));
        assert_eq!(at(100 * second), Err(second));
    }
}
