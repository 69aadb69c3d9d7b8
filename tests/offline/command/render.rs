//! The command `render`, and the parts of `diff` that need no cluster.

use std::process::Output;

use resolver::Digest;
use serde_json::{Value, json};

use super::online::{INDEX, index, registry, reply};
use super::{run, text};

/// The components, in the operator's order.
const COMPONENTS: [&str; 5] = ["hasher", "redis", "rng", "webui", "worker"];

/// A resource of this spec, written as JSON, which is YAML.
fn coins(name: &str, namespace: Option<&str>, spec: Value) -> String {
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    let coins = json!({
        "apiVersion": "dockercoins.dev/v1alpha1",
        "kind": "DockerCoins",
        "metadata": metadata,
        "spec": spec,
    });
    format!("{coins}\n")
}

fn render(input: &str, options: &[&str]) -> Output {
    run(
        &[&["render", "-f", "-"], options].concat(),
        input.as_bytes(),
    )
}

fn objects(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_saphyr::from_multiple(&text(&output.stdout)).unwrap()
}

fn titles(objects: &[Value]) -> Vec<String> {
    let title = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap();
        format!("{} {name}", object["kind"].as_str().unwrap())
    };
    objects.iter().map(title).collect()
}

fn nine() -> Vec<String> {
    let served = COMPONENTS.iter().filter(|name| **name != "worker");
    let services = served.map(|name| format!("Service {name}"));
    let deployments = COMPONENTS.iter().map(|name| format!("Deployment {name}"));
    services.chain(deployments).collect()
}

/// The images, each with its pull policy.
fn images(objects: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let containers = objects
        .iter()
        .filter(|object| object["kind"] == "Deployment")
        .map(|object| &object["spec"]["template"]["spec"]["containers"][0]);
    containers
        .map(|container| {
            (
                text(&container["image"]),
                text(&container["imagePullPolicy"]),
            )
        })
        .collect()
}

fn all_by(policy: &str, image: impl Fn(&str) -> String) -> Vec<(String, String)> {
    COMPONENTS
        .map(|name| (image(name), policy.to_owned()))
        .into()
}

/// The messages, without the program's name before each line.
fn told(output: &Output) -> String {
    text(&output.stderr).replace("dockercoins-operator: ", "")
}

#[test]
fn offline_the_nine_objects_name_tags_and_it_is_told() {
    let spec = json!({ "registry": { "prefix": "registry.example.com/team" }, "redis": { "image": "registry.example.com/team/redis:v0.1" } });
    let output = render(&coins("dockercoins", None, spec), &[]);
    let objects = objects(&output);
    assert_eq!(titles(&objects), nine());
    let by_tag = all_by("Always", |name| {
        format!("registry.example.com/team/{name}:v0.1")
    });
    assert_eq!(images(&objects), by_tag);
    let labels = json!({
        "app": "hasher",
        "app.kubernetes.io/component": "hasher",
        "app.kubernetes.io/instance": "dockercoins",
        "app.kubernetes.io/managed-by": "dockercoins-operator",
        "app.kubernetes.io/name": "dockercoins",
        "app.kubernetes.io/part-of": "dockercoins",
    });
    assert_eq!(
        objects[0]["metadata"],
        json!({ "name": "hasher", "labels": labels }),
        "no owner, no hash of a write, and no namespace where none is named"
    );
    assert_eq!(
        told(&output),
        "DockerCoins dockercoins: by tag, where the operator would name a digest: hasher, redis, rng, webui, worker. --resolve asks their registries\n"
    );
}

#[test]
fn what_the_operator_would_not_pin_is_told_of_no_one() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let spec = json!({ "resolve": { "policy": "Never" }, "rng": { "resolve": { "policy": "Required" }, "image": format!("a/rng@{digest}") } });
    let output = render(&coins("dockercoins", None, spec), &[]);
    assert_eq!(told(&output), "");
    assert_eq!(
        images(&objects(&output))[2],
        (
            format!("docker.io/a/rng@{digest}"),
            "IfNotPresent".to_owned()
        )
    );
}

#[test]
fn json_is_a_list_of_the_same_objects() {
    let input = std::fs::read_to_string("examples/every-field.yaml").unwrap();
    let yaml = objects(&render(&input, &[]));
    let output = run(
        &[
            "render",
            "--filename",
            "examples/every-field.yaml",
            "--output",
            "json",
        ],
        b"",
    );
    assert_eq!(output.status.code(), Some(0));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        list,
        json!({ "apiVersion": "v1", "kind": "List", "items": yaml })
    );
}

