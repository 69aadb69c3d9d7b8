//! Faults are reported with file and field.

use super::*;

fn faults(files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
        .collect();
    match config::read(Path::new("conf"), &files) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn all_faults_of_a_configuration_are_reported() {
    let config = r#"
apiVersion: kubelet.config.k8s.io/v2
kind: KubeletConfiguration
extra: 1
providers:
- name: ../evil
  apiVersion: v1
  defaultCacheDuration: -1s
  matchImages: ["a b.io", 5]
  args: hunter2
  env:
  - name: TOKEN
    value: 12345678
  - PASSWORD=hunter2
  tokenAttributes: {}
- matchImages: []
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  defaultCacheDuration: 1d
- name: twice
  matchImages: [a.io]
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  defaultCacheDuration: 12
"#;
    let other = r#"
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: twice
  matchImages: [a.io]
  apiVersion: credentialprovider.kubelet.k8s.io/v1
"#;
    assert_eq!(
        faults(&[("conf/a.yaml", config), ("conf/b.yaml", other)]),
        [
            "conf/a.yaml: \"extra\": unknown field; the known ones are: apiVersion, kind, providers",
            "conf/a.yaml: apiVersion: it must be one of: kubelet.config.k8s.io/v1, kubelet.config.k8s.io/v1beta1, kubelet.config.k8s.io/v1alpha1",
            "conf/a.yaml: kind: it must be `CredentialProviderConfig`",
            "conf/a.yaml: providers[0].name: \"../evil\" has a slash or a space: write the name of a program in the plugin folder",
            "conf/a.yaml: providers[0].matchImages[1]: it must be a string: write it in quotes",
            "conf/a.yaml: providers[0].matchImages[0]: \"a b.io\" is not an image pattern: write `host[:port][/path]`, with `*` for any part of a host label",
            "conf/a.yaml: providers[0].defaultCacheDuration: it is negative: write `0s` for no caching",
            "conf/a.yaml: providers[0].apiVersion: it must be one of: credentialprovider.kubelet.k8s.io/v1, credentialprovider.kubelet.k8s.io/v1beta1, credentialprovider.kubelet.k8s.io/v1alpha1",
            "conf/a.yaml: providers[0].args: it must be a list",
            "conf/a.yaml: providers[0].env[0].value: it must be a string: write it in quotes",
            "conf/a.yaml: providers[0].env[1]: it must be an object",
            "conf/a.yaml: providers[0].tokenAttributes: service account tokens are not supported: remove it, and let the plugin log in as the operator, or use a pull secret",
            "conf/a.yaml: providers[1].name: it is required: write the name of the plugin's program",
            "conf/a.yaml: providers[1].matchImages: there must be at least one, such as `*.dkr.ecr.*.amazonaws.com`",
            "conf/a.yaml: providers[1].defaultCacheDuration: it is not a duration: write it with its unit, such as `12h` or `1h30m`",
            "conf/a.yaml: providers[2].defaultCacheDuration: it must be a string: write it with its unit, such as `12h` or `1h30m`",
            "conf/b.yaml: providers[0].defaultCacheDuration: it is required: write the default cache duration, such as `12h`, or `0s` for no caching",
            "conf/b.yaml: providers[0].name: `twice` is a duplicate of providers[2].name in conf/a.yaml",
        ]
    );
}

#[test]
fn invalid_file_is_reported_without_quoting() {
    let cases = [
        (
            "hunter2: [",
            "conf: it is neither YAML nor JSON (line 1, column 10)",
        ),
        ("hunter2", "conf: it must be an object"),
        (
            "kind: a\nkind: hunter2",
            "conf: it has a duplicate field (line 2, column 1): remove one",
        ),
        (
            "a: b\n---\na: hunter2",
            "conf: it has more than one document (line 3, column 1): write one document per file, and name their folder",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(faults(&[("conf", text)]), [expected], "{text}");
    }
}

#[test]
fn missing_files_are_reported() {
    let folder = Folder::with_plugin("");
    let told = |config: &str, bin: &str| {
        let error = Plugins::open(&folder.path(config), &folder.path(bin)).unwrap_err();
        folder.shown(&error)
    };
    assert_eq!(
        told("none", "bin"),
        "the credential providers cannot be used: /none: it cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(
        told("config", "none"),
        "the credential providers cannot be used: /none: it is not a folder: name the folder of the plugins' programs"
    );
    assert_eq!(
        told("bin", "bin"),
        "the credential providers cannot be used: /bin: it has no file that ends in .json, .yaml, .yml"
    );
    folder.file("bin/b", "not executable");
    fs::create_dir(folder.path("bin/c")).unwrap();
    for (file, name) in [("a", "missing"), ("b", "b"), ("c", "c")] {
        let text = configuration(&folder.provider(name));
        folder.file(&format!("files/{file}.json"), &text);
    }
    assert_eq!(
        told("files", "bin"),
        "the credential providers cannot be used: \
         /files/a.json: providers[0].name: its program /bin/missing does not exist: install it in the plugin folder, or remove the provider; \
         /files/b.json: providers[0].name: its program /bin/b is not executable: make it executable; \
         /files/c.json: providers[0].name: its program /bin/c is not a file"
    );
}

#[test]
fn invalid_answer_is_reported_without_quoting() {
    let v1 = "credentialprovider.kubelet.k8s.io/v1";
    let answer = |rest: &str| {
        format!(r#"{{"apiVersion":"{v1}","kind":"CredentialProviderResponse",{rest}}}"#)
    };
    let cases = [
        (
            " \n".to_owned(),
            "it printed nothing: it must print a CredentialProviderResponse",
        ),
        (
            "hunter2".to_owned(),
            "its output is not a JSON object (line 1, column 1): it must print a CredentialProviderResponse and nothing else",
        ),
        (
            r#"{"apiVersion":"credentialprovider.kubelet.k8s.io/v1beta1"}"#.to_owned(),
            "it answered with apiVersion \"credentialprovider.kubelet.k8s.io/v1beta1\" instead of `credentialprovider.kubelet.k8s.io/v1`: set `apiVersion` in its configuration to one that it supports",
        ),
        (
            format!(r#"{{"apiVersion":"{v1}","kind":"Status"}}"#),
            "it answered with kind \"Status\" instead of CredentialProviderResponse",
        ),
        (
            answer(r#""hunter2":1"#),
            "its answer does not match credentialprovider.kubelet.k8s.io/v1 (line 1, column 98): an unknown field, or one of another type",
        ),
        (
            answer(r#""cacheKeyType":"hunter2""#),
            "its answer has an invalid cacheKeyType: it must be Image, Registry or Global",
        ),
        (
            answer(r#""cacheKeyType":"Image","cacheDuration":"hunter2""#),
            "its answer has an invalid cacheDuration: it must have a unit, such as `12h`",
        ),
    ];
    for (output, expected) in cases {
        let told = response::read(output.as_bytes(), v1).err();
        assert_eq!(told.as_deref(), Some(expected), "{output}");
    }
}
