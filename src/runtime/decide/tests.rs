use serde_json::json;

use super::*;
use crate::runtime::error::{Request, Verb};

const SECOND: Duration = Duration::from_secs(1);

fn observed() -> Observed {
    Observed {
        uid: Some("uid".into()),
        ownership: Ownership::Ours,
        is_terminating: false,
        applied_hash: Some("new".into()),
        compared_hash: Some("new".into()),
        hash_writer: None,
        drift: vec![],
        admission: vec![],
        prerequisites: vec![],
    }
}

fn drift(manager: &str) -> Drift {
    Drift {
        path: FieldPath::fields(["spec", "replicas"]),
        found: Some(json!(1)),
        wanted: json!(2),
        manager: Some(manager.into()),
    }
}

fn with(change: impl FnOnce(&mut Observed)) -> Option<Observed> {
    let mut observed = observed();
    change(&mut observed);
    Some(observed)
}

fn error() -> ApiError {
    ApiError::Failed {
        request: Request::about(Verb::Apply, "Service", "demo", "rng"),
        message: "etcd has no leader".into(),
    }
}

/// A memory in which this hash was applied once.
fn applied(hash: &str, now: Instant) -> Memory {
    let mut memory = Memory::default();
    memory.written(Some(hash.into()), now, 1.0);
    memory
}

#[test]
fn an_object_and_a_memory_become_one_action() {
    let now = Instant::now();
    let nothing = Memory::default;
    let admission = with(|it| it.admission = vec![drift("admission")]);
    let changed = with(|it| it.drift = vec![drift("hpa")]);
    let outdated = with(|it| it.applied_hash = Some("old".into()));
    let undone = with(|it| {
        it.applied_hash = Some("old".into());
        it.hash_writer = Some("kubectl-rollout".into());
        it.drift = vec![drift("kubectl-rollout")];
    });
    let unhashed = with(|it| {
        it.applied_hash = None;
        it.drift = vec![drift("kubectl-edit")];
    });
    let other_operator = Drift {
        path: FieldPath::fields(["metadata", "annotations", APPLIED_HASH]),
        found: Some(json!("old")),
        wanted: json!("new"),
        manager: Some(OTHER_OPERATOR.into()),
    };
    let heal = |manager: &str| Action::Write(Cause::Heal(vec![drift(manager)]));
    let of = |ownership: Ownership| with(|it| it.ownership = ownership);
    let terminating = |ownership: Ownership| {
        with(|it| {
            it.ownership = ownership;
            it.is_terminating = true;
        })
    };
    let rows = [
        ("absent", None, nothing(), Action::Write(Cause::Create)),
        (
            "absent, but known from the status",
            None,
            Memory::of_known(),
            Action::Write(Cause::Recreate),
        ),
        (
            "absent, but applied before",
            None,
            applied("new", now),
            Action::Write(Cause::Recreate),
        ),
        ("as wanted", Some(observed()), nothing(), Action::Keep),
        (
            "changed by admission alone",
            admission,
            applied("new", now),
            Action::Keep,
        ),
        (
            "changed by another",
            changed,
            applied("new", now),
            heal("hpa"),
        ),
        (
            "of an older spec",
            outdated.clone(),
            nothing(),
            Action::Write(Cause::Update),
        ),
        (
            "of the spec that we applied before",
            outdated.clone(),
            applied("old", now),
            Action::Write(Cause::Update),
        ),
        (
            "of a hash that we did not apply",
            outdated,
            applied("new", now),
            Action::Write(Cause::Heal(vec![other_operator])),
        ),
        (
            "undone by kubectl rollout",
            undone,
            applied("new", now),
            heal("kubectl-rollout"),
        ),
        (
            "without a hash",
            unhashed,
            applied("new", now),
            heal("kubectl-edit"),
        ),
        (
            "ours and terminating",
            terminating(Ownership::Ours),
            nothing(),
            Action::AwaitDeletion,
        ),
        (
            "of a resource that is gone",
            of(Ownership::OwnerGone),
            nothing(),
            Action::AwaitDeletion,
        ),
        (
            "no one's and terminating",
            terminating(Ownership::Foreign(None)),
            nothing(),
            Action::AwaitDeletion,
        ),
        (
            "handed over and terminating",
            terminating(Ownership::HandedOver),
            nothing(),
            Action::AwaitDeletion,
        ),
        (
            "handed over",
            of(Ownership::HandedOver),
            nothing(),
            Action::Write(Cause::Adopt),
        ),
        (
            "no one's",
            of(Ownership::Foreign(None)),
            nothing(),
            Action::Leave(None),
        ),
        (
            "another's and terminating",
            terminating(Ownership::Foreign(Some("Helm x".into()))),
            nothing(),
            Action::Leave(Some("Helm x".into())),
        ),
    ];
    for (what, observed, memory, expected) in rows {
        assert_eq!(
            decide(observed.as_ref(), Some("new"), &memory, now),
            expected,
            "{what}"
        );
    }
}

