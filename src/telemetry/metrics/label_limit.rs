//! Limits the cardinality of a label whose values users choose: values beyond the limit become `other`.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::runtime::sync::lock;

/// The label of values beyond the limit.
const OTHER: &str = "other";

/// The values of one label.
pub(super) struct LabelLimit {
    max: usize,
    known: Mutex<BTreeSet<String>>,
}

impl LabelLimit {
    /// No values yet, `max` at most.
    pub(super) fn new(max: usize) -> LabelLimit {
        LabelLimit {
            max,
            known: Mutex::default(),
        }
    }

    /// The label for a value: the value itself, or `other`.
    pub(super) fn label(&self, value: &str) -> String {
        let mut known = lock(&self.known);
        if !known.contains(value) {
            if known.len() >= self.max {
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
    fn values_beyond_the_limit_are_other() {
        let hosts = LabelLimit::new(2);
        let names = ["a", "b", "a", "c", "b", "d"].map(|host| hosts.label(host));
        assert_eq!(names, ["a", "b", "a", "other", "b", "other"]);
    }
}
