//! What is wrong is told whole, by file and field.

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
fn every_fault_of_a_configuration_is_told() {
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
            "conf/a.yaml: \"extra\": there is no such field; those there are: apiVersion, kind, providers",
            "conf/a.yaml: apiVersion: it must be one of: kubelet.config.k8s.io/v1, kubelet.config.k8s.io/v1beta1, kubelet.config.k8s.io/v1alpha1",
            "conf/a.yaml: kind: it must be `CredentialProviderConfig`",
            "conf/a.yaml: providers[0].name: \"../evil\" has a slash or a space in it; write the name of a program in the folder of plugins",
            "conf/a.yaml: providers[0].matchImages[1]: it must be text; put it in quotes",
            "conf/a.yaml: providers[0].matchImages[0]: \"a b.io\" is no image; write a host, in which `*` is any text of a label, with its port and a path if need be",
            "conf/a.yaml: providers[0].defaultCacheDuration: it is below zero; write `0s` to keep nothing",
            "conf/a.yaml: providers[0].apiVersion: it must be one of: credentialprovider.kubelet.k8s.io/v1, credentialprovider.kubelet.k8s.io/v1beta1, credentialprovider.kubelet.k8s.io/v1alpha1",
            "conf/a.yaml: providers[0].args: it must be a list",
            "conf/a.yaml: providers[0].env[0].value: it must be text; put it in quotes",
            "conf/a.yaml: providers[0].env[1]: it must be an object",
            "conf/a.yaml: providers[0].tokenAttributes: tokens of service accounts are not supported here; remove it, and let the plugin log in as the operator, or keep the login in a pull secret",
            "conf/a.yaml: providers[1].name: it is required; write the name of the plugin's program",
            "conf/a.yaml: providers[1].matchImages: there must be at least one, such as `*.dkr.ecr.*.amazonaws.com`",
            "conf/a.yaml: providers[1].defaultCacheDuration: it is no duration; write it with its unit, such as `12h` or `1h30m`",
            "conf/a.yaml: providers[2].defaultCacheDuration: it must be text; write it with its unit, such as `12h` or `1h30m`",
            "conf/b.yaml: providers[0].defaultCacheDuration: it is required; write how long a login is kept where the plugin does not say, such as `12h`, or `0s` for not at all",
            "conf/b.yaml: providers[0].name: `twice` is there already, as providers[2].name of conf/a.yaml; a plugin stands in one place only",
        ]
    );
}

#[test]
fn a_file_that_is_no_configuration_is_told_and_not_shown() {
    let cases = [
        (
            "hunter2: [",
            "conf: it is neither YAML nor JSON (line 1, column 10)",
        ),
        ("hunter2", "conf: it must be an object"),
        (
            "kind: a\nkind: hunter2",
            "conf: it has a field twice (line 2, column 1); remove one of them",
        ),
        (
            "a: b\n---\na: hunter2",
            "conf: it has more than one document (line 3, column 1); write one to a file, and give the folder of the files",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(faults(&[("conf", text)]), [expected], "{text}");
    }
}

#[test]
fn what_is_not_there_is_told() {
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
        "the credential providers cannot be used: /none: it is no folder, and should be that of the plugins' programs"
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
         /files/a.json: providers[0].name: its program /bin/missing is not there; put it in the folder of plugins, or remove the provider; \
         /files/b.json: providers[0].name: its program /bin/b may not be executed; make it executable; \
         /files/c.json: providers[0].name: its program /bin/c is not a file"
    );
}

#[test]
fn an_answer_that_is_of_no_use_is_told_and_not_shown() {
    let v1 = "credentialprovider.kubelet.k8s.io/v1";
    let answer = |rest: &str| {
        format!(r#"{{"apiVersion":"{v1}","kind":"CredentialProviderResponse",{rest}}}"#)
    };
    let cases = [
        (
            " \n".to_owned(),
            "it printed nothing; it must print a CredentialProviderResponse",
        ),
        (
            "hunter2".to_owned(),
            "what it printed is no JSON object (line 1, column 1); it must print a CredentialProviderResponse and nothing else",
        ),
        (
            r#"{"apiVersion":"credentialprovider.kubelet.k8s.io/v1beta1"}"#.to_owned(),
            "it answers in the apiVersion \"credentialprovider.kubelet.k8s.io/v1beta1\", and not in `credentialprovider.kubelet.k8s.io/v1`, in which it is asked; set its apiVersion in the configuration to one that it speaks",
        ),
        (
            format!(r#"{{"apiVersion":"{v1}","kind":"Status"}}"#),
            "it answers with a \"Status\", where a CredentialProviderResponse is asked for",
        ),
        (
            answer(r#""hunter2":1"#),
            "its answer is not as credentialprovider.kubelet.k8s.io/v1 has it (line 1, column 98): a field that there is not, or one of another type",
        ),
        (
            answer(r#""cacheKeyType":"hunter2""#),
            "its answer has no valid cacheKeyType; it must be Image, Registry or Global",
        ),
        (
            answer(r#""cacheKeyType":"Image","cacheDuration":"hunter2""#),
            "its answer has a cacheDuration that is no duration; it must have a unit, such as `12h`",
        ),
    ];
    for (output, expected) in cases {
        let told = answer::read(output.as_bytes(), v1).err();
        assert_eq!(told.as_deref(), Some(expected), "{output}");
    }
}
