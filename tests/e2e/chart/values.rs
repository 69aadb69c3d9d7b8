//! The chart's values: documentation, schema, and refusal of invalid ones.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::helm::{CHART, IMAGE, helm, helm_ok, refused, said, words};
use crate::support::kubectl;
use crate::support::{Namespace, variable};

/// The values' comments in values.yaml, by path, as the README's table has them.
fn said_of_values() -> BTreeMap<String, String> {
    let table = said(&mut Command::new("scripts/chart-values"));
    assert!(table.success, "{}", table.err);
    let rows = table.out.lines().skip(2).map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').splitn(3, " | ").collect();
        let path = cells[0].trim().trim_matches('`').to_owned();
        (path, cells[2].trim().replace("\\|", "|"))
    });
    rows.collect()
}

/// The descriptions of the schema, by path, down to where the values are.
fn described(schema: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    for (name, field) in schema["properties"].as_object().unwrap() {
        let path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        match field["description"].as_str() {
            Some(said) => drop(found.insert(path, said.to_owned())),
            None => {
                assert_eq!(
                    field["additionalProperties"], false,
                    "{path} takes anything"
                );
                described(field, &path, found);
            }
        }
    }
}

#[test]
fn values_and_schema_agree() {
    let schema = std::fs::read_to_string(format!("{CHART}/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    let mut described_there = BTreeMap::new();
    described(&schema, "", &mut described_there);
    // Helm's own, and no value.
    described_there.remove("global");
    assert_eq!(described_there, said_of_values());
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
        "image.repository is not given, and there is no public image of this operator. Build one and push it to a \
         registry that your nodes can pull from, in a checkout of the operator's repository:\n\n  make image \
         REGISTRY=registry.example.com/me\n\nthen install with --set \
         image.repository=registry.example.com/me/dockercoins-operator"
    );
    for (wrong, said) in [
        (
            "image.repository=https://registry.example.com/x:v1",
            "image.repository is \"https://registry.example.com/x:v1\": write host/path, without https:// before it \
             and without a tag or digest behind it, which are image.tag and image.digest.",
        ),
        (
            "registries.allowNetworks={10.1.2.3}",
            "registries.allowNetworks has \"10.1.2.3\", which is no network: write it like 10.0.0.0/8 or fd00::/8, \
             a single address like 10.1.2.3/32.",
        ),
        (
            "replicas=2,leaderElection.enabled=false",
            "replicas is 2, and leaderElection.enabled is false: all of the pods would act. Leave \
             leaderElection.enabled true, or set replicas to 1.",
        ),
        (
            "registries.credentialProviders.volume.emptyDir.medium=Memory",
            "registries.credentialProviders needs both: config says which programs are asked for a login, volume \
             has the programs.",
        ),
        (
            "webhook.enabled=true",
            "webhook.secret is not given: name a Secret whose key `secret` the registries show. Create one with\n\n  \
             kubectl create secret generic dockercoins-webhook --namespace ns \
             --from-literal=secret=\"$(openssl rand -hex 32)\"\n\nthen --set webhook.secret=dockercoins-webhook",
        ),
        (
            "webhook.enabled=true,webhook.secret=s,webhook.port=8080",
            "webhook.port and metrics.port are both 8080: a pod can't listen there twice.",
        ),
        (
            "webhook.ingress.enabled=true",
            "webhook.ingress.enabled is true, and webhook.enabled is not: the Ingress would lead nowhere.",
        ),
        (
            "webhook.enabled=true,webhook.secret=s,webhook.ingress.enabled=true",
            "webhook.ingress.host is not given: write the host by which registries reach the Ingress.",
        ),
        (
            "log.level=warning",
            "log.level has \"warning\": write error, warn, info, debug or trace, or directives such as \
             info,dockercoins_operator=debug.",
        ),
        (
            "extraArgs={--concurrency=4}",
            "extraArgs has --concurrency, which the operator is given already and takes only once: set the value that \
             stands for it.",
        ),
        (
            "serviceAccount.create=false",
            "serviceAccount.create is false, and serviceAccount.name is empty: the operator's rights would go to \
             every pod of the namespace that runs as `default`. Name the ServiceAccount.",
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
