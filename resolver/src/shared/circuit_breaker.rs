//! Pauses requests to a failing registry.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Failure;

/// The consecutive failures that open the circuit.
const FAILURES_TO_OPEN: u32 = 3;
/// The first pause.
const OPEN_MIN: Duration = Duration::from_secs(5);
/// The longest pause, unless `Retry-After` is longer.
const OPEN_MAX: Duration = Duration::from_secs(60);

/// A circuit breaker.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    failures: u32,
    /// The time of the last failure.
    failed_at: Option<Instant>,
    until: Option<(Instant, Failure)>,
}

/// Whether a failure concerns all requests to the registry. An untrusted certificate does not:
/// callers may trust different authorities.
pub(super) fn is_registry_failure(failure: &Failure) -> bool {
    match failure {
        Failure::NameNotResolved { .. } | Failure::ConnectionFailed { .. } => true,
        Failure::RegistryError { status, .. } => *status >= 500,
        _ => false,
    }
}

/// Whether a failure concerns all requests with the same credentials: a rate limit, or a timeout
/// over many attempts.
pub(super) fn is_account_failure(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::RateLimited { .. } | Failure::Timeout { .. }
    )
}

impl CircuitBreaker {
    /// Records a result. A rate limit opens the circuit at once, other failures after several in a
    /// row; concurrent ones count once. Each further failure doubles the pause.
    pub(super) fn record(&mut self, failure: Option<&Failure>, began: Instant, now: Instant) {
        let Some(failure) = failure else {
            *self = Self::default();
            return;
        };
        if self.failed_at.is_some_and(|failed_at| began < failed_at) {
            return;
        }
        self.failed_at = Some(now);
        self.failures += 1;
        let threshold = match failure {
            Failure::RateLimited { .. } => 1,
            _ => FAILURES_TO_OPEN,
        };
        let Some(beyond) = self.failures.checked_sub(threshold) else {
            return;
        };
        let doubled = OPEN_MIN.saturating_mul(1u32.checked_shl(beyond).unwrap_or(u32::MAX));
        let asked_for = failure.retry_after().unwrap_or_default();
        let pause = doubled.min(OPEN_MAX).max(asked_for);
        self.until = Some((now + pause, failure.clone()));
    }

    /// The failure that opened the circuit, and the remaining pause.
    pub(super) fn open_for(&self, now: Instant) -> Option<(Failure, Duration)> {
        let (until, failure) = self.until.as_ref()?;
        let open_for = until.checked_duration_since(now)?;
        (!open_for.is_zero()).then(|| (failure.clone(), open_for))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ConnectFailure;

    fn refused() -> Failure {
        Failure::ConnectionFailed {
            host: "registry.example.com:443".into(),
            cause: ConnectFailure::Broken("refused".into()),
        }
    }

    #[test]
    fn circuit_opens_after_three_failures_with_growing_pauses() {
        let start = Instant::now();
        let mut breaker = CircuitBreaker::default();
        let mut periods = Vec::new();
        for _ in 0..8 {
            breaker.record(Some(&refused()), start, start);
            periods.push(
                breaker
                    .open_for(start)
                    .map(|(_, open_for)| open_for.as_secs()),
            );
        }
        let expected = [5, 10, 20, 40, 60, 60].map(Some);
        assert_eq!(periods[..2], [None, None]);
        assert_eq!(periods[2..], expected);
        breaker.record(None, start, start);
        assert_eq!(breaker.open_for(start), None);
    }

    #[test]
    fn rate_limit_pauses_for_retry_after() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let limited = Failure::RateLimited {
            by: "https://registry.example.com".into(),
            retry_after: Some(seconds(300)),
            server_message: "slow down".into(),
        };
        let mut breaker = CircuitBreaker::default();
        breaker.record(Some(&limited), start, start);
        assert_eq!(
            breaker.open_for(start + seconds(100)),
            Some((limited, seconds(200)))
        );
        assert_eq!(breaker.open_for(start + seconds(300)), None);
    }

    #[test]
    fn concurrent_failures_count_once() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut breaker = CircuitBreaker::default();
        for _ in 0..8 {
            breaker.record(Some(&refused()), start, start + second);
        }
        assert_eq!(breaker.open_for(start + second), None);
        for again in [2, 3] {
            breaker.record(
                Some(&refused()),
                start + again * second,
                start + again * second,
            );
        }
        assert!(breaker.open_for(start + 3 * second).is_some());
    }
}
