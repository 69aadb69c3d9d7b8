//! The chart's values: documentation, schema, and refusal of invalid ones.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::helm::{CHART, IMAGE, helm, helm_ok, refused, said, words};
use crate::support::kubectl;
use crate::support::{Namespace, variable};

/// Asserts that the schema refuses unknown names wherever it names values.
fn assert_closed(schema: &Value, path: &str) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if field["properties"].is_object() && field["description"].is_null() {
            assert_eq!(field["additionalProperties"], false, "{path}");
        }
        assert_closed(field, &path);
    }
}

#[test]
fn every_group_of_values_is_closed() {
    let schema = std::fs::read_to_string(format!("{CHART}/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert_closed(&schema, "values");
}

#[test]
#[ignore = "needs Helm: make test"]
fn unknown_or_mistyped_value_is_named() {
    for (wrong, said) in [
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("replicas=11", "at '/replicas': maximum: got 11, want 10"),
        (
            "replica=2",
            "at '': additional properties 'replica' not allowed",
        ),
        (
            "metrics.serviceMonitor.enable=true",
            "at '/metrics/serviceMonitor': additional properties 'enable' not allowed",
        ),
        (
            "watchNamespaces=team-a",
            "at '/watchNamespaces': got string, want array",
        ),
        (
            "watchNamespaces={Team_A}",
            "at '/watchNamespaces/0': 'Team_A' does not match pattern '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'",
        ),
        (
            "metrics.port=80",
            "at '/metrics/port': minimum: got 80, want 1,024",
        ),
        (
            "image.pullPolicy=Sometimes",
            "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        (
            "otlp.endpoint=collector:4317",
            "at '/otlp/endpoint': 'collector:4317' does not match pattern '^(https?://[^\\\\s]+)?$'",
        ),
        (
            "registries.hosts.a/b.hostsToml=x",
            "at '/registries/hosts': additional properties 'a/b' not allowed",
        ),
        (
            "registries.hosts.a.hostToml=x",
            "at '/registries/hosts/a': additional properties 'hostToml' not allowed",
        ),
        ("runAsUser=0", "at '/runAsUser': minimum: got 0, want 1"),
        ("webhook=null", "at '': missing property 'webhook'"),
        (
            "webhook.port=null",
            "at '/webhook': missing property 'port'",
        ),
    ] {
        let told = refused(&["template", "x", CHART, "--set", IMAGE, "--set", wrong]);
        let told = told.lines().find(|line| line.starts_with("- "));
        assert_eq!(told, Some(format!("- {said}").as_str()), "--set {wrong}");
    }
}

#[test]
#[ignore = "needs Helm: make test"]
fn contradictory_values_are_refused() {
    let missing = refused(&["template", "x", CHART]);
    assert_eq!(
        words(&missing),
        "image.repository is required: there is no public image of the operator. Build the image and push it to a \
         registry that your nodes can pull from, in a checkout of the operator's repository:\n\n  make image \
         REGISTRY=registry.example.com/me\n\nThen install with --set \
         image.repository=registry.example.com/me/dockercoins-operator"
    );
    for (wrong, said) in [
        (
            "image.repository=https://registry.example.com/x:v1",
            "image.repository is \"https://registry.example.com/x:v1\": write host/path, without https://. Set the \
             tag in image.tag and the digest in image.digest.",
        ),
        (
            "registries.allowNetworks={10.1.2.3}",
            "registries.allowNetworks: \"10.1.2.3\" is not a CIDR: write a network such as 10.0.0.0/8 or fd00::/8, or \
             an address such as 10.1.2.3/32.",
        ),
        (
            "replicas=2,leaderElection.enabled=false",
            "replicas is 2 and leaderElection.enabled is false: every pod would write. Set leaderElection.enabled to \
             true, or replicas to 1.",
        ),
        (
            "registries.credentialProviders.volume.emptyDir.medium=Memory",
            "registries.credentialProviders needs both config and volume: config names the plugins, volume holds \
             their binaries.",
        ),
        (
            "webhook.enabled=true",
            "webhook.secret is required when webhook.enabled is true. Create a Secret with the key `secret`:\n\n  \
             kubectl create secret generic dockercoins-webhook --namespace ns --from-literal=secret=\"$(openssl rand \
             -hex 32)\"\n\nThen install with --set webhook.secret=dockercoins-webhook",
        ),
        (
            "webhook.enabled=true,webhook.secret=s,webhook.port=8080",
            "webhook.port and metrics.port are both 8080: write two different ports.",
        ),
        (
            "webhook.ingress.enabled=true",
            "webhook.ingress.enabled requires webhook.enabled: set both to true, or webhook.ingress.enabled to false.",
        ),
        (
            "webhook.enabled=true,webhook.secret=s,webhook.ingress.enabled=true",
            "webhook.ingress.host is required when webhook.ingress.enabled is true: write the host name that \
             registries send to.",
        ),
        (
            "log.level=warning",
            "log.level: \"warning\" is not a level: write error, warn, info, debug or trace, or directives such as \
             info,dockercoins_operator=debug.",
        ),
        (
            "extraArgs={--concurrency=4}",
            "extraArgs has --concurrency, which the chart already sets: set the chart's value for this flag.",
        ),
        (
            "serviceAccount.create=false",
            "serviceAccount.create is false and serviceAccount.name is empty: every pod with the ServiceAccount \
             `default` would get the operator's permissions. Set serviceAccount.name.",
        ),
    ] {
        let told = refused(&[
            "template",
            "x",
            CHART,
            "--namespace",
            "ns",
            "--set",
            IMAGE,
            "--set",
            wrong,
        ]);
        assert_eq!(words(&told), said, "--set {wrong}");
    }
}

#[test]
#[ignore = "needs Helm: make test"]
fn every_flag_exists() {
    let mut operator = Command::new(env!("CARGO_BIN_EXE_dockercoins-operator"));
    let help = said(operator.args(["run", "--help"])).out;
    let file = format!("{CHART}/ci/everything-values.yaml");
    let objects = helm_ok(&["template", "x", CHART, "--values", &file]);
    let flags = objects.lines().filter_map(|line| {
        let argument = line.trim().strip_prefix("- --")?;
        Some(argument.split('=').next().unwrap())
    });
    let flags: BTreeSet<&str> = flags.filter(|flag| *flag != "ready-url").collect();
    let known = |flag: &&&str| {
        help.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.any(|word| word == format!("--{flag}"))
        })
    };
    let unknown: Vec<_> = flags.iter().filter(|flag| !known(flag)).collect();
    assert_eq!(unknown, Vec::<&&str>::new());
    assert!(flags.len() >= 15, "{flags:?}");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn every_values_file_passes_pod_security_restricted() {
    let client = crate::support::namespace::client().await;
    let namespace = Namespace::of(client, "values").await;
    let restricted = [
        "pod-security.kubernetes.io/enforce=restricted",
        "pod-security.kubernetes.io/warn=restricted",
    ];
    let name = namespace.name.clone();
    namespace
        .kubectl(&[&["label", "namespace", &name], &restricted[..]].concat())
        .await;
    // Pods are refused where their account isn't there, and a dry run makes none.
    for account in ["x-dockercoins-operator", "coins-account", "coins"] {
        namespace
            .kubectl(&["create", "serviceaccount", account])
            .await;
    }
    let monitoring = variable("PROMETHEUS_CRDS");
    for kind in ["servicemonitors", "prometheusrules"] {
        let file = format!("{monitoring}/monitoring.coreos.com_{kind}.yaml");
        namespace
            .kubectl(&["apply", "--server-side", "--filename", &file])
            .await;
        namespace
            .kubectl(&["wait", "--for=condition=Established", "--filename", &file])
            .await;
    }
    let mut files = 0;
    for file in std::fs::read_dir(format!("{CHART}/ci")).unwrap() {
        let file = file.unwrap().path().display().to_string();
        let arguments = [
            "template",
            "x",
            CHART,
            "--namespace",
            &name,
            "--values",
            &file,
        ];
        let objects = helm_ok(&arguments);
        assert!(objects.contains("kind: Deployment"));
        let input = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(input.path(), &objects).unwrap();
        let dry = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--filename",
        ];
        let mut kubectl = Command::new(kubectl::program());
        let taken = said(kubectl.args(dry).arg(input.path()));
        assert!(taken.success, "{file}: {}", taken.err);
        // Where something violates Pod Security, or is deprecated, there is a warning.
        assert_eq!(taken.err, "", "{file}");
        let linted = helm(&["lint", "--strict", CHART, "--values", &file]);
        assert!(linted.success, "{file}: {}{}", linted.out, linted.err);
        files += 1;
    }
    assert_eq!(files, 4);
    let program = kubectl::program();
    for kind in ["servicemonitors", "prometheusrules"] {
        let crd = format!("{kind}.monitoring.coreos.com");
        let gone = said(Command::new(&program).args(["delete", "crd", &crd]));
        assert!(gone.success, "{}", gone.err);
    }
}
