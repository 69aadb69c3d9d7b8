//! Which kinds can't be seen for want of a permission: what was seen of them is no longer what is there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// How long a failure counts that doesn't come again: more than the time between two tries of a watch, with what a try
/// takes. A watch in which nothing happens doesn't tell that it was begun at last, but it no longer fails.
const COUNTS: Duration = Duration::from_secs(20);

/// The kinds that can't be seen.
#[derive(Default)]
pub struct Blind(Mutex<BTreeMap<String, (Error, Instant)>>);

impl Blind {
    /// Notes that a kind may not be listed or watched.
    pub fn note(&self, kind: &str, fault: Error, now: Instant) {
        let mut kinds = self.0.lock().expect("no panic while held");
        kinds.insert(kind.to_owned(), (fault, now));
    }

    /// Notes that a kind is seen again.
    pub fn clear(&self, kind: &str) {
        self.0.lock().expect("no panic while held").remove(kind);
    }

    /// Why a kind can't be seen.
    pub fn why(&self, now: Instant) -> Option<Error> {
        let mut kinds = self.0.lock().expect("no panic while held");
        kinds.retain(|_, (_, at)| now - *at < COUNTS);
        kinds.values().next().map(|(fault, _)| fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_not_seen_until_it_is_said_to_be_or_its_watch_stops_failing() {
        let blind = Blind::default();
        let start = Instant::now();
        let fault = || Error::Forbidden {
            what: "to watch Service".into(),
            message: "no".into(),
        };
        blind.note("Service", fault(), start);
        assert!(blind.why(start).is_some());
        blind.clear("Service");
        assert!(blind.why(start).is_none());
        blind.note("Service", fault(), start);
        assert!(blind.why(start + COUNTS / 2).is_some());
        assert!(blind.why(start + COUNTS).is_none());
    }
}