#[test]
fn a_failed_write_of_any_cause_waits_and_another_hash_does_not() {
    let now = Instant::now();
    let mut memory = Memory::default();
    memory.failed(Some("new".into()), error(), now, 1.0);
    let outdated = with(|it| it.applied_hash = Some("old".into()));
    let changed = with(|it| it.drift = vec![drift("hpa")]);
    let handed_over = with(|it| it.ownership = Ownership::HandedOver);
    for observed in [None, outdated, changed, handed_over] {
        let decide = |hash, now| decide(observed.as_ref(), Some(hash), &memory, now);
        assert_eq!(decide("new", now), Action::BackOff(now + SECOND));
        assert!(matches!(decide("new", now + SECOND), Action::Write(_)));
        assert!(matches!(decide("newer", now), Action::Write(_)));
    }
}

#[test]
fn each_failure_of_one_hash_doubles_the_delay() {
    let now = Instant::now();
    let mut memory = Memory::default();
    let mut failed = |hash: &str, now| {
        memory.failed(Some(hash.into()), error(), now, 1.0);
        let (_, until) = memory.pending_failure(Some(hash), now).unwrap();
        until - now
    };
    let delays = [
        failed("a", now),
        failed("a", now),
        failed("a", now),
        failed("b", now),
    ];
    assert_eq!(delays, [SECOND, 2 * SECOND, 4 * SECOND, SECOND]);
    memory.written(Some("b".into()), now, 1.0);
    assert!(memory.pending_failure(Some("b"), now).is_none());
}

#[test]
fn every_cause_is_contended_after_repeated_writes_of_one_hash() {
    let now = Instant::now();
    let outdated = || with(|it| it.applied_hash = Some("old".into()));
    let causes = [
        None,
        outdated(),
        with(|it| it.drift = vec![drift("hpa")]),
        with(|it| it.ownership = Ownership::HandedOver),
    ];
    for observed in causes {
        let mut memory = Memory::default();
        for _ in 0..=PATIENCE {
            let action = decide(observed.as_ref(), Some("new"), &memory, now);
            assert!(matches!(action, Action::Write(_)), "{action:?}");
            memory.written(Some("new".into()), now, 1.0);
        }
        let decide = |hash, now| decide(observed.as_ref(), Some(hash), &memory, now);
        let contended = decide("new", now);
        assert!(
            matches!(contended, Action::Contend(until, _) if until == now + SECOND),
            "{contended:?}"
        );
        assert!(matches!(decide("newer", now), Action::Write(_)));
        assert!(matches!(decide("new", now + SECOND), Action::Write(_)));
    }
}

#[test]
fn a_fight_slows_down_and_ends_after_a_quiet_time() {
    let start = Instant::now();
    let mut memory = Memory::default();
    let mut written = |now: Instant| {
        memory.written(Some("new".into()), now, 1.0);
        memory
            .contended_until(Some("new"), now)
            .map(|until| until - now)
    };
    for _ in 0..PATIENCE {
        assert_eq!(written(start), None);
    }
    let delays = [1, 2, 3].map(|_| written(start));
    assert_eq!(delays, [Some(SECOND), Some(2 * SECOND), Some(4 * SECOND)]);
    assert_eq!(written(start + PEACE), None);
}
