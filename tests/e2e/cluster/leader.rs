//! Two replicas, of which only the leader writes.
//!
//! Each replica is a user of its own, so the audit log of the API server shows which replica sent a request. Every test
//! ends with the check that each write came from the holder of the Lease, within its term.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::coins::nine;
use crate::support::kubectl::kubeconfig;
use crate::support::namespace::{COINS, merged};
use crate::support::proxy::{Proxy, Relay, api_server};
use crate::support::server::{Answer, Server};
use crate::support::{Namespace, Operator, Registry, until};

/// The lease's name, by default.
const LEASE: &str = "dockercoins-operator";

/// How long a lease lasts by default. No leader loses it where the API server takes some seconds to answer.
const SECONDS: u16 = 15;

/// How long one lasts where a test waits for its end, and a leader may lose it meanwhile.
const SHORT_SECONDS: u16 = 5;

const SHORT: [&str; 2] = ["--lease-seconds", "5"];

/// A replica that may do all, with these options.
async fn replica(namespace: &Namespace, pod: &str, options: &[&str]) -> Operator {
    let kubeconfig = kubeconfig(Some(pod), &["system:masters"], None);
    let operator = Operator::start_replica(namespace, pod, kubeconfig.path(), options);
    // It has been read by then.
    operator.until_logged("started").await;
    operator
}

/// A replica whose way to the API server can be cut.
async fn replica_behind(namespace: &Namespace, pod: &str, proxy: &Proxy) -> Operator {
    let kubeconfig = kubeconfig(Some(pod), &["system:masters"], Some(&proxy.address));
    let operator = Operator::start_replica(namespace, pod, kubeconfig.path(), &[]);
    operator.until_logged("started").await;
    operator
}

/// Waits until a pod's replica has the lease, and gives it.
async fn until_holds(namespace: &Namespace, pod: &str) -> Lease {
    namespace
        .until(LEASE, &format!("{pod} holds the lease"), |lease: &Lease| {
            holder(lease).starts_with(&format!("{pod}_"))
        })
        .await
}

fn holder(lease: &Lease) -> &str {
    let spec = lease.spec.as_ref().unwrap();
    spec.holder_identity.as_deref().unwrap_or_default()
}

fn transitions(lease: &Lease) -> Option<i32> {
    lease.spec.as_ref().unwrap().lease_transitions
}

/// Two replicas, of which `a` leads, with a resource whose pods are ready.
async fn at_work(namespace: &Namespace, options: &[&str]) -> (Operator, Operator) {
    let images = namespace.push_images().await;
    let a = replica(namespace, "a", options).await;
    until_holds(namespace, "a").await;
    let b = replica(namespace, "b", options).await;
    b.until_logged("standby: another replica holds the Lease")
        .await;
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods_to_rest(COINS).await;
    (a, b)
}

/// Gives the operator something to do.
async fn change(namespace: &Namespace, value: &str) {
    let change = json!({ "rng": { "env": [{ "name": "A", "value": value }] } });
    namespace.edit(COINS, change).await;
}

/// Waits until it is done.
async fn until_changed(namespace: &Namespace, value: &str) {
    namespace
        .until(
            "rng",
            &format!("rng has {value}"),
            |rng: &k8s_openapi::api::apps::v1::Deployment| {
                serde_json::to_string(&rng.spec)
                    .unwrap()
                    .contains(&format!("\"value\":\"{value}\""))
            },
        )
        .await;
}

/// A write, or a renewal: whose, and when it was received and answered.
#[derive(Debug)]
struct Deed {
    by: String,
    is_lease: bool,
    what: String,
    received: Timestamp,
    answered: Timestamp,
}

