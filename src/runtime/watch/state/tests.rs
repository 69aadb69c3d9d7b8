use Need::{Optional, Required};

use super::*;

const QUIET: Effect = Effect {
    log: None,
    wakes: false,
};

fn target() -> Target {
    Target {
        kind: "Service",
        namespace: Some("demo".to_owned()),
    }
}

/// The API server's answer to a list or watch.
fn answered(verb: Verb, code: u16) -> WatchFailure {
    failed_with(verb, code, "as the API server says")
}

fn failed_with(verb: Verb, code: u16, message: &str) -> WatchFailure {
    let status = Box::new(Status::failure(message, "Reason").with_code(code));
    let error = match verb {
        Verb::List => watcher::Error::InitialListFailed(kube::Error::Api(status)),
        _ => watcher::Error::WatchError(status),
    };
    WatchFailure::new(&target(), error)
}

/// A state by its name, with the status code of its failure, the number of failures, and whether it was listed.
fn name(state: &WatchState) -> String {
    match state {
        WatchState::Listing => "Listing".to_owned(),
        WatchState::Synced => "Synced".to_owned(),
        WatchState::Failed {
            failure,
            times,
            is_listed,
        } => {
            let (name, verb) = match failure {
                WatchFailure::Forbidden { verb, .. } => ("Forbidden", verb.to_string()),
                WatchFailure::NotServed { .. } => ("NotServed", "any".to_owned()),
                WatchFailure::Failed { verb, .. } => ("Failing", verb.to_string()),
            };
            let code = failure.code().unwrap_or(0);
            format!("{name} {verb} {code} x{times} listed={is_listed}")
        }
    }
}

/// The state after these events, with the effect of the last one.
fn after(need: Need, events: &[WatchEvent]) -> (WatchState, Effect) {
    let start = (WatchState::Listing, QUIET);
    events
        .iter()
        .fold(start, |(state, _), event| state.next(event.clone(), need))
}

#[test]
fn each_event_leads_to_the_state_and_the_effect_of_the_table() {
    use WatchEvent::{Failed, Listed, Watching};
    let list = |code| Failed(answered(Verb::List, code));
    let watch = |code| Failed(answered(Verb::Watch, code));
    let logs = |log: Level| Effect {
        log: Some(log),
        wakes: false,
    };
    let wakes = |log: Level| Effect {
        log: Some(log),
        wakes: true,
    };
    let (debug, info, warn) = (Level::DEBUG, Level::INFO, Level::WARN);
    let rows = [
        // The usual course.
        (Required, vec![Listed], "Synced", QUIET),
        (Required, vec![Listed, Watching], "Synced", QUIET),
        (Required, vec![Listed, Watching, Listed], "Synced", QUIET),
        // A failure is logged once, and its retries at debug.
        (
            Required,
            vec![list(500)],
            "Failing list 500 x1 listed=false",
            logs(warn),
        ),
        (
            Required,
            vec![list(500), list(500)],
            "Failing list 500 x2 listed=false",
            logs(debug),
        ),
        (
            Required,
            vec![list(500), list(503)],
            "Failing list 503 x1 listed=false",
            logs(warn),
        ),
        (Required, vec![list(500), Listed], "Synced", logs(info)),
        // A list does not disprove the failure of a watch; only the watch does.
        (
            Required,
            vec![Listed, watch(500)],
            "Failing watch 500 x1 listed=true",
            logs(warn),
        ),
        (
            Required,
            vec![Listed, watch(500), Listed],
            "Failing watch 500 x1 listed=true",
            QUIET,
        ),
        (
            Required,
            vec![Listed, watch(500), Watching],
            "Synced",
            logs(info),
        ),
        // A watch that must list again, or a CRD that is new.
        (
            Required,
            vec![Listed, watch(410)],
            "Failing watch 410 x1 listed=true",
            logs(debug),
        ),
        (
            Required,
            vec![Listed, watch(410), Listed, Watching],
            "Synced",
            logs(debug),
        ),
        (
            Optional,
            vec![list(429)],
            "Failing list 429 x1 listed=false",
            logs(debug),
        ),
        // A missing permission wakes the resources, which report it; and so does the permission when it is there.
        (
            Required,
            vec![list(403)],
            "Forbidden list 403 x1 listed=false",
            wakes(warn),
        ),
        (
            Required,
            vec![list(403), list(403)],
            "Forbidden list 403 x2 listed=false",
            logs(debug),
        ),
        (Required, vec![list(403), Listed], "Synced", wakes(info)),
        (
            Required,
            vec![list(403), Listed, watch(403)],
            "Forbidden watch 403 x1 listed=true",
            wakes(warn),
        ),
        (
            Required,
            vec![Listed, watch(403), Watching],
            "Synced",
            wakes(info),
        ),
        (
            Required,
            vec![Listed, watch(403), Watching, watch(403)],
            "Forbidden watch 403 x1 listed=true",
            wakes(warn),
        ),
        (
            Required,
            vec![Listed, watch(403), list(403)],
            "Forbidden list 403 x1 listed=true",
            wakes(warn),
        ),
        // An optional kind that was refused stays in its state while it is tried again.
        (
            Optional,
            vec![list(403)],
            "Forbidden list 403 x1 listed=false",
            wakes(warn),
        ),
        (
            Optional,
            vec![Listed, watch(403), Listed, watch(403)],
            "Forbidden watch 403 x2 listed=true",
            logs(debug),
        ),
        (
            Optional,
            vec![list(404)],
            "NotServed any 404 x1 listed=false",
            wakes(info),
        ),
        (
            Required,
            vec![list(404)],
            "NotServed any 404 x1 listed=false",
            wakes(warn),
        ),
        (
            Optional,
            vec![list(404), list(404)],
            "NotServed any 404 x2 listed=false",
            logs(debug),
        ),
        (Optional, vec![list(404), Listed], "Synced", wakes(info)),
        (
            Optional,
            vec![list(404), list(403)],
            "Forbidden list 403 x1 listed=false",
            wakes(warn),
        ),
        // Without its list, only an optional kind keeps the resources from being served: they report it.
        (
            Optional,
            vec![list(500)],
            "Failing list 500 x1 listed=false",
            wakes(warn),
        ),
        (
            Optional,
            vec![Listed, watch(500)],
            "Failing watch 500 x1 listed=true",
            logs(warn),
        ),
    ];
    for (need, events, expected, effect) in rows {
        let (state, seen) = after(need, &events);
        assert_eq!(
            (name(&state).as_str(), seen),
            (expected, effect),
            "{need:?} {events:?}"
        );
    }
}

