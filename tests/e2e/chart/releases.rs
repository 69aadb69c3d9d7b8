//! Several releases in one cluster: which one owns the CRD, and which one serves which namespace.

use dockercoins_operator::api;
use kube::ResourceExt as _;

use super::helm::{IMAGE, Release, crd, no_crd, refused};
use crate::support::Namespace;
use crate::support::namespace::{client, install_crd};

const ONE: &str = "dockercoins-operator";

fn looks_after(what: &str, namespace: &str) -> String {
    let advice = match what {
        "every namespace" => "Set watchNamespaces in that release",
        _ => "Set other namespaces in watchNamespaces of this release or of that one",
    };
    format!(
        "The release {ONE} in the namespace {namespace} already watches {what}, and two operators must not watch one \
         namespace. {advice}, or uninstall that release:\n\n  helm uninstall {ONE} --namespace {namespace}"
    )
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn second_release_is_told_how_to_get_the_crd() {
    let client = client().await;
    no_crd(&client).await;
    let (here, there) = (
        Namespace::of(client.clone(), "first").await,
        Namespace::of(client.clone(), "second").await,
    );
    let first = Release::new(ONE, &here.name);
    first.ok(
        "install",
        &["--set", &format!("watchNamespaces={{{}}}", here.name)],
    );
    let second = Release::new("second", &there.name);
    let watch = format!("watchNamespaces={{{}}}", there.name);

    let told = second.refused("install", &["--set", &watch]);
    let hand_over = format!(
        "kubectl annotate crd dockercoins.dockercoins.dev --overwrite meta.helm.sh/release-name=second \
         meta.helm.sh/release-namespace={}",
        there.name
    );
    assert_eq!(
        told,
        format!(
            "The CRD dockercoins.dockercoins.dev belongs to the release {ONE} in the namespace {}. To leave it there, \
             install this release with --set crds.enabled=false. To hand it over to this release, for example if the \
             other release was uninstalled:\n\n  {hand_over}",
            here.name
        )
    );
    second.ok("install", &["--set", &watch, "--set", "crds.enabled=false"]);

    // The first goes, and the CRD stays, as that of a release that is no more.
    first.manage("uninstall", &[]);
    let words: Vec<&str> = hand_over.split(' ').skip(1).collect();
    there.kubectl(&words).await;
    second.ok("upgrade", &["--set", &watch]);
    second.manage("uninstall", &[]);
    let kept = crd(&client).await;
    assert_eq!(kept.annotations()["meta.helm.sh/release-name"], "second");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn applied_crd_is_taken_over_only_on_request() {
    let client = client().await;
    no_crd(&client).await;
    let mut older = serde_json::to_value(api::crd()).unwrap();
    super::helm::without_field(&mut older, "spec/suspend");
    install_crd(&client, &serde_json::from_value(older).unwrap()).await;
    let namespace = Namespace::of(client.clone(), "by-hand").await;
    let release = Release::new(ONE, &namespace.name);

    let told = refused(&release.arguments("install", super::helm::CHART, &["--set", IMAGE]));
    assert!(
        told.contains("CustomResourceDefinition \"dockercoins.dockercoins.dev\"")
            && told.contains("invalid ownership metadata"),
        "{told}"
    );
    release.ok("install", &["--take-ownership", "--force-conflicts"]);
    let taken = crd(&client).await;
    assert_eq!(taken.annotations()["meta.helm.sh/release-name"], ONE);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn namespace_belongs_to_one_release() {
    let client = client().await;
    no_crd(&client).await;
    let (here, there) = (
        Namespace::of(client.clone(), "watched").await,
        Namespace::of(client.clone(), "other").await,
    );
    let (a, b) = (&here.name, &there.name);
    let first = Release::new(ONE, a);
    let second = Release::new("second", b);
    let set = |list: &str| format!("watchNamespaces={{{list}}}");

    let told = first.refused("install", &["--set", &set(&format!("{a},nowhere"))]);
    assert_eq!(
        told,
        "watchNamespaces: the namespace nowhere does not exist. Create it with `kubectl create namespace nowhere`, or \
         remove it from watchNamespaces."
    );

    // Some against some.
    first.ok("install", &["--set", &set(a)]);
    let others = ["--set", "crds.enabled=false", "--set"];
    let told = second.refused(
        "install",
        &[&others[..], &[&set(&format!("{b},{a}"))]].concat(),
    );
    assert_eq!(told, looks_after(a, a));
    // All against some.
    let told = second.refused("install", &others[..2]);
    assert_eq!(told, looks_after(a, a));
    // Others are no matter.
    second.ok("install", &[&others[..], &[&set(b)]].concat());
    second.manage("uninstall", &[]);

    // Some against all, and all against all.
    first.ok("upgrade", &["--set", "watchNamespaces=null"]);
    let told = second.refused("install", &[&others[..], &[&set(b)]].concat());
    assert_eq!(told, looks_after("every namespace", a));
    let told = second.refused("install", &others[..2]);
    assert_eq!(told, looks_after("every namespace", a));

    // Back to some: the roles of the others go.
    first.ok("upgrade", &["--set", &set(a)]);
    second.ok("install", &[&others[..], &[&set(b)]].concat());
}
