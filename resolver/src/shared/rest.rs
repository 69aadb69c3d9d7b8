//! When a registry is left alone. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Failure;

/// How many failures in a row are taken for chance.
const PATIENCE: u32 = 3;
/// The first rest.
const FIRST: Duration = Duration::from_secs(5);
/// The longest, where the registry asks for none.
const LONGEST: Duration = Duration::from_secs(60);

/// How a registry has been lately.
#[derive(Debug, Default)]
pub(super) struct Rest {
    failures: u32,
    /// When the last of them was told.
    failed_at: Option<Instant>,
    until: Option<(Instant, Failure)>,
}

/// Whether a failure is the registry's, whoever asks and for what. Not so a certificate that isn't trusted: each may
/// trust authorities of their own.
pub(super) fn is_of_all(failure: &Failure) -> bool {
    match failure {
        Failure::NameNotResolved { .. } | Failure::ConnectionFailed { .. } => true,
        Failure::RegistryError { status, .. } => *status >= 500,
        _ => false,
    }
}

/// Whether a failure meets all that is asked with the same logins: a limit is an account's, and so may be a time that
/// is spent on trying logins.
pub(super) fn is_of_account(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::RateLimited { .. } | Failure::Timeout { .. }
    )
}

impl Rest {
    /// Takes note of how a question ended. A limit is believed at once; other failures have to come several
    /// times in a row: those that were asked before the last one ended are the same, told several times. Each
    /// further one makes the rest twice as long.
    pub(super) fn learn(&mut self, failure: Option<&Failure>, began: Instant, now: Instant) {
        let Some(failure) = failure else {
            *self = Self::default();
            return;
        };
        if self.failed_at.is_some_and(|failed_at| began < failed_at) {
            return;
        }
        self.failed_at = Some(now);
        self.failures += 1;
        let patience = match failure {
            Failure::RateLimited { .. } => 1,
            _ => PATIENCE,
        };
        let Some(beyond) = self.failures.checked_sub(patience) else {
            return;
        };
        let doubled = FIRST.saturating_mul(1u32.checked_shl(beyond).unwrap_or(u32::MAX));
        let asked_for = failure.retry_after().unwrap_or_default();
        let rest = doubled.min(LONGEST).max(asked_for);
        self.until = Some((now + rest, failure.clone()));
    }

    /// Why the registry is to be left alone now, and for how long yet.
    pub(super) fn left(&self, now: Instant) -> Option<(Failure, Duration)> {
        let (until, failure) = self.until.as_ref()?;
        let left = until.checked_duration_since(now)?;
        (!left.is_zero()).then(|| (failure.clone(), left))
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
    fn a_registry_that_is_down_is_left_alone_after_three_failures_and_ever_longer() {
        let start = Instant::now();
        let mut rest = Rest::default();
        let mut lasts = Vec::new();
        for _ in 0..8 {
            rest.learn(Some(&refused()), start, start);
            lasts.push(rest.left(start).map(|(_, left)| left.as_secs()));
        }
        let tired = [5, 10, 20, 40, 60, 60].map(Some);
        assert_eq!(lasts[..2], [None, None]);
        assert_eq!(lasts[2..], tired);
        rest.learn(None, start, start);
        assert_eq!(rest.left(start), None);
    }

    #[test]
    fn a_limit_is_kept_as_long_as_the_registry_asks_and_says_what_is_left_of_it() {
        let start = Instant::now();
        let seconds = Duration::from_secs;
        let limited = Failure::RateLimited {
            by: "https://registry.example.com".into(),
            retry_after: Some(seconds(300)),
            said: "slow down".into(),
        };
        let mut rest = Rest::default();
        rest.learn(Some(&limited), start, start);
        assert_eq!(
            rest.left(start + seconds(100)),
            Some((limited, seconds(200)))
        );
        assert_eq!(rest.left(start + seconds(300)), None);
    }

    #[test]
    fn what_was_asked_before_a_failure_was_told_fails_no_second_time() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut rest = Rest::default();
        for _ in 0..8 {
            rest.learn(Some(&refused()), start, start + second);
        }
        assert_eq!(rest.left(start + second), None);
        for again in [2, 3] {
            rest.learn(
                Some(&refused()),
                start + again * second,
                start + again * second,
            );
        }
        assert!(rest.left(start + 3 * second).is_some());
    }
}
