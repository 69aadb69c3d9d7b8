//! When a controller looks at a resource again without an event.

use kube::runtime::controller::Action;
use tokio::time::Instant;

/// The times at which something is due: a retry, a refresh, a write that waits. The first of them counts.
#[derive(Debug, Default)]
pub struct Requeue {
    first: Option<Instant>,
}

impl Requeue {
    /// Something is due at this time.
    pub fn at(&mut self, due: Instant) {
        self.first = Some(self.first.map_or(due, |first| first.min(due)));
    }

    /// What the controller does after the reconcile.
    pub fn action(&self, now: Instant) -> Action {
        match self.first {
            Some(due) => Action::requeue(due.saturating_duration_since(now)),
            None => Action::await_change(),
        }
    }
}

impl Extend<Instant> for Requeue {
    fn extend<I: IntoIterator<Item = Instant>>(&mut self, due: I) {
        due.into_iter().for_each(|due| self.at(due));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_time_counts_and_without_one_only_events() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut requeue = Requeue::default();
        assert_eq!(requeue.action(now), Action::await_change());
        requeue.extend([now + 3 * second, now + second]);
        assert_eq!(requeue.action(now), Action::requeue(second));
        requeue.at(now - second);
        assert_eq!(requeue.action(now), Action::requeue(Duration::ZERO));
    }
}
