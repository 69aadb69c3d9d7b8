use super::*;

const ME: &str = "me";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn observed() -> ObservedLease {
    ObservedLease::new(
        "coins".into(),
        ME.into(),
        LeaseTimings::from_lease_seconds(15),
    )
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A lease as someone else may have written it.
fn lease(version: u64, holder: &str, renewed: i64) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some("coins".into()),
            resource_version: Some(version.to_string()),
            labels: Some([("team".into(), "a".into())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(15),
            acquire_time: Some(MicroTime(time(0))),
            renew_time: Some(MicroTime(time(renewed))),
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        }),
    }
}

#[test]
fn three_renewals_fit_before_the_renew_deadline() {
    for length in [5, 15, 60] {
        let timings = LeaseTimings::from_lease_seconds(length);
        assert!(timings.renew_deadline() < timings.lease_duration());
        // They begin at each retry, and the last one ends in time.
        assert!(timings.retry_period() + 3 * timings.request_timeout() <= timings.renew_deadline());
        assert!(timings.retry_period() <= timings.request_timeout());
    }
    let timings = LeaseTimings::from_lease_seconds(15);
    assert_eq!(
        (
            timings.renew_deadline(),
            timings.retry_period(),
            timings.request_timeout()
        ),
        (seconds(10), seconds(2), Duration::from_millis(2500))
    );
}

#[test]
fn the_lease_is_read_first() {
    assert_eq!(observed().next_action(seconds(0)), Action::Get);
}

#[test]
fn a_missing_lease_is_created_at_once() {
    let mut observed = observed();
    observed.observe(None, seconds(1));
    assert_eq!(observed.next_action(seconds(1)), Action::AcquireOrRenew);
    assert_eq!(
        observed.acquired(time(7)),
        Lease {
            metadata: ObjectMeta {
                name: Some("coins".into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(ME.into()),
                lease_duration_seconds: Some(15),
                acquire_time: Some(MicroTime(time(7))),
                renew_time: Some(MicroTime(time(7))),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    );
}

#[test]
fn another_lease_is_taken_only_after_its_lease_duration() {
    let mut observed = observed();
    observed.observe(Some(lease(1, "other", 0)), seconds(100));
    assert_eq!(
        observed.next_action(seconds(100)),
        Action::Wait(seconds(115))
    );
    observed.observe(Some(lease(2, "other", 2)), seconds(102));
    assert_eq!(
        observed.next_action(seconds(115)),
        Action::Wait(seconds(117))
    );
    assert_eq!(observed.next_action(seconds(117)), Action::AcquireOrRenew);
    let mut taken = lease(2, ME, 30);
    taken.spec.as_mut().unwrap().acquire_time = Some(MicroTime(time(30)));
    taken.spec.as_mut().unwrap().lease_transitions = Some(4);
    assert_eq!(observed.acquired(time(30)), taken);
}

#[test]
fn times_in_the_lease_are_ignored() {
    for hours in [-5, 5] {
        let mut observed = observed();
        observed.observe(Some(lease(1, "other", hours * 3600)), seconds(100));
        assert_eq!(
            observed.next_action(seconds(100)),
            Action::Wait(seconds(115)),
            "{hours}"
        );
    }
}

#[test]
fn an_annotation_or_an_old_event_is_no_renewal() {
    let mut observed = observed();
    observed.observe(Some(lease(5, "other", 0)), seconds(100));
    observed.observe(Some(lease(6, "other", 0)), seconds(110));
    assert_eq!(
        observed.next_action(seconds(110)),
        Action::Wait(seconds(115))
    );
    // And yet it is over the newest version that it is written.
    let version = |lease: Lease| lease.metadata.resource_version;
    assert_eq!(version(observed.acquired(time(0))), Some("6".into()));
    observed.observe(Some(lease(4, "older", -2)), seconds(111));
    assert_eq!(observed.holder(), Holder::Other("other"));
}

#[test]
fn another_lease_without_a_duration_lasts_as_long_as_ours() {
    for (says, lasts) in [(Some(60), 60), (Some(0), 15), (Some(-1), 15), (None, 15)] {
        let mut observed = observed();
        let mut lease = lease(1, "other", 0);
        lease.spec.as_mut().unwrap().lease_duration_seconds = says;
        observed.observe(Some(lease), seconds(100));
        let until = seconds(100 + lasts);
        assert_eq!(
            observed.next_action(seconds(100)),
            Action::Wait(until),
            "{says:?}"
        );
    }
}

#[test]
fn a_released_lease_is_acquired_at_once() {
    let mut of_nobody = lease(1, "", 0);
    of_nobody.spec = None;
    for free in [lease(1, "", 0), of_nobody] {
        let mut observed = observed();
        observed.observe(Some(free), seconds(100));
        assert_eq!(observed.next_action(seconds(100)), Action::AcquireOrRenew);
        assert_eq!(observed.holder(), Holder::None);
    }
}

#[test]
fn our_lease_is_renewed_every_retry_period() {
    let mut observed = observed();
    observed.observe(Some(lease(1, ME, 0)), seconds(100));
    observed.record_attempt(seconds(99));
    assert_eq!(
        observed.next_action(seconds(100)),
        Action::Wait(seconds(101))
    );
    assert_eq!(observed.next_action(seconds(101)), Action::AcquireOrRenew);
    assert_eq!(observed.acquired(time(2)), lease(1, ME, 2));
}

#[test]
fn a_release_keeps_transitions_and_foreign_fields() {
    let mut observed = observed();
    observed.observe(Some(lease(1, ME, 0)), seconds(100));
    let mut free = lease(1, "", 9);
    let spec = free.spec.as_mut().unwrap();
    spec.acquire_time = Some(MicroTime(time(9)));
    spec.lease_duration_seconds = Some(1);
    assert_eq!(observed.released(time(9)), free);
}

#[test]
fn a_deleted_lease_counts_as_held_until_it_expires() {
    let mut observed = observed();
    observed.observe(Some(lease(1, "other", 0)), seconds(100));
    observed.observe(None, seconds(101));
    assert_eq!(
        observed.next_action(seconds(101)),
        Action::Wait(seconds(115))
    );
    // A second look changes nothing.
    observed.observe(None, seconds(110));
    assert_eq!(observed.next_action(seconds(115)), Action::AcquireOrRenew);
    // Its holder writes it again at the next turn.
    observed.observe(Some(lease(7, ME, 0)), seconds(120));
    observed.record_attempt(seconds(120));
    observed.observe(None, seconds(121));
    assert_eq!(observed.next_action(seconds(122)), Action::AcquireOrRenew);
}

#[test]
fn a_conflict_is_followed_by_a_read_after_the_retry_period() {
    let mut observed = observed();
    observed.observe(Some(lease(1, "", 0)), seconds(100));
    observed.record_attempt(seconds(100));
    observed.mark_outdated();
    assert_eq!(
        observed.next_action(seconds(101)),
        Action::Wait(seconds(102))
    );
    assert_eq!(observed.next_action(seconds(102)), Action::Get);
    // Unless the watch was faster.
    observed.observe(Some(lease(2, "other", 0)), seconds(101));
    assert_eq!(
        observed.next_action(seconds(102)),
        Action::Wait(seconds(116))
    );
}
