//! The kinds that few resources ask for, and that the API server may not let us see: its administrator may have granted
//! no right to them, or the cluster doesn't know them.
//!
//! Nothing waits for these kinds but the resources that ask for one. Where one is refused it is left alone, and tried
//! again when a resource asks for it, and from time to time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use crate::dockercoins::error::Error;

/// How long a kind that was refused is left alone at least.
const RETRY: Duration = Duration::from_secs(10);

/// How long it is left alone where no one asks for it: something may be there that is to be deleted.
const IDLE: Duration = Duration::from_secs(600);

/// What is known of these kinds.
#[derive(Default)]
pub struct Optional(Mutex<BTreeMap<String, Kind>>);

#[derive(Default)]
struct Kind {
    fault: Option<Error>,
    asked: Arc<Notify>,
}

/// Whether a kind can be seen.
#[derive(Debug)]
pub enum Sight {
    /// What is there is known.
    Seen,
    /// It is being listed.
    Unlisted,
    /// It can't be, and why not.
    Unseen(Error),
}

impl Optional {
    fn kinds(&self) -> MutexGuard<'_, BTreeMap<String, Kind>> {
        self.0.lock().expect("no panic while held")
    }

    /// Notes why a kind can't be seen.
    pub fn note(&self, kind: &str, fault: Error) {
        self.kinds().entry(kind.to_owned()).or_default().fault = Some(fault);
    }

    /// Notes that a kind was listed.
    pub fn clear(&self, kind: &str) {
        if let Some(kind) = self.kinds().get_mut(kind) {
            kind.fault = None;
        }
    }

    /// Why a kind can't be seen, if it can't.
    pub fn why(&self, kind: &str) -> Option<Error> {
        self.kinds().get(kind)?.fault.clone()
    }

    /// Has a kind that was refused tried again: a resource asks for it.
    pub fn ask(&self, kind: &str) {
        let asked = Arc::clone(&self.kinds().entry(kind.to_owned()).or_default().asked);
        asked.notify_one();
    }

    /// Waits until it is worth another try, after a refusal.
    pub async fn until_asked(&self, kind: &str) {
        let asked = Arc::clone(&self.kinds().entry(kind.to_owned()).or_default().asked);
        wait(&asked, RETRY, IDLE).await;
    }
}

/// Leaves it alone, and then waits for someone who asks; one who asked meanwhile is heard at once.
async fn wait(asked: &Notify, retry: Duration, idle: Duration) {
    tokio::time::sleep(retry).await;
    let _ = tokio::time::timeout(idle, asked.notified()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn however_many_ask_meanwhile_a_refused_kind_is_tried_once_and_else_when_time_is_up() {
        let asked = Notify::new();
        for _ in 0..1000 {
            asked.notify_one();
        }
        let forever = Duration::from_secs(3600);
        wait(&asked, Duration::ZERO, forever).await;
        let again = wait(&asked, Duration::ZERO, forever);
        let again = tokio::time::timeout(Duration::from_millis(20), again).await;
        assert!(again.is_err(), "no one asks any more");
        wait(&asked, Duration::ZERO, Duration::from_millis(1)).await;
    }
}