/// What the replicas have written in a namespace and the API server has accepted, in its order.
fn deeds(namespace: &Namespace) -> Vec<Deed> {
    let time = |event: &Value, field: &str| -> Timestamp {
        event[field].as_str().unwrap().parse().unwrap()
    };
    let is_write = |event: &&Value| {
        let verb = event["verb"].as_str().unwrap();
        !["get", "list", "watch"].contains(&verb)
            && event["responseStatus"]["code"].as_u64().unwrap() < 300
    };
    let audited = namespace.audited();
    let deed = |event: &Value| {
        let resource = event["objectRef"]["resource"].as_str().unwrap();
        Deed {
            by: event["impersonatedUser"]["username"]
                .as_str()
                .unwrap()
                .to_owned(),
            is_lease: resource == "leases",
            what: format!(
                "{} {resource} {}",
                event["verb"].as_str().unwrap(),
                event["objectRef"]["name"].as_str().unwrap_or_default()
            ),
            received: time(event, "requestReceivedTimestamp"),
            answered: time(event, "stageTimestamp"),
        }
    };
    let mut deeds: Vec<Deed> = audited.iter().filter(is_write).map(deed).collect();
    deeds.sort_by_key(|deed| deed.received);
    deeds
}

/// Every write was made by whoever wrote the lease last, and no later after that than two thirds of it.
fn only_leaders_wrote(namespace: &Namespace, seconds: u16) {
    let deeds = deeds(namespace);
    assert!(deeds.iter().any(|deed| !deed.is_lease), "{deeds:#?}");
    let may_write = SignedDuration::from_secs(seconds.into()) * 2 / 3;
    for (index, deed) in deeds.iter().enumerate() {
        if deed.is_lease {
            continue;
        }
        let held = deeds[..index].iter().rfind(|deed| deed.is_lease);
        let held = held.unwrap_or_else(|| panic!("{deed:?} was made before there was a lease"));
        let Deed { what, by, .. } = deed;
        assert_eq!(
            by, &held.by,
            "{what} came after {held:?}, which gave the lease to the other"
        );
        assert!(
            deed.received.duration_since(held.answered) < may_write,
            "{what} at {} came too long after {held:?}",
            deed.received
        );
    }
}

/// How long after `since` someone's first write was received.
fn first_write_after(namespace: &Namespace, by: &str, since: SystemTime) -> Option<Duration> {
    let since = Timestamp::try_from(since).unwrap();
    let deeds = deeds(namespace);
    let first = deeds
        .iter()
        .find(|deed| deed.by == by && !deed.is_lease && deed.received >= since)?;
    Some(first.received.duration_since(since).unsigned_abs())
}

async fn until_written(namespace: &Namespace, by: &str, since: SystemTime) -> Duration {
    until(&format!("{by} has written"), async || {
        first_write_after(namespace, by, since).ok_or("it has not")
    })
    .await
}

