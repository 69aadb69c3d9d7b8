//! How many may come in how long. Time is given to it.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket: so many at once, and one more after each while.
///
/// It is kept as the time that what was taken has yet to be paid off, so that nothing needs rounding.
#[derive(Debug)]
pub(super) struct Bucket {
    refill: Duration,
    size: Duration,
    owed: Duration,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(burst: u32, refill: Duration, now: Instant) -> Bucket {
        Bucket {
            refill,
            size: refill.saturating_mul(burst),
            owed: Duration::ZERO,
            at: now,
        }
    }

    /// Takes one, or says after how long there is one.
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
    fn so_many_are_taken_at_once_and_then_one_after_each_while() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut bucket = Bucket::new(3, second, start);
        let mut at = |after: Duration| bucket.take(start + after);
        assert_eq!([0, 0, 0].map(|_| at(Duration::ZERO)), [Ok(()); 3]);
        assert_eq!(at(Duration::ZERO), Err(second));
        assert_eq!(at(second / 4), Err(second * 3 / 4));
        assert_eq!(at(second), Ok(()));
        assert_eq!(at(second), Err(second));
        assert_eq!([0, 0, 0].map(|_| at(100 * second)), [Ok(()); 3]);
        assert_eq!(at(100 * second), Err(second));
        // Threads that come out of order gain nothing.
        assert_eq!(at(50 * second), Err(second));
        assert_eq!(at(100 * second), Err(second));
    }
}
