//! Which kinds can't be seen for want of a permission: what was seen of them is no longer what is there.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::dockercoins::error::Error;

/// The kinds that can't be seen.
#[derive(Default)]
pub struct Blind(Mutex<BTreeMap<&'static str, Error>>);

impl Blind {
    /// Notes that a kind may not be listed or watched.
    pub fn note(&self, kind: &'static str, fault: Error) {
        self.kinds().insert(kind, fault);
    }

    /// Notes that a kind is seen again.
    pub fn clear(&self, kind: &str) {
        self.kinds().remove(kind);
    }

    /// Why a kind can't be seen.
    pub fn why(&self) -> Option<Error> {
        self.kinds().values().next().cloned()
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<&'static str, Error>> {
        self.0.lock().expect("no panic while held")
    }
}
