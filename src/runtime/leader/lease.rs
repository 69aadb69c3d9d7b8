//! What a Lease says, and what a candidate does about it.
//!
//! The same rules as those of Kubernetes' own components, so that either side may be another tool. Whether another's
//! lease has run out is judged by how long it was *seen* unchanged, never by the times in it: those are by the
//! other's clock, and only for people. A change is written over the version that was seen, so that of two who find
//! it free one gets it.
//!
//! A lease that is deleted is not thereby free: its holder has not heard of it, and has what it had until it
//! would have run out. Times are those since the candidate began, by its own clock.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

/// What others wait for after a release, in seconds: the shortest that the API allows.
const RELEASED_SECONDS: i32 = 1;

/// How long a lease lasts, and what follows from it.
///
/// In proportion as in Kubernetes' own components: 15 s, 10 s and 2 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    seconds: u16,
}

impl Pace {
    /// The pace of a lease that lasts this many seconds.
    pub fn of_seconds(seconds: u16) -> Self {
        Self { seconds }
    }

    /// How long others wait, once they have seen it renewed, before they take it over.
    pub fn lease(self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }

    /// How long after the begin of a renewal its holder may write: two thirds of the lease. The rest is for what is
    /// on its way then.
    pub fn may_write(self) -> Duration {
        self.lease() * 2 / 3
    }

    /// From the begin of one attempt to the next.
    pub fn retry(self) -> Duration {
        self.lease() * 2 / 15
    }

    /// How long one attempt may take: three of them fit between a renewal
    /// and the moment until which its holder may write.
    pub fn attempt(self) -> Duration {
        self.lease() / 6
    }
}

/// What a candidate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Read the lease.
    Read,
    /// Write [`View::claim`]: take the lease, or renew it.
    Claim,
    /// Nothing until then, unless the lease changes.
    Wait(Duration),
}

/// Whose a lease is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// It isn't there.
    Unknown,
    /// It is there, and free.
    Nobody,
    /// The candidate's.
    Me,
    /// Someone else's.
    Other(&'a str),
}

/// The lease, as one candidate sees it.
#[derive(Clone, Debug)]
pub struct View {
    name: String,
    me: String,
    pace: Pace,
    lease: Option<Lease>,
    /// Whether `lease` is what the API server last told.
    is_current: bool,
    /// When it was seen to say something new.
    since: Duration,
    /// Until when the holder of a lease that was deleted has what it had.
    held_until: Duration,
    not_before: Duration,
}

impl View {
    /// Of the lease `name` nothing has been seen yet by `me`, which is a name that no one else has.
    pub fn new(name: String, me: String, pace: Pace) -> Self {
        Self {
            name,
            me,
            pace,
            lease: None,
            is_current: false,
            since: Duration::ZERO,
            held_until: Duration::ZERO,
            not_before: Duration::ZERO,
        }
    }

    /// The candidate's own name.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// Notes what was seen: by a watch, a read, or as the answer to a write. What is older than what is known
    /// already is no news.
    pub fn see(&mut self, lease: Option<Lease>, now: Duration) {
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
            self.held_until = self.runs_out();
        }
        let says = |lease: &Option<Lease>| lease.as_ref().map(|lease| lease.spec.clone());
        if says(&lease) != says(&self.lease) {
            self.since = now;
        }
        self.lease = lease;
        self.is_current = true;
    }

    /// Notes that something was tried, which began then: the next attempt keeps its distance.
    pub fn tried(&mut self, began: Duration) {
        self.not_before = began + self.pace.retry();
    }

    /// Notes that the lease is not as it was seen, by the API server's word.
    pub fn is_outdated(&mut self) {
        self.is_current = false;
    }

    /// What to do now.
    pub fn next(&self, now: Duration) -> Act {
        let (act, due) = match self.holder() {
            _ if !self.is_current => (Act::Read, Duration::ZERO),
            Holder::Nobody | Holder::Me => (Act::Claim, Duration::ZERO),
            Holder::Unknown => (Act::Claim, self.held_until),
            Holder::Other(_) => (Act::Claim, self.runs_out()),
        };
        let due = due.max(self.not_before);
        if now < due { Act::Wait(due) } else { act }
    }

    /// Whose it was when it was last seen.
    pub fn holder(&self) -> Holder<'_> {
        let Some(lease) = &self.lease else {
            return Holder::Unknown;
        };
        let spec = lease.spec.as_ref();
        match spec.and_then(|spec| spec.holder_identity.as_deref()) {
            None | Some("") => Holder::Nobody,
            Some(holder) if holder == self.me => Holder::Me,
            Some(holder) => Holder::Other(holder),
        }
    }

    /// When another's lease has run out: as long after its last change as it says itself.
    fn runs_out(&self) -> Duration {
        let spec = self.lease.as_ref().and_then(|lease| lease.spec.as_ref());
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let lasts = match seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
            None | Some(0) => self.pace.lease(),
            Some(seconds) => Duration::from_secs(seconds),
        };
        self.since + lasts
    }

    /// The lease, taken or renewed by the candidate. `time` is what people read.
    pub fn claim(&self, time: Timestamp) -> Lease {
        let is_renewal = self.holder() == Holder::Me;
        self.changed(|spec| {
            if !is_renewal {
                spec.lease_transitions = Some(match self.lease {
                    Some(_) => spec.lease_transitions.unwrap_or(0).saturating_add(1),
                    None => 0,
                });
                spec.acquire_time = Some(MicroTime(time));
            }
            spec.holder_identity = Some(self.me.clone());
            spec.lease_duration_seconds = Some(self.pace.seconds.into());
            spec.renew_time = Some(MicroTime(time));
        })
    }

    /// The lease, free for anyone.
    pub fn release(&self, time: Timestamp) -> Lease {
        self.changed(|spec| {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(RELEASED_SECONDS);
            spec.acquire_time = Some(MicroTime(time));
            spec.renew_time = Some(MicroTime(time));
        })
    }

    /// The lease with what else it has, such as labels.
    fn changed(&self, change: impl FnOnce(&mut LeaseSpec)) -> Lease {
        let mut lease = self.lease.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        // An update sends them back, and the API server keeps them by itself.
        lease.metadata.managed_fields = None;
        change(lease.spec.get_or_insert_default());
        lease
    }
}

#[cfg(test)]
mod tests;
