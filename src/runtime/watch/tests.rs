use Need::{Optional, Required};
use futures::{FutureExt as _, StreamExt as _};
use kube::core::Status;
use kube::runtime::watcher::Error;

use super::*;

/// A list or watch that the API server answered with this status code.
fn failed(watch: &Watch, code: u16) {
    let status = Box::new(Status::failure("no", "Reason").with_code(code));
    let failure = WatchFailure::new(watch.target(), Error::WatchError(status));
    watch.observe(WatchEvent::Failed(failure));
}

fn watches(namespace: Option<&str>) -> Watches {
    Watches::new(namespace, |failure| format!("{failure:?}"))
}

/// The required kinds of a namespace, all of them synced, and an optional one.
fn synced(namespace: Option<&str>) -> (Watches, [Arc<Watch>; 3]) {
    let watches = watches(namespace);
    let kinds = [("DockerCoins", Required), ("Service", Required)];
    let [coins, services] = kinds.map(|(kind, need)| watches.add(kind, need));
    let routes = watches.add("HTTPRoute", Optional);
    coins.observe(WatchEvent::Listed);
    services.observe(WatchEvent::Listed);
    (watches, [coins, services, routes])
}

#[test]
fn required_kinds_decide_and_a_namespace_is_named() {
    let (watches, [coins, services, routes]) = synced(Some("demo"));
    assert_eq!(watches.readiness(), Readiness::Ready);
    failed(&routes, 403);
    assert_eq!(watches.readiness(), Readiness::Ready);

    failed(&services, 403);
    let forbidden = "the watch of Service in namespace demo fails: the log says why";
    assert_eq!(
        watches.readiness(),
        Readiness::Forbidden(forbidden.to_owned())
    );
    failed(&coins, 500);
    let both =
        format!("the watch of DockerCoins in namespace demo fails: the log says why, {forbidden}");
    assert_eq!(watches.readiness(), Readiness::NotReady(both));

    coins.observe(WatchEvent::Watching);
    services.observe(WatchEvent::Watching);
    assert_eq!(watches.readiness(), Readiness::Ready);
}

#[test]
fn a_kind_that_is_not_listed_is_not_ready() {
    let watches = watches(None);
    let starting = "the operator is starting".to_owned();
    assert_eq!(watches.readiness(), Readiness::NotReady(starting));
    assert!(!watches.are_listed());
    watches.add("Service", Required);
    let missing = "Service not listed yet".to_owned();
    assert_eq!(watches.readiness(), Readiness::NotReady(missing));
    assert!(!watches.are_listed());
    assert_eq!(watches.is_listed("Service").ok(), Some(false));
    assert_eq!(watches.is_listed("Deployment").ok(), Some(false));
}

#[test]
fn a_cache_is_unavailable_while_its_watch_is_refused() {
    let (watches, [_, services, routes]) = synced(None);
    assert_eq!(watches.is_listed("Service").ok(), Some(true));
    assert!(watches.failure().is_none());
    failed(&routes, 404);
    assert!(watches.is_listed("HTTPRoute").is_err());
    assert!(watches.failure().is_none());
    failed(&services, 403);
    assert!(watches.is_listed("Service").is_err());
    assert!(watches.failure().is_some());
    // What was listed is known, though it may have changed.
    assert!(watches.are_listed());
}

#[test]
fn a_refused_optional_kind_is_not_watched() {
    let (watches, [_, services, routes]) = synced(None);
    let all = [
        ("DockerCoins", true),
        ("Service", true),
        ("HTTPRoute", false),
    ];
    assert_eq!(watches.synced(), all);
    failed(&routes, 404);
    failed(&services, 403);
    assert_eq!(
        watches.synced(),
        [("DockerCoins", true), ("Service", false)]
    );
    routes.observe(WatchEvent::Listed);
    assert_eq!(watches.synced()[2], ("HTTPRoute", true));
}

#[test]
fn resources_are_woken_once_for_a_refusal_and_for_its_end() {
    let (_, [_, services, _]) = synced(None);
    let mut changes = Arc::clone(&services).changes().boxed();
    let mut is_woken = move || changes.next().now_or_never().is_some();
    assert!(!is_woken());
    failed(&services, 403);
    failed(&services, 403);
    assert_eq!([is_woken(), is_woken()], [true, false]);
    services.observe(WatchEvent::Watching);
    assert_eq!([is_woken(), is_woken()], [true, false]);
    failed(&services, 500);
    assert!(!is_woken());
}

#[tokio::test]
async fn many_requests_end_one_pause_and_the_next_one_is_whole() {
    let requested = Notify::new();
    for _ in 0..1000 {
        requested.notify_one();
    }
    let forever = Duration::from_secs(3600);
    pause(&requested, Duration::ZERO, forever).await;
    let again = pause(&requested, Duration::ZERO, forever);
    let again = tokio::time::timeout(Duration::from_millis(20), again).await;
    assert!(again.is_err(), "no one requests it any more");
    pause(&requested, Duration::ZERO, Duration::from_millis(1)).await;
}