/// How long after the last that `a` made of the lease `b` took it.
fn takeover(namespace: &Namespace) -> SignedDuration {
    let deeds = deeds(namespace);
    let of_lease = |by: &'static str| {
        deeds
            .iter()
            .filter(move |deed| deed.is_lease && deed.by == by)
    };
    let last = of_lease("a").next_back().unwrap();
    let first = of_lease("b").next().unwrap();
    first.received.duration_since(last.answered)
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn sigterm_releases_the_lease() {
    let namespace = Namespace::new("handover").await;
    let (mut a, b) = at_work(&namespace, &[]).await;
    let before = namespace.get::<Lease>(LEASE).await;
    let died = SystemTime::now();
    assert_eq!(a.terminate().await.code(), Some(0), "{}", a.log());
    // Not before, since then it would still be a's to do.
    change(&namespace, "after").await;
    let lease = until_holds(&namespace, "b").await;
    until_changed(&namespace, "after").await;
    let took = until_written(&namespace, "b", died).await;
    let acquired = |lease: &Lease| lease.spec.clone().unwrap().acquire_time.unwrap().0;
    let handed_over = acquired(&lease).duration_since(Timestamp::try_from(died).unwrap());
    println!("from SIGTERM to the other's lease: {handed_over:#}, to its first write: {took:?}");
    let taken = takeover(&namespace);
    assert!(
        taken < SignedDuration::from_secs(2),
        "{taken:#}\n{}",
        b.log()
    );
    // The count goes on, and it is b's since then.
    assert_eq!(
        transitions(&lease),
        transitions(&before).map(|count| count + 1)
    );
    assert!(handed_over.is_positive());
    assert!(acquired(&lease) > acquired(&before));
    only_leaders_wrote(&namespace, SECONDS);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn killed_leader_is_replaced_after_its_lease() {
    let namespace = Namespace::new("killed-leader").await;
    let (a, _b) = at_work(&namespace, &SHORT).await;
    let died = SystemTime::now();
    a.signal("KILL");
    change(&namespace, "after").await;
    until_changed(&namespace, "after").await;
    let took = until_written(&namespace, "b", died).await;
    println!(
        "from SIGKILL to the other's first write, with a lease of {SHORT_SECONDS} s: {took:?}"
    );
    // The other has seen the lease unchanged for its whole duration, and may see a renewal a moment before its answer is
    // logged. How much later it acts is the machine's affair.
    let taken = takeover(&namespace);
    assert!(
        taken >= SignedDuration::from_secs(SHORT_SECONDS.into()) - SignedDuration::from_secs(1),
        "{taken:#}"
    );
    only_leaders_wrote(&namespace, SHORT_SECONDS);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn paused_leader_writes_nothing_when_it_wakes() {
    let namespace = Namespace::new("paused").await;
    let busy = Namespace::new("paused-busy").await;
    // It is asked for digests, and is heard of no more: the leader is stopped in the middle of a reconcile.
    let silent =
        Server::start(|_| Answer::Endless(Vec::new(), Vec::new(), Duration::from_secs(3600))).await;
    let options = ["--namespace", &busy.name, "--registry-deadline", "3"];
    let (a, b) = at_work(&namespace, &options).await;
    busy.create_spec(COINS, Registry::at(&silent.address).images("team").spec())
        .await;
    until("the registry is asked", async || {
        (!silent.heard().is_empty()).then_some(()).ok_or("not yet")
    })
    .await;
    a.signal("STOP");
    change(&namespace, "by-b").await;
    until_holds(&namespace, "b").await;
    until_changed(&namespace, "by-b").await;
    // What a had begun is done by b.
    busy.until_told(COINS, "Ready", "False", "Timeout").await;

    let woke = Timestamp::now();
    a.signal("CONT");
    // It may see first that the time is over, or that another has it.
    a.until_logged("stopped leading: ").await;
    a.until_logged("standby: another replica holds the Lease")
        .await;
    // Something that a sees too, and would do if it led.
    change(&namespace, "again-by-b").await;
    until_changed(&namespace, "again-by-b").await;
    for namespace in [&namespace, &busy] {
        let late: Vec<Deed> = deeds(namespace)
            .into_iter()
            .filter(|deed| deed.by == "a" && deed.received >= woke)
            .collect();
        assert!(late.is_empty(), "{late:#?}");
    }
    only_leaders_wrote(&namespace, SECONDS);
    assert!(!b.log().contains("stopped leading"));
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn partitioned_leader_stops_before_its_successor_starts() {
    let namespace = Namespace::new("cut-off").await;
    let images = namespace.push_images().await;
    let proxy = Proxy::start(api_server()).await;
    let a = replica_behind(&namespace, "a", &proxy).await;
    until_holds(&namespace, "a").await;
    let b = replica(&namespace, "b", &[]).await;
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;

    proxy.cut();
    a.until_logged("stopped leading: the Lease was not renewed")
        .await;
    assert!(!b.log().contains("leading: this replica holds the Lease"));
    until_holds(&namespace, "b").await;
    change(&namespace, "by-b").await;
    until_changed(&namespace, "by-b").await;
    proxy.mend();
    a.until_logged("standby: another replica holds the Lease")
        .await;
    change(&namespace, "again-by-b").await;
    until_changed(&namespace, "again-by-b").await;
    only_leaders_wrote(&namespace, SECONDS);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn new_leader_does_not_act_on_a_stale_cache() {
    let namespace = Namespace::new("silent-watch").await;
    let images = namespace.push_images().await;
    let mut a = replica(&namespace, "a", &SHORT).await;
    until_holds(&namespace, "a").await;
    let account = kubeconfig(Some("b"), &["system:masters"], None);
    let relay = Relay::start(account.path()).await;
    let relayed = relay.kubeconfig();
    let b = Operator::start_replica(&namespace, "b", relayed.path(), &SHORT);
    b.until_logged("standby: another replica holds the Lease")
        .await;
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;

    relay.silence("dockercoins");
    change(&namespace, "new").await;
    until_changed(&namespace, "new").await;
    namespace.run_pods(COINS).await;
    a.signal("KILL");
    a.end().await;
    until_holds(&namespace, "b").await;
    b.until_logged("the watch has not brought the last write yet")
        .await;
    until_changed(&namespace, "new").await;
    let written = first_write_after(&namespace, "b", SystemTime::UNIX_EPOCH);
    assert_eq!(written, None);

    relay.speak();
    change(&namespace, "later").await;
    until_changed(&namespace, "later").await;
    only_leaders_wrote(&namespace, SHORT_SECONDS);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn api_server_outage_ends_with_one_leader() {
    let namespace = Namespace::new("away").await;
    let images = namespace.push_images().await;
    let proxy = Proxy::start(api_server()).await;
    let a = replica_behind(&namespace, "a", &proxy).await;
    until_holds(&namespace, "a").await;
    let b = replica_behind(&namespace, "b", &proxy).await;
    b.until_logged("standby: another replica holds the Lease")
        .await;
    namespace.create(COINS, &images, json!({})).await;
    namespace.run_pods(COINS).await;

    let cut = Instant::now();
    proxy.cut();
    a.until_logged("stopped leading: the Lease was not renewed")
        .await;
    // By now the lease has run out for everyone, and no one can take it.
    until("it has been away for two leases", async || {
        let away = cut.elapsed();
        (away > 2 * Duration::from_secs(SECONDS.into()))
            .then_some(())
            .ok_or(format!("{away:?}"))
    })
    .await;
    b.until_logged("did not answer").await;
    assert!(!b.log().contains("leading: this replica holds the Lease"));
    change(&namespace, "meanwhile").await;
    proxy.mend();
    until_changed(&namespace, "meanwhile").await;
    only_leaders_wrote(&namespace, SECONDS);
}

/// The lease as another tool has it, whose clock may go wrong.
fn of_another_tool(clock: SignedDuration) -> Value {
    let now = Timestamp::now() + clock;
    json!({
        "metadata": { "name": LEASE, "labels": { "tool": "theirs" } },
        "spec": {
            "holderIdentity": "another-tool",
            "leaseDurationSeconds": SHORT_SECONDS,
            "acquireTime": format!("{now:.6}"),
            "renewTime": format!("{now:.6}"),
            "leaseTransitions": 41,
        },
    })
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn foreign_lease_is_respected_despite_clock_skew() {
    for hours in [-5, 5] {
        let namespace = Namespace::new("another").await;
        let images = namespace.push_images().await;
        let clock = SignedDuration::from_hours(hours);
        namespace.make::<Lease>(of_another_tool(clock)).await;
        namespace.create(COINS, &images, json!({})).await;
        let a = replica(&namespace, "a", &SHORT).await;
        a.until_logged("standby: another replica holds the Lease")
            .await;
        // It is renewed once, after a while.
        let mut renewal = of_another_tool(clock);
        renewal["metadata"] = json!({});
        let renewed = SystemTime::now();
        namespace.patch::<Lease>(LEASE, renewal).await;
        let lease = until_holds(&namespace, "a").await;
        namespace.until_children(&nine()).await;
        assert_eq!(transitions(&lease), Some(42));
        assert_eq!(lease.metadata.labels.unwrap()["tool"], "theirs");
        let took = until_written(&namespace, "a", renewed).await;
        assert!(
            took >= Duration::from_secs(SHORT_SECONDS.into()),
            "{took:?}"
        );
        only_leaders_wrote(&namespace, SHORT_SECONDS);
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn deleted_lease_is_created_again_by_the_leader() {
    let namespace = Namespace::new("deleted-lease").await;
    let (a, b) = at_work(&namespace, &[]).await;
    let leases: Api<Lease> = namespace.api();
    leases
        .delete(LEASE, &DeleteParams::default())
        .await
        .unwrap();
    let lease = until_holds(&namespace, "a").await;
    assert_eq!(transitions(&lease), Some(0));
    change(&namespace, "after").await;
    until_changed(&namespace, "after").await;
    assert!(!a.log().contains("stopped leading"));
    assert!(!b.log().contains("leading: this replica holds the Lease"));
    only_leaders_wrote(&namespace, SECONDS);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn lease_taken_by_hand_ends_the_term() {
    let namespace = Namespace::new("taken").await;
    let (a, _b) = at_work(&namespace, &[]).await;
    let taken = json!({ "spec": { "holderIdentity": "someone" } });
    namespace.patch::<Lease>(LEASE, taken).await;
    a.until_logged("stopped leading: another replica took the Lease")
        .await;
    // And it is free again as soon as they say so.
    let free = json!({ "spec": { "holderIdentity": "" } });
    namespace.patch::<Lease>(LEASE, free).await;
    change(&namespace, "after").await;
    until_changed(&namespace, "after").await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_lease_permission_is_reported_and_blocks_writes() {
    let namespace = Namespace::new("no-right").await;
    let images = namespace.push_images().await;
    namespace.create(COINS, &images, json!({})).await;
    // An object has no name yet when it is created.
    let role = |may_create: bool, other_verbs: &[&str]| {
        let on_leases = |verbs: &[&str]| {
            json!({
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": verbs,
            })
        };
        let mut rules = vec![json!({
            "apiGroups": ["", "apps", "dockercoins.dev", "events.k8s.io"],
            "resources": ["*"],
            "verbs": ["*"],
        })];
        if may_create {
            rules.push(on_leases(&["create"]));
        }
        if !other_verbs.is_empty() {
            let names = json!({ "resourceNames": [LEASE] });
            rules.push(merged(on_leases(other_verbs), names));
        }
        json!({ "metadata": { "name": "replica" }, "rules": rules })
    };
    namespace.make::<Role>(role(false, &[])).await;
    let binding = json!({
        "metadata": { "name": "replica" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "replica" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "a" }],
    });
    namespace.make::<RoleBinding>(binding).await;
    let kubeconfig = kubeconfig(Some("a"), &[], None);
    let a = Operator::start_replica(&namespace, "a", kubeconfig.path(), &SHORT);
    a.until_logged("cannot get resource \"leases\" in API group \"coordination.k8s.io\"")
        .await;
    namespace
        .patch::<Role>("replica", role(false, &["get"]))
        .await;
    a.until_logged("cannot create resource \"leases\" in API group \"coordination.k8s.io\"")
        .await;
    assert!(deeds(&namespace).is_empty());
    assert_eq!(namespace.children().await, Default::default());
    // Without a watch it is slower to notice a release, and that is all.
    let enough = role(true, &["get", "update"]);
    namespace.patch::<Role>("replica", enough).await;
    namespace.until_children(&nine()).await;
    a.until_logged("cannot list resource \"leases\" in API group \"coordination.k8s.io\"")
        .await;
    let all = role(true, &["get", "update", "list", "watch"]);
    namespace.patch::<Role>("replica", all).await;
    until("the lease may be listed by its name", async || {
        let is_listed = |event: &Value| {
            event["verb"] == "list"
                && event["objectRef"]["resource"] == "leases"
                && event["responseStatus"]["code"] == 200
        };
        let audited = namespace.audited();
        audited.iter().any(is_listed).then_some(()).ok_or("not yet")
    })
    .await;
    only_leaders_wrote(&namespace, SHORT_SECONDS);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn replicas_at_rest_send_only_renewals() {
    let namespace = Namespace::new("rest-of-two").await;
    let (_a, b) = at_work(&namespace, &[]).await;
    let mut before = namespace.acts();
    let renewed = |lease: &Lease| lease.spec.clone().unwrap().renew_time;
    let first = renewed(&namespace.get(LEASE).await);
    let mut seen = Vec::from_iter(first);
    namespace
        .until(LEASE, "it is renewed six times", |lease: &Lease| {
            let now = renewed(lease).unwrap();
            if !seen.contains(&now) {
                seen.push(now);
            }
            seen.len() > 6
        })
        .await;
    let mut after = namespace.acts();
    assert!(before.remove("update leases") < after.remove("update leases"));
    assert_eq!(after, before);
    assert!(!b.log().contains("reconciled"));
    let services: Api<Service> = namespace.api();
    assert_eq!(
        services
            .list(&Default::default())
            .await
            .unwrap()
            .items
            .len(),
        4
    );
}
