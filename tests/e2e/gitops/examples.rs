//! Kustomize builds the examples, and the API server accepts them.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::flux::install_crds;
use super::overlay::{EXAMPLES, Repository, build, coins, objects};
use crate::support::kubectl::{self, Said};
use crate::support::{Namespace, variable};

/// What people are told to type.
const PAGE: &str = include_str!("../../../docs/gitops.md");

/// What kubectl says of objects that are not written.
async fn tried(namespace: &Namespace, objects: &str) -> Said {
    let arguments = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--filename=-",
    ];
    namespace.try_kubectl(&arguments, objects).await
}

/// An example as it is, but for a namespace of a test's own.
fn example(path: &str, namespace: &Namespace) -> String {
    let text = std::fs::read_to_string(format!("{EXAMPLES}/{path}")).unwrap();
    let of = |name: &str| format!("  namespace: {name}\n");
    text.replace(&of("flux-system"), &of(&namespace.name))
        .replace(&of("argocd"), &of(&namespace.name))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(format!("{EXAMPLES}/{path}")).unwrap()).unwrap()
}

fn resource(namespace: &str, spec: Value) -> Vec<Value> {
    vec![
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
        json!({
            "apiVersion": "dockercoins.dev/v1alpha1",
            "kind": "DockerCoins",
            "metadata": { "name": "dockercoins", "namespace": namespace },
            "spec": spec,
        }),
    ]
}

#[test]
#[ignore = "needs kustomize: make test"]
fn overlays_add_to_the_base() {
    let built = |overlay| objects(&build(&Path::new(EXAMPLES).join("overlays").join(overlay)));
    assert_eq!(
        built("development"),
        resource(
            "dockercoins-development",
            json!({
                "hasher": { "image": "dockercoins/hasher:v0.1" },
                "redis": { "image": "redis:7" },
                "rng": { "image": "dockercoins/rng:v0.1" },
                "webui": { "image": "dockercoins/webui:v0.1", "service": { "type": "NodePort" } },
                "worker": { "image": "dockercoins/worker:v0.1", "replicas": 1 },
            })
        )
    );
    assert_eq!(
        built("production"),
        resource(
            "dockercoins",
            json!({
                "hasher": { "image": "registry.example.com/training/hasher:v0.1" },
                "networkPolicy": { "enabled": true },
                "redis": { "image": "redis:7" },
                "rng": { "image": "registry.example.com/training/rng:v0.1", "replicas": 2 },
                "webui": {
                    "image": "registry.example.com/training/webui:v0.1",
                    "ingress": { "host": "coins.example.com" },
                    "replicas": 2,
                },
                "worker": { "image": "registry.example.com/training/worker:v0.1", "replicas": 4 },
            })
        )
    );
}

#[test]
#[ignore = "needs kustomize: make test"]
fn kubectl_builds_what_kustomize_builds() {
    for overlay in ["overlays/development", "overlays/production"] {
        let folder = Path::new(EXAMPLES).join(overlay);
        let built = Command::new(kubectl::program())
            .arg("kustomize")
            .arg(&folder)
            .output();
        assert_eq!(
            String::from_utf8(built.unwrap().stdout).unwrap(),
            build(&folder)
        );
    }
}