#[test]
fn every_resource_of_a_file_is_rendered_into_its_namespace() {
    let input = format!(
        "{}---\n{}",
        coins("a", Some("one"), json!({})),
        coins("b", None, json!({}))
    );
    let objects = objects(&render(&input, &[]));
    assert_eq!(titles(&objects), [nine(), nine()].concat());
    let namespaces: Vec<&Value> = objects
        .iter()
        .map(|object| &object["metadata"]["namespace"])
        .collect();
    let one = json!("one");
    let wanted = [[&one; 9], [&Value::Null; 9]].concat();
    assert_eq!(namespaces, wanted);

    let placed = render(&coins("b", None, json!({})), &["-n", "two"]);
    assert!(text(&placed.stdout).contains("\n  namespace: two\n"));
}

/// A registry with one index under every name but those whose path has `missing`.
fn one_index() -> String {
    registry(|request| match request.contains("missing") {
        true => reply(request, "404 Not Found", "", ""),
        false => index(request, ""),
    })
}

const ASK: [&str; 3] = ["--resolve", "--allow-registry-network", "127.0.0.0/8"];

/// Settings by which every image is at this registry, under this path.
fn at(host: &str, path: &str, more: Value) -> Value {
    let mut spec = json!({
        "registry": { "prefix": format!("{host}/{path}"), "endpoint": format!("http://{host}") },
        "redis": { "image": format!("{host}/{path}/redis:v0.1") },
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec
}

#[test]
fn resolved_every_image_has_its_digest_and_nothing_is_told() {
    let host = one_index();
    let output = render(&coins("a", None, at(&host, "team", json!({}))), &ASK);
    let digest = Digest::of(INDEX.as_bytes());
    let pinned = all_by("IfNotPresent", |name| {
        format!("{host}/team/{name}:v0.1@{digest}")
    });
    assert_eq!(images(&objects(&output)), pinned);
    assert_eq!(told(&output), "");
}

#[test]
fn the_address_on_the_command_line_counts_before_the_resources() {
    let host = one_index();
    let spec = json!({
        "registry": { "prefix": "registry.example.com/team", "endpoint": "http://registry.invalid" },
        "redis": { "image": "registry.example.com/team/redis:v0.1" },
    });
    let endpoint = format!("--endpoint=http://{host}");
    let output = render(&coins("a", None, spec), &[&ASK[..], &[&endpoint]].concat());
    let digest = Digest::of(INDEX.as_bytes());
    let pinned = all_by("IfNotPresent", |name| {
        format!("registry.example.com/team/{name}:v0.1@{digest}")
    });
    assert_eq!(images(&objects(&output)), pinned);
}

#[test]
fn where_required_cannot_be_met_nothing_is_printed_and_each_image_says_why() {
    let host = one_index();
    let more = json!({
        "rng": { "image": format!("{host}/missing/rng:v9") },
        "worker": { "image": format!("{host}/missing/worker:v9") },
    });
    let output = render(&coins("a", None, at(&host, "team", more)), &ASK);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let told = told(&output);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[0],
        "DockerCoins a: the policy Required can't be met, and nothing new would be deployed:"
    );
    assert_eq!(lines.len(), 3, "{told}");
    assert!(
        lines[1].starts_with(&format!("rng: {host}/missing/rng:v9 at http://{host}: ")),
        "{told}"
    );
    assert!(lines[2].starts_with("worker: "), "{told}");
}

#[test]
fn with_best_effort_what_cannot_be_resolved_keeps_its_tag_and_is_told_and_never_is_not_asked() {
    let host = one_index();
    let more = json!({
        "resolve": { "policy": "BestEffort" },
        "rng": { "image": format!("{host}/missing/rng:v9") },
        "worker": { "resolve": { "policy": "Never" } },
    });
    let output = render(&coins("a", None, at(&host, "team", more)), &ASK);
    let digest = Digest::of(INDEX.as_bytes());
    let mut wanted = all_by("IfNotPresent", |name| {
        format!("{host}/team/{name}:v0.1@{digest}")
    });
    wanted[2] = (format!("{host}/missing/rng:v9"), "Always".to_owned());
    wanted[4] = (format!("{host}/team/worker:v0.1"), "Always".to_owned());
    assert_eq!(images(&objects(&output)), wanted);
    let told = told(&output);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(
        told.starts_with(&format!("DockerCoins a: rng: {host}/missing/rng:v9 at ")),
        "{told}"
    );
}

#[test]
fn an_address_that_may_not_be_asked_names_the_flag_that_allows_it() {
    let host = one_index();
    let output = render(
        &coins("a", None, at(&host, "team", json!({}))),
        &["--resolve"],
    );
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    assert!(
        told.contains(". The flag for that is --allow-registry-network 127.0.0.1/32\n"),
        "{told}"
    );
}

#[test]
fn flags_for_asking_need_resolve() {
    for flags in [
        ["--docker-config", "config.json"],
        ["--endpoint", "http://registry:5000"],
        ["--allow-registry-network", "127.0.0.0/8"],
        ["--registry-deadline", "5"],
    ] {
        let output = render(&coins("a", None, json!({})), &flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let told = text(&output.stderr);
        assert!(told.contains("\n  --resolve\n"), "{told}");
    }
}

#[test]
fn what_a_suspended_resource_would_become_is_printed_and_it_is_told() {
    let spec = json!({ "suspend": true, "resolve": { "policy": "Never" } });
    let output = render(&coins("a", Some("demo"), spec), &[]);
    assert_eq!(titles(&objects(&output)), nine());
    assert_eq!(
        told(&output),
        "DockerCoins demo/a: spec.suspend is true: these are what the operator would write once it isn't\n"
    );
}

/// What `render` and `diff` say of a file that can't be taken, without printing anything.
fn refused(input: &str, options: &[&str]) -> String {
    let said: Vec<String> = [("render", 1), ("diff", 2)]
        .map(|(command, code)| {
            let arguments = [&[command, "-f", "-"], options].concat();
            let output = run(&arguments, input.as_bytes());
            assert_eq!(output.status.code(), Some(code), "{command}");
            assert_eq!(text(&output.stdout), "", "{command}");
            told(&output)
        })
        .into();
    assert_eq!(said[0], said[1]);
    said[0].clone()
}

#[test]
fn two_resources_for_one_namespace_are_refused() {
    let input = format!(
        "{}---\n{}",
        coins("a", None, json!({})),
        coins("b", None, json!({}))
    );
    let output = render(&input, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        told(&output),
        "the standard input: DockerCoins a and b are for the same namespace, in which one fits, since the worker looks for rng, hasher and redis by these names: write a metadata.namespace of its own into each\n"
    );
}

#[test]
fn another_namespace_than_the_files_is_refused() {
    let output = render(&coins("a", Some("one"), json!({})), &["--namespace", "two"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        told(&output),
        "the standard input: DockerCoins a is for the namespace one, and --namespace is two: leave one of them out, or write the same\n"
    );
}

#[test]
fn a_file_without_a_resource_is_refused() {
    assert_eq!(
        refused("# nothing\n---\n", &[]),
        "the standard input: there is no DockerCoins in it: write one, as in examples/dockercoins.yaml\n"
    );
}

#[test]
fn another_kind_beside_a_resource_is_refused_by_its_document() {
    let input = format!(
        "{}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: demo}}\n",
        coins("a", None, json!({}))
    );
    assert_eq!(
        refused(&input, &[]),
        "the standard input: document 2: it is a Namespace of v1, and only a DockerCoins of dockercoins.dev/v1alpha1 can be read from here: take it out of the file\n"
    );
}

#[test]
fn a_broken_file_is_refused_by_line_and_column() {
    assert_eq!(
        refused("spec:\n  tag: v0.1: v0.2\n", &[]),
        "the standard input: line 2, column 12: mapping values are not allowed in this context\n"
    );
    let output = run(&["render", "-f", "-"], b"\xff");
    assert_eq!(
        told(&output),
        "the standard input: it is no text in UTF-8\n"
    );
}

#[test]
fn every_field_that_is_not_known_is_refused_by_name() {
    let spec = json!({ "flavour": "mint", "worker": { "replica": 3 } });
    assert_eq!(
        refused(&coins("a", None, spec), &[]),
        "the standard input: spec.flavour: there is no such field: see `kubectl explain coins`\n\
         the standard input: spec.worker.replica: there is no such field: see `kubectl explain coins`\n"
    );
}

#[test]
fn every_value_that_contradicts_another_is_named() {
    let spec = json!({
        "worker": { "image": "a/worker:v1", "tag": "v2" },
        "redis": { "replicas": 2 },
        "webui": { "service": { "nodePort": 30080 } },
    });
    let told = refused(&coins("a", None, spec), &[]);
    let fields: Vec<&str> = told
        .lines()
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    assert_eq!(
        fields,
        [
            "spec.webui.service.nodePort",
            "spec.redis.replicas",
            "spec.worker.image"
        ],
        "{told}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for (command, code) in [("render", 1), ("diff", 2)] {
        let output = run(&[command, "-f", "nowhere/coins.yaml"], b"");
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(
            told(&output),
            "nowhere/coins.yaml: No such file or directory (os error 2)\n"
        );
    }
}

#[test]
fn diff_without_a_cluster_is_an_error_and_no_difference() {
    let output = run(&["diff", "-f", "-"], coins("a", None, json!({})).as_bytes());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let told = told(&output);
    assert!(told.starts_with("no cluster to talk to: "), "{told}");
}