#[test]
fn a_message_that_varies_is_the_same_failure() {
    let [first, second] = ["at 10:00", "at 10:01"].map(|text| failed_with(Verb::List, 500, text));
    let events = [WatchEvent::Failed(first), WatchEvent::Failed(second)];
    let (_, effect) = after(Required, &events);
    assert_eq!(effect.log, Some(Level::DEBUG));
    let [first, second] = ["by a", "by b"].map(|text| failed_with(Verb::List, 403, text));
    let events = [WatchEvent::Failed(first), WatchEvent::Failed(second)];
    let (state, effect) = after(Required, &events);
    assert_eq!((effect.log, effect.wakes), (Some(Level::DEBUG), false));
    let Some(WatchFailure::Forbidden { message, .. }) = state.unavailable(Required) else {
        unreachable!("it is forbidden")
    };
    assert_eq!(message, "by a");
}

#[test]
fn a_failure_without_an_answer_has_no_status_code() {
    let failure = WatchFailure::new(&target(), watcher::Error::NoResourceVersion);
    assert_eq!((failure.code(), failure.is_refusal()), (None, false));
}

#[test]
fn pauses_after_forbidden_grow_and_other_pauses_are_the_longest() {
    let pauses = |code: u16| -> Vec<u64> {
        let mut state = WatchState::Listing;
        let mut next = || {
            let event = WatchEvent::Failed(answered(Verb::List, code));
            state = state.next(event, Optional).0;
            state.pause().as_secs()
        };
        (0..8).map(|_| next()).collect()
    };
    assert_eq!(pauses(403), [10, 20, 40, 80, 160, 320, 600, 600]);
    assert_eq!(pauses(404), [600; 8]);
}

#[test]
fn a_permission_that_was_granted_resets_the_pause() {
    let forbidden = || WatchEvent::Failed(answered(Verb::List, 403));
    let events = [forbidden(), forbidden(), WatchEvent::Listed, forbidden()];
    assert_eq!(after(Optional, &events).0.pause(), FIRST_PAUSE);
}