#[test]
#[ignore = "needs kustomize: make test"]
fn overlay_renders_without_its_namespace() {
    let is_it = |line: &&str| line.contains("| kustomize cfg grep ");
    let line = PAGE.lines().find(is_it).expect("the page has the command");
    let line = line
        .replace("OVERLAY", &format!("{EXAMPLES}/overlays/production"))
        .replace("dockercoins-operator diff", "dockercoins-operator render");
    let programs = [
        &variable("KUSTOMIZE"),
        env!("CARGO_BIN_EXE_dockercoins-operator"),
    ];
    let folders = programs.map(|program| Path::new(program).parent().unwrap().to_str().unwrap());
    let path = format!("{}:{}", folders.join(":"), variable("PATH"));
    let rendered = Command::new("bash")
        .args(["-o", "pipefail", "-c", &line])
        .env("PATH", path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&rendered.stderr);
    assert!(rendered.status.success(), "{errors}");
    // The nine, an Ingress, a NetworkPolicy each, and a budget for whoever has several pods.
    let rendered = objects(&String::from_utf8(rendered.stdout).unwrap());
    assert_eq!(rendered.len(), 9 + 1 + 5 + 3);
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn api_server_accepts_each_overlay() {
    let namespace = Namespace::new("overlays").await;
    let repository = Repository::new();
    for overlay in ["overlays/development", "overlays/production"] {
        repository.edit_in(overlay, &["set", "namespace", &namespace.name]);
        let built = build(&repository.folder().join(overlay));
        let said = tried(&namespace, &built).await;
        assert!(said.success, "{overlay}: {}", said.err);
        assert_eq!(
            said.out,
            format!(
                "namespace/{} serverside-applied (server dry run)\n\
                 dockercoins.dockercoins.dev/dockercoins serverside-applied (server dry run)\n",
                namespace.name
            )
        );
    }
}

#[test]
#[ignore = "needs kustomize: make test"]
fn kustomize_edit_changes_only_its_fields() {
    for (edit, pointer, value) in [
        (
            ["image", "dockercoins/hasher:v9"],
            "/spec/hasher/image",
            json!("dockercoins/hasher:v9"),
        ),
        (
            ["image", "redis:7.2"],
            "/spec/redis/image",
            json!("redis:7.2"),
        ),
        (
            ["image", "dockercoins/rng=registry.example.com/my/rng:v9"],
            "/spec/rng/image",
            json!("registry.example.com/my/rng:v9"),
        ),
        (
            ["image", "dockercoins/webui=webui"],
            "/spec/webui/image",
            json!("webui:v0.1"),
        ),
        (
            [
                "image",
                "dockercoins/worker@sha256:2a9c1ab2e3dbe0d3b7d25d9b0c8c0f5e5f4f2f7f1f6f3b1a0f8f7e6d5c4b3a29",
            ],
            "/spec/worker/image",
            json!(
                "dockercoins/worker@sha256:2a9c1ab2e3dbe0d3b7d25d9b0c8c0f5e5f4f2f7f1f6f3b1a0f8f7e6d5c4b3a29"
            ),
        ),
        (
            ["replicas", "dockercoins=7"],
            "/spec/worker/replicas",
            json!(7),
        ),
    ] {
        let folder = Repository::new();
        let overlay = folder.folder().join("overlays/development");
        let mut expected = coins(&build(&overlay));
        *expected.pointer_mut(pointer).expect(pointer) = value;
        folder.edit_in("overlays/development", &[&["set"][..], &edit].concat());
        assert_eq!(
            coins(&build(&overlay)),
            expected,
            "kustomize edit set {edit:?}"
        );
    }
}

#[test]
#[ignore = "needs kustomize: make test"]
fn generated_secret_is_referenced_by_its_new_name() {
    let repository = Repository::new();
    repository.edit(&[
        "add",
        "secret",
        "regcred",
        "--from-literal=.dockerconfigjson={}",
    ]);
    repository.edit(&[
        "add",
        "secret",
        "coins-tls",
        "--from-literal=tls.key=secret",
    ]);
    repository.edit(&[
        "add",
        "configmap",
        "registry-ca",
        "--from-literal=ca.crt=certificate",
    ]);
    repository.patch(json!([
        { "op": "add", "path": "/spec/imagePullSecrets", "value": [{ "name": "regcred" }] },
        { "op": "add", "path": "/spec/webui/ingress/tls", "value": { "secretName": "coins-tls" } },
        { "op": "add", "path": "/spec/registry", "value": {
            "certificateAuthority": { "configMapKeyRef": { "name": "registry-ca", "key": "ca.crt" } } } },
    ]));
    let built = repository.build();
    let generated = |kind: &str, name: &str| {
        let found = objects(&built).into_iter().find(|object| {
            let full = object["metadata"]["name"].as_str().unwrap_or_default();
            object["kind"] == kind && full.starts_with(&format!("{name}-"))
        });
        found.unwrap_or_else(|| panic!("no {kind} {name}-… in\n{built}"))["metadata"]["name"]
            .clone()
    };
    let spec = coins(&built)["spec"].take();
    assert_eq!(
        [
            &spec["imagePullSecrets"][0]["name"],
            &spec["webui"]["ingress"]["tls"]["secretName"],
            &spec["registry"]["certificateAuthority"]["configMapKeyRef"]["name"],
        ],
        [
            &generated("Secret", "regcred"),
            &generated("Secret", "coins-tls"),
            &generated("ConfigMap", "registry-ca"),
        ]
    );
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn overlay_with_an_unknown_field_is_refused() {
    let namespace = Namespace::new("unknown").await;
    let repository = Repository::of(&namespace, &namespace.images());
    repository.patch(json!([{ "op": "add", "path": "/spec/worker/replica", "value": 3 }]));
    let built = repository.build();
    let by_the_server = tried(&namespace, &built).await;
    let by_kubectl = ["apply", "--dry-run=server", "--filename=-"];
    let by_kubectl = namespace.try_kubectl(&by_kubectl, &built).await;
    for (said, words) in [
        (
            by_the_server,
            ".spec.worker.replica: field not declared in schema",
        ),
        (by_kubectl, r#"unknown field "spec.worker.replica""#),
    ] {
        assert!(!said.success, "{}", said.out);
        assert!(said.err.contains(words), "{}", said.err);
    }
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn flux_and_argo_cd_schemas_accept_the_examples() {
    let namespace = Namespace::new("examples").await;
    install_crds(&namespace).await;
    for (path, object) in [
        (
            "flux/source.yaml",
            "gitrepository.source.toolkit.fluxcd.io/dockercoins",
        ),
        (
            "flux/operator.yaml",
            "helmrelease.helm.toolkit.fluxcd.io/dockercoins-operator",
        ),
        (
            "flux/dockercoins.yaml",
            "kustomization.kustomize.toolkit.fluxcd.io/dockercoins",
        ),
        (
            "argo-cd/application.yaml",
            "application.argoproj.io/dockercoins",
        ),
        ("argo-cd/health.yaml", "configmap/argocd-cm"),
    ] {
        let said = tried(&namespace, &example(path, &namespace)).await;
        assert!(said.success, "{path}: {}", said.err);
        assert_eq!(
            said.out,
            format!("{object} serverside-applied (server dry run)\n")
        );
    }
}

#[test]
#[ignore = "needs helm: make test"]
fn example_paths_exist() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = [
        yaml("flux/dockercoins.yaml")["spec"]["path"].clone(),
        yaml("argo-cd/application.yaml")["spec"]["source"]["path"].clone(),
    ];
    for path in paths {
        let overlay = repository.join(path.as_str().unwrap());
        assert!(
            overlay.join("kustomization.yaml").exists(),
            "{}",
            overlay.display()
        );
    }
    let release = yaml("flux/operator.yaml")["spec"].take();
    let chart = release["chart"]["spec"]["chart"].as_str().unwrap();
    let values = NamedTempFile::new().unwrap();
    std::fs::write(values.path(), release["values"].to_string()).unwrap();
    let rendered = Command::new(variable("HELM"))
        .args(["template", "dockercoins-operator"])
        .arg(repository.join(chart))
        .arg("--values")
        .arg(values.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&rendered.stderr);
    assert!(rendered.status.success(), "{errors}");
    let rendered = String::from_utf8(rendered.stdout).unwrap();
    let image = "registry.example.com/training/dockercoins-operator:0.1.0";
    assert!(rendered.contains(image), "{rendered}");
}
