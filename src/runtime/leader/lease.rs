//! The rules of the election, as client-go has them, so that any client-go candidate can share the Lease. Pure.
//!
//! Another replica's Lease has expired once it was *observed* unchanged for its lease duration: the times in the Lease
//! are by the holder's clock, and only for people. Writes carry the observed resource version, so that one of two
//! candidates wins. A deleted Lease still counts as held until it would have expired: its holder may not know yet.
//!
//! Times here are durations since this candidate started.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

/// The lease duration of a released Lease, in seconds: the API's minimum.
const RELEASED_SECONDS: i32 = 1;

/// The lease duration and the times derived from it, in client-go's proportions: 15 s, 10 s and 2 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimings {
    seconds: u16,
}

impl LeaseTimings {
    /// The timings for a lease duration in seconds.
    pub fn from_lease_seconds(seconds: u16) -> Self {
        Self { seconds }
    }

    /// How long candidates wait after the last renewal they observed before they take the Lease.
    pub fn lease_duration(self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// How long after the start of a renewal the leader may write: two thirds of the lease duration. The rest is for
    /// requests on their way.
    pub fn renew_deadline(self) -> Duration {
        self.lease_duration() * 2 / 3
    }

    /// The time between the starts of two attempts.
    pub fn retry_period(self) -> Duration {
        self.lease_duration() * 2 / 15
    }

    /// The timeout of one request: three fit between a renewal and the renew deadline.
    pub fn request_timeout(self) -> Duration {
        self.lease_duration() / 6
    }
}

/// What the candidate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the Lease.
    Get,
    /// Write [`ObservedLease::acquired`].
    AcquireOrRenew,
    /// Do nothing until this time, unless the Lease changes.
    Wait(Duration),
}

/// Who holds the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// The Lease does not exist.
    NoLease,
    /// The Lease exists and is released.
    None,
    /// This replica.
    This,
    /// Another replica, by its identity.
    Other(&'a str),
}

/// The Lease as this candidate last observed it.
#[derive(Clone, Debug)]
pub struct ObservedLease {
    name: String,
    identity: String,
    timings: LeaseTimings,
    lease: Option<Lease>,
    /// False after a conflict, until the Lease is read again.
    is_current: bool,
    /// When the spec was last observed to change.
    since: Duration,
    /// Until when a deleted Lease counts as held.
    held_until: Duration,
    /// The earliest time of the next attempt.
    not_before: Duration,
}

impl ObservedLease {
    /// Nothing observed yet. `identity` is unique to this candidate.
    pub fn new(name: String, identity: String, timings: LeaseTimings) -> Self {
        Self {
            name,
            identity,
            timings,
            lease: None,
            is_current: false,
            since: Duration::ZERO,
            held_until: Duration::ZERO,
            not_before: Duration::ZERO,
        }
    }

    /// This candidate's holder identity.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Records the Lease from a watch, a read or the response to a write. Older versions are ignored.
    pub fn observe(&mut self, lease: Option<Lease>, now: Duration) {
        let version = |lease: &Option<Lease>| -> Option<u64> {
            lease
                .as_ref()?
                .metadata
                .resource_version
                .as_ref()?
                .parse()
                .ok()
        };
        if let (Some(new), Some(known)) = (version(&lease), version(&self.lease))
            && new < known
        {
            return;
        }
        if lease.is_none()
            && let Holder::Other(_) = self.holder()
        {
            self.held_until = self.expires_at();
        }
        let says = |lease: &Option<Lease>| lease.as_ref().map(|lease| lease.spec.clone());
        if says(&lease) != says(&self.lease) {
            self.since = now;
        }
        self.lease = lease;
        self.is_current = true;
    }

    /// Records an attempt that began then: the next one waits for the retry period.
    pub fn record_attempt(&mut self, began: Duration) {
        self.not_before = began + self.timings.retry_period();
    }

    /// Records a conflict: the Lease must be read again.
    pub fn mark_outdated(&mut self) {
        self.is_current = false;
    }

    /// The next action.
    pub fn next_action(&self, now: Duration) -> Action {
        let (act, due) = match self.holder() {
            _ if !self.is_current => (Action::Get, Duration::ZERO),
            Holder::None | Holder::This => (Action::AcquireOrRenew, Duration::ZERO),
            Holder::NoLease => (Action::AcquireOrRenew, self.held_until),
            Holder::Other(_) => (Action::AcquireOrRenew, self.expires_at()),
        };
        let due = due.max(self.not_before);
        if now < due { Action::Wait(due) } else { act }
    }

    /// The holder when last observed.
    pub fn holder(&self) -> Holder<'_> {
        let Some(lease) = &self.lease else {
            return Holder::NoLease;
        };
        let spec = lease.spec.as_ref();
        match spec.and_then(|spec| spec.holder_identity.as_deref()) {
            None | Some("") => Holder::None,
            Some(holder) if holder == self.identity => Holder::This,
            Some(holder) => Holder::Other(holder),
        }
    }

    /// When another replica's Lease expires: its own lease duration after its last change.
    fn expires_at(&self) -> Duration {
        let spec = self.lease.as_ref().and_then(|lease| lease.spec.as_ref());
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let lasts = match seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
            None | Some(0) => self.timings.lease_duration(),
            Some(seconds) => Duration::from_secs(seconds),
        };
        self.since + lasts
    }

    /// The Lease to write for acquiring or renewing it. `time` is informational.
    pub fn acquired(&self, time: Timestamp) -> Lease {
        let is_renewal = self.holder() == Holder::This;
        self.changed(|spec| {
            if !is_renewal {
                spec.lease_transitions = Some(match self.lease {
                    Some(_) => spec.lease_transitions.unwrap_or(0).saturating_add(1),
                    None => 0,
                });
                spec.acquire_time = Some(MicroTime(time));
            }
            spec.holder_identity = Some(self.identity.clone());
            spec.lease_duration_seconds = Some(self.timings.seconds.into());
            spec.renew_time = Some(MicroTime(time));
        })
    }

    /// The Lease to write for releasing it.
    pub fn released(&self, time: Timestamp) -> Lease {
        self.changed(|spec| {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(RELEASED_SECONDS);
            spec.acquire_time = Some(MicroTime(time));
            spec.renew_time = Some(MicroTime(time));
        })
    }

    /// The observed Lease with its spec changed, so that labels survive.
    fn changed(&self, change: impl FnOnce(&mut LeaseSpec)) -> Lease {
        let mut lease = self.lease.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        // The API server keeps managed fields by itself.
        lease.metadata.managed_fields = None;
        change(lease.spec.get_or_insert_default());
        lease
    }
}

#[cfg(test)]
mod tests;
