//! The optional kinds: a field creates the object, drift is reverted, and removing the field deletes the object.
//! Foreign objects are left alone.

mod kinds;

use std::collections::BTreeSet;

use dockercoins_operator::api::DockerCoins;
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::gateway::install_gateway_api;
use crate::support::coins::{message_of, nine};
use crate::support::namespace::{COINS, TESTER, merged};
use crate::support::rights::{Permission, RELEASE, Rights};
use crate::support::{Namespace, Operator, conditions, reason_of, until, variable};
use kinds::{Beside, all};

/// A resource for which no registry is asked.
async fn create(namespace: &Namespace, settings: &Value) -> DockerCoins {
    let unasked = json!({ "resolve": { "policy": "Never" } });
    let settings = merged(unasked, settings.clone());
    namespace.create(COINS, &namespace.images(), settings).await
}

/// Waits until the four Deployments but Redis', which may be elsewhere, are there, and the Services.
async fn until_served(namespace: &Namespace) {
    let mut wanted = nine();
    wanted.remove("Deployment redis");
    until("what every resource has is there", async || {
        let there = namespace.children().await;
        let missing: BTreeSet<_> = wanted.difference(&there).cloned().collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(format!("{missing:?} are missing")),
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn each_kind_is_created_restored_and_deleted() {
    install_gateway_api(&crate::support::namespace::client().await).await;
    futures::stream::iter(all())
        .for_each_concurrent(4, comes_and_goes)
        .await;
}

async fn comes_and_goes(it: Beside) {
    let namespace = Namespace::new(&it.subject()).await;
    let _operator = Operator::start(&namespace);
    let coins = create(&namespace, &it.settings).await;
    let made = it.until_ours(&namespace).await;
    assert_eq!(made.owner_references()[0].uid, coins.uid().unwrap());
    assert_eq!(
        made.labels()["app.kubernetes.io/managed-by"],
        "dockercoins-operator"
    );
    until_served(&namespace).await;
    let title = it.title();
    namespace
        .until_event("Created", |note| note.contains(&title))
        .await;

    let params = PatchParams {
        field_manager: Some(TESTER.into()),
        ..PatchParams::default()
    };
    it.api(&namespace)
        .patch(it.name, &params, &Patch::Merge(&it.drift))
        .await
        .unwrap();
    let advice = format!("To change it, set {} of DockerCoins", it.field);
    let note = namespace
        .until_event("Healed", |note| note.starts_with(&title))
        .await;
    assert!(note.contains("tester had changed"), "{note}");
    assert!(note.contains(&advice), "{note}");
    let is_as_before = |object: &Value| {
        let part = |part: &str| object[part] == json!(made)[part];
        part("spec") && part("endpoints")
    };
    it.until(&namespace, "is as it was", is_as_before).await;

    let uid = made.uid();
    namespace
        .kubectl(&["delete", &it.kind.plural, it.name, "--wait=false"])
        .await;
    let is_new = |object: &Value| object["metadata"]["uid"] != json!(uid);
    it.until(&namespace, "has come back", is_new).await;
    namespace
        .until_event("Healed", |note| {
            note.starts_with(&format!("{title} had been deleted"))
        })
        .await;

    namespace.edit(COINS, it.without.clone()).await;
    it.until_gone(&namespace).await;
    namespace
        .until_event("Pruned", |note| {
            note.starts_with(&format!("deleted {title}"))
        })
        .await;
    let heals = heals(&namespace, &title).await;
    namespace.edit(COINS, it.settings.clone()).await;
    it.until_ours(&namespace).await;
    namespace.until_children(&expected(&it)).await;
    assert_eq!(self::heals(&namespace, &title).await, heals, "{title}");
}

/// The objects of the nine kinds that are there while one of the others is.
fn expected(it: &Beside) -> BTreeSet<String> {
    let mut expected = nine();
    if it.kind.kind == "EndpointSlice" {
        expected.remove("Deployment redis");
    }
    expected
}

async fn heals(namespace: &Namespace, title: &str) -> usize {
    let notes = namespace.notes("Healed").await;
    notes.iter().filter(|note| note.starts_with(title)).count()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn foreign_object_of_each_kind_is_left_alone() {
    install_gateway_api(&crate::support::namespace::client().await).await;
    futures::stream::iter(all())
        .for_each_concurrent(4, is_left_alone)
        .await;
}

async fn is_left_alone(it: Beside) {
    let namespace = Namespace::new(&format!("foreign-{}", it.subject())).await;
    let before = it.make_stranger_s(&namespace, json!({})).await;
    let _operator = Operator::start(&namespace);
    create(&namespace, &it.settings).await;
    let coins = namespace
        .until_told(COINS, "Ready", "False", "ForeignObject")
        .await;
    let kind = it.kind.kind.to_lowercase();
    let told = message_of(&coins, "Ready");
    let advice = format!(
        "{} is not the operator's: delete it, or hand it over with `kubectl annotate {kind} {} dockercoins.dev/adopt={COINS}`",
        it.title(),
        it.name
    );
    assert!(told.contains(&advice), "{told}");
    until_served(&namespace).await;
    let spec = |object: &DynamicObject| {
        let object = json!(object);
        json!([
            object["spec"],
            object["endpoints"],
            object["metadata"]["ownerReferences"]
        ])
    };
    let now = it.api(&namespace).get(it.name).await.unwrap();
    assert_eq!(spec(&now), spec(&before));

    namespace
        .kubectl(&[
            "annotate",
            &kind,
            it.name,
            &format!("dockercoins.dev/adopt={COINS}"),
        ])
        .await;
    it.until_ours(&namespace).await;
    namespace
        .until_event("Adopted", |note| note.starts_with(&it.title()))
        .await;
    namespace.until_children(&expected(&it)).await;
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn operator_starting_on_a_converged_resource_writes_nothing() {
    install_gateway_api(&crate::support::namespace::client().await).await;
    let namespace = Namespace::new("beside-restart").await;
    let images = namespace.push_images().await;
    let first = Operator::start(&namespace);
    let file = std::fs::read_to_string("examples/every-field.yaml").unwrap();
    let example: Value = serde_saphyr::from_str(&file).unwrap();
    let spec = &example["spec"];
    let all = ["networkPolicy", "hasher", "webui"].map(|field| (field, spec[field].clone()));
    let mut settings = json!({ "redis": { "storage": { "size": "1Gi" } } });
    for (field, value) in all {
        settings[field] = value;
    }
    // Two resources can't have the same port of a node.
    settings["webui"]["service"] = json!({ "type": "NodePort" });
    namespace.create(COINS, &images, settings).await;
    let coins = namespace.run_pods_to_rest(COINS).await;
    let told = message_of(&coins, "Ready");
    assert!(
        told.starts_with(
            "every component runs as asked for. Gateway public has not accepted HTTPRoute webui yet"
        ),
        "{told}"
    );
    drop(first);
    let before = namespace.acts();

    let _second = Operator::start(&namespace);
    namespace.until_marked("seen").await;
    namespace.run_pods(COINS).await;
    assert_eq!(
        namespace.written_since(&before),
        [("patch deployments".into(), 1)].into()
    );
}

/// The rights of the chart in one namespace, but for one.
fn grant(namespace: &Namespace, lacks: Option<&Permission>) -> std::path::PathBuf {
    let chart = Rights::of_chart(&["watchNamespaces={somewhere}"]);
    let mut within = chart.within["somewhere"].clone();
    within.retain(|it| Some(it) != lacks);
    let nodes = Rights::of_chart(&[]).everywhere;
    let nodes = nodes.into_iter().filter(|it| it.resource == "nodes");
    let rights = Rights {
        everywhere: nodes.collect(),
        within: [(namespace.name.clone(), within)].into(),
    };
    assert!(!rights.within.contains_key(RELEASE));
    rights.grant(&variable("KUBECONFIG"), &namespace.name)
}

/// The permissions to these kinds, as the chart has them.
pub fn permissions() -> Vec<String> {
    let verbs = ["get", "list", "watch", "create", "patch", "delete"];
    let names = all().into_iter().flat_map(|it| {
        let group = match it.kind.group.as_str() {
            "" => String::new(),
            group => format!(".{group}"),
        };
        verbs.map(|verb| format!("{verb} {}{group}", it.kind.plural))
    });
    names.collect()
}

/// Pairs of a kind and the verb to forbid. Each kind has a watch of its own. The other verbs are one code path for all
/// kinds, so each of them is forbidden for one or two kinds only.
fn lacking() -> Vec<(String, &'static str)> {
    let others = ["get", "create", "patch", "delete"].into_iter().cycle();
    let kinds = all().into_iter().map(|it| it.kind.plural).zip(others);
    kinds
        .flat_map(|(kind, other)| ["list", "watch", other].map(|verb| (kind.clone(), verb)))
        .collect()
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn missing_permission_affects_only_resources_with_the_kind() {
    install_gateway_api(&crate::support::namespace::client().await).await;
    futures::stream::iter(lacking())
        .for_each_concurrent(8, |(kind, verb)| async move {
            let it = all().into_iter().find(|it| it.kind.plural == kind).unwrap();
            lacks(it, verb).await;
        })
        .await;
}

async fn lacks(it: Beside, verb: &str) {
    let resource = it.kind.plural.clone();
    let namespace = Namespace::new(&format!("no-{verb}-{resource}")).await;
    let lacking = Permission {
        group: it.kind.group.clone(),
        resource: resource.clone(),
        verb: verb.to_owned(),
        object: None,
    };
    let account = grant(&namespace, Some(&lacking));
    let adopt = json!({ "dockercoins.dev/adopt": COINS });
    if verb == "get" {
        it.make_stranger_s(&namespace, adopt).await;
    }
    let operator = Operator::start_as(&account, &[&namespace], &[]);
    let words = format!("cannot {verb} resource \"{resource}\"");

    // Who doesn't ask for one is served as ever, and doesn't tell.
    create(&namespace, &it.without).await;
    until_served(&namespace).await;
    // A permission counts a moment after it was given.
    namespace
        .until_coins(COINS, "nothing is forbidden", |coins| {
            reason_of(coins, "Ready") != "Forbidden"
        })
        .await;

    namespace.edit(COINS, it.settings.clone()).await;
    if verb == "delete" {
        it.until_ours(&namespace).await;
        namespace.edit(COINS, it.without.clone()).await;
    }
    let coins = namespace
        .until_told(COINS, "Ready", "False", "Forbidden")
        .await;
    let told = message_of(&coins, "Ready");
    assert!(told.contains(&words), "{told}");
    // All else of the same edit is done.
    namespace
        .edit(COINS, json!({ "rng": { "podLabels": { "a": "b" } } }))
        .await;
    namespace
        .until(
            "rng",
            "rng has the label",
            |it: &k8s_openapi::api::apps::v1::Deployment| {
                let labels = it
                    .spec
                    .template
                    .metadata
                    .as_ref()
                    .and_then(|it| it.labels.as_ref());
                labels.is_some_and(|labels| labels.contains_key("a"))
            },
        )
        .await;

    grant(&namespace, None);
    match verb {
        "delete" => it.until_gone(&namespace).await,
        _ => drop(it.until_ours(&namespace).await),
    }
    namespace
        .until_coins(COINS, &format!("all is well with {words}"), |coins| {
            conditions(coins).iter().all(|c| c.reason != "Forbidden")
        })
        .await;
    drop(operator);
}
