use kube::ResourceExt;

use super::*;

const HEAD: &str = "apiVersion: dockercoins.dev/v1alpha1\nkind: DockerCoins\n";

fn refused(text: &str) -> Vec<String> {
    read(text).unwrap_err()
}

fn refused_spec(spec: &str) -> Vec<String> {
    refused(&format!("{HEAD}metadata: {{name: a}}\nspec: {spec}\n"))
}

fn named(name: &str, namespace: &str) -> String {
    format!("{HEAD}metadata:\n  name: {name}\n  namespace: {namespace}\nspec: {{}}\n")
}

#[test]
fn each_document_is_a_resource_and_empty_ones_are_skipped() {
    let (a, b) = (named("a", "one"), named("b", "two"));
    let all = read(&format!("# Two of them.\n---\n{a}---\n---\n{b}---\n")).unwrap();
    let names: Vec<_> = all
        .iter()
        .map(|coins| (coins.name_any(), coins.namespace().unwrap()))
        .collect();
    let own = |name: &str, namespace: &str| (name.to_owned(), namespace.to_owned());
    assert_eq!(names, [own("a", "one"), own("b", "two")]);
}

#[test]
fn json_is_read_too() {
    let text = r#"{"apiVersion":"dockercoins.dev/v1alpha1","kind":"DockerCoins","metadata":{"name":"a"},"spec":{"tag":"v1"}}"#;
    assert_eq!(read(text).unwrap()[0].spec.tag, "v1");
}

#[test]
fn a_file_without_a_resource_is_rejected() {
    for text in ["", "\n", "# nothing\n---\n---\n", "null"] {
        assert_eq!(
            refused(text),
            ["there is no DockerCoins in it: write one, as in examples/dockercoins.yaml"],
            "{text:?}"
        );
    }
}

#[test]
fn a_syntax_error_has_line_and_column() {
    for (text, told) in [
        ("a: [", "line 1, column 4: unclosed bracket '['"),
        (
            "a:\n  b: c: d",
            "line 2, column 7: mapping values are not allowed in this context",
        ),
        (
            "a:\n\t- b",
            "line 2, column 2: tabs disallowed within this context (block indentation)",
        ),
        (
            "a: 1\na: 2\n",
            "line 2, column 1: duplicate mapping key `a` is not allowed here",
        ),
    ] {
        assert_eq!(refused(text), [told], "{text:?}");
    }
}

#[test]
fn another_kind_is_rejected_with_its_document() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: demo}\n";
    let end = "and only a DockerCoins of dockercoins.dev/v1alpha1 can be read from here: take it out of the file";
    assert_eq!(
        refused(namespace),
        [format!("it is a Namespace of v1, {end}")]
    );
    let coins = named("a", "demo");
    assert_eq!(
        refused(&format!(
            "{coins}---\n{namespace}---\n- 1\n---\nkind: A\n---\na: 1\n"
        )),
        [
            format!("document 2: it is a Namespace of v1, {end}"),
            format!("document 3: it is no object, {end}"),
            format!("document 4: it is a A without an apiVersion, {end}"),
            format!("document 5: it is an object without a kind, {end}"),
        ]
    );
    let newer = "apiVersion: dockercoins.dev/v2\nkind: DockerCoins\n";
    assert_eq!(
        refused(newer),
        [format!("it is a DockerCoins of dockercoins.dev/v2, {end}")]
    );
}

#[test]
fn every_unknown_field_is_named() {
    let text = format!(
        "{HEAD}spek: {{}}\nmetadata: {{name: a, lables: {{}}}}\nspec:\n  flavour: mint\n  worker: {{env: [{{name: A, valeu: b}}], podLabels: {{any: name}}}}\n"
    );
    let told =
        |field: &str| format!("{field}: there is no such field: see `kubectl explain coins`");
    assert_eq!(
        refused(&text),
        [
            "metadata.lables",
            "spec.flavour",
            "spec.worker.env[0].valeu",
            "spek"
        ]
        .map(told)
    );
}

#[test]
fn every_part_with_a_wrong_type_is_named() {
    assert_eq!(
        refused_spec("{resolve: {policy: Sometimes}, tag: 1, worker: {replicas: two}}"),
        [
            "spec.resolve: unknown variant `Sometimes`, expected one of `Required`, `BestEffort`, `Never`",
            "spec.tag: invalid type: integer `1`, expected a string",
            "spec.worker: invalid type: string \"two\", expected i32",
        ]
    );
    for spec in ["[]", "null", "text"] {
        assert_eq!(
            refused_spec(spec),
            ["spec: it is no object: write the settings there, or {} for none"]
        );
    }
}

#[test]
fn null_is_no_value() {
    let text = format!("{HEAD}metadata: {{name: a}}\nspec: {{tag: null, worker: null}}\n");
    assert_eq!(read(&text).unwrap()[0].spec, DockerCoinsSpec::default());
}

#[test]
fn server_set_fields_are_dropped() {
    let text = format!(
        "{HEAD}metadata: {{name: a, uid: x, resourceVersion: \"1\", annotations: {{b: c}}}}\nspec: {{}}\nstatus: {{components: 3}}\n"
    );
    let coins = read(&text).unwrap().remove(0);
    assert_eq!(
        json!(coins.metadata),
        json!({ "name": "a", "annotations": { "b": "c" } })
    );
    assert_eq!(coins.status, None);
}

#[test]
fn a_resource_without_a_name_is_rejected() {
    for metadata in ["{}", "{generateName: a-}", "{name: ''}"] {
        assert_eq!(
            refused(&format!("{HEAD}metadata: {metadata}\nspec: {{}}\n")),
            ["metadata.name: it has none: write one, such as dockercoins"]
        );
    }
}

fn placed_in(text: &str, asked: Option<&str>, default: Option<&str>) -> Vec<Option<String>> {
    let mut all = read(text).unwrap();
    place(&mut all, asked, default).unwrap();
    all.iter().map(ResourceExt::namespace).collect()
}

#[test]
fn the_namespace_is_the_files_else_the_flags_else_the_default() {
    let unplaced = format!("{HEAD}metadata: {{name: a}}\nspec: {{}}\n");
    let own = |name: &str| [Some(name.to_owned())];
    assert_eq!(
        placed_in(&named("a", "demo"), None, Some("own")),
        own("demo")
    );
    assert_eq!(
        placed_in(&named("a", "demo"), Some("demo"), None),
        own("demo")
    );
    assert_eq!(placed_in(&unplaced, Some("x"), Some("own")), own("x"));
    assert_eq!(placed_in(&unplaced, None, Some("own")), own("own"));
    assert_eq!(placed_in(&unplaced, None, None), [None]);
}

#[test]
fn conflicting_namespaces_are_rejected() {
    let mut all = read(&format!(
        "{}---\n{}---\n{}",
        named("a", "demo"),
        named("b", "other"),
        named("c", "demo")
    ))
    .unwrap();
    assert_eq!(
        place(&mut all, Some("demo"), None).unwrap_err(),
        [
            "DockerCoins b is for the namespace other, and --namespace is demo: leave one of them out, or write the same",
            "DockerCoins a and c are for the same namespace demo, in which one fits, since the worker looks for rng, hasher and redis by these names: write a metadata.namespace of its own into each",
        ]
    );
}
