//! Labels that others choose, of which no more than so many are told apart: each value of a label is a series that
//! is kept for good, here and by whoever scrapes. Those that come first count, and the rest is `other`.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// What stands for all that are too many.
const OTHER: &str = "other";

/// The values of one label.
pub(super) struct Bounded {
    most: usize,
    known: Mutex<BTreeSet<String>>,
}

impl Bounded {
    /// None yet, and no more than so many.
    pub(super) fn new(most: usize) -> Bounded {
        Bounded {
            most,
            known: Mutex::default(),
        }
    }

    /// The label of a value: itself, or `other`.
    pub(super) fn name(&self, value: &str) -> String {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(value) {
            if known.len() >= self.most {
                return OTHER.to_owned();
            }
            known.insert(value.to_owned());
        }
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_told_apart_and_what_is_too_many_is_other() {
        let hosts = Bounded::new(2);
        let names = ["a", "b", "a", "c", "b", "d"].map(|host| hosts.name(host));
        assert_eq!(names, ["a", "b", "a", "other", "b", "other"]);
    }
}
