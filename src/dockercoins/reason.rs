//! Every reason of a condition, in one table. Reasons are API: alerts and scripts rely on them. Pure.

/// What a reason means for a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is missing.
    Done,
    /// The operator retries, and may succeed without a person: `Reconciling`.
    Retried,
    /// A person must change something: `Stalled`.
    Stalled,
    /// The resource is suspended: neither.
    Suspended,
}

/// What makes the operator look at the resource again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A watch event comes when the cause is gone, so no timer is needed.
    Event,
    /// A timer, with backoff.
    Timer,
    /// A timer with a short longest delay, because the end of the cause sends no event.
    ShortTimer,
    /// The retry of the registries.
    Registry,
}

/// One reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its name, such as `InvalidSpec`.
    pub name: &'static str,
    /// What it means for a condition.
    pub progress: Progress,
    /// Whether an event is published when a condition begins to have this reason.
    pub has_event: bool,
    /// What makes the operator look at the resource again.
    pub wake: Wake,
}

const fn row(name: &'static str, progress: Progress, has_event: bool, wake: Wake) -> Reason {
    Reason {
        name,
        progress,
        has_event,
        wake,
    }
}

use Progress::{Done, Retried, Stalled, Suspended};
use Wake::{Event, Registry, ShortTimer, Timer};

/// The reasons by name. `docs/conditions.md` says what each means to a user.
pub const REASONS: [Reason; 38] = [
    row("APIServerError", Retried, true, Timer),
    row("APIServerTimeout", Retried, true, Timer),
    row("AddressNotAllowed", Stalled, true, Registry),
    row("AuthenticationFailed", Stalled, true, Registry),
    row("CertificateAuthorityInvalid", Stalled, true, Registry),
    row("CertificateNotTrusted", Stalled, true, Registry),
    row("ChangedByAdmission", Stalled, true, Event),
    row("ConnectionFailed", Retried, true, Registry),
    row("Contended", Stalled, true, Timer),
    row("CredentialProviderFailed", Retried, true, Registry),
    row("Deposed", Retried, false, Event),
    row("Forbidden", Stalled, true, ShortTimer),
    row("ForeignObject", Stalled, true, Event),
    row("InternalError", Stalled, true, Timer),
    row("InvalidAnswer", Retried, true, Registry),
    row("InvalidReference", Stalled, true, Registry),
    row("InvalidSpec", Stalled, true, Event),
    row("NameNotResolved", Retried, true, Registry),
    row("NamesHeld", Stalled, true, Event),
    row("NamespaceTerminating", Retried, false, Event),
    row("NotFoundOrNoAccess", Stalled, true, Registry),
    row("NotRequired", Done, false, Event),
    row("NotServed", Stalled, true, ShortTimer),
    row("Outdated", Retried, false, Timer),
    row("OutdatedCRD", Stalled, true, ShortTimer),
    row("ProgressDeadlineExceeded", Stalled, true, Event),
    row("RateLimited", Retried, true, Registry),
    row("Ready", Done, true, Event),
    row("RefreshFailed", Done, true, Registry),
    row("RegistryConfigInvalid", Stalled, true, Registry),
    row("RegistryError", Retried, true, Registry),
    row("Rejected", Stalled, true, Timer),
    row("Resolved", Done, false, Event),
    row("RolloutInProgress", Retried, false, Event),
    row("Suspended", Suspended, false, Event),
    row("Timeout", Retried, true, Registry),
    row("Unpinned", Done, true, Registry),
    row("WaitingForDeletion", Retried, false, Event),
];

impl Reason {
    /// The reason with this name; `None` for a name that this operator does not write.
    pub fn named(name: &str) -> Option<&'static Self> {
        REASONS.iter().find(|reason| reason.name == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_no_twins() {
        let names = REASONS.map(|reason| reason.name);
        assert!(names.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn the_page_has_exactly_the_reasons_that_a_condition_can_have() {
        let page = include_str!("../../docs/conditions.md");
        let (conditions, _) = page
            .split_once("\n## Events")
            .expect("events are the last section");
        let rows: Vec<Vec<&str>> = conditions
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|row| row.split('|').collect())
            .collect();
        let names = |cell: &'static str| cell.split('`').skip(1).step_by(2);
        let of_page: BTreeSet<(&str, bool)> = rows
            .iter()
            .flat_map(|row| names(row[1]).map(|name| (name, row[2].contains("Stalled"))))
            .collect();
        let of_table = REASONS
            .iter()
            // No condition says that another replica leads.
            .filter(|reason| reason.name != "Deposed")
            .map(|reason| (reason.name, reason.progress == Stalled));
        assert_eq!(of_page, of_table.collect());
    }
}
