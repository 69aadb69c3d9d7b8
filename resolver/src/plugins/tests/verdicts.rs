//! What the kubelet makes of configurations and answers is made of them here too. The cases stand
//! in `tests/judges/plugins/cases.json`, with the verdicts of Kubernetes 1.37.2 that the program
//! beside them got.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Cases {
    configs: Vec<ConfigCase>,
    lookups: Vec<LookupCase>,
}

#[derive(Deserialize)]
struct ConfigCase {
    name: String,
    files: BTreeMap<String, String>,
    accepted: bool,
    said: String,
}

#[derive(Deserialize)]
struct LookupCase {
    name: String,
    config: String,
    answers: BTreeMap<String, String>,
    images: Vec<String>,
    logins: Vec<Vec<Login>>,
    failed: Vec<bool>,
    runs: BTreeMap<String, usize>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Login {
    username: String,
    password: String,
}

fn cases() -> Cases {
    serde_json::from_slice(&fs::read(fixture()).unwrap()).unwrap()
}

/// What is refused here although the kubelet takes it: what it drops without a word, and what
/// would need a service account's token.
const STRICTER: [&str; 2] = ["a second document", "tokenAttributes"];

/// What is taken here although the kubelet refuses it: YAML that its parsers cannot read.
const MILDER: [&str; 2] = ["YAML in braces", "anchors"];

#[test]
fn configurations_are_accepted_as_by_the_kubelet() {
    let (mut stricter, mut milder) = (Vec::new(), Vec::new());
    for case in cases().configs {
        let folder = Folder::new();
        for name in ["a", "b", "5", "yes"] {
            folder.program(name, "");
        }
        for (name, text) in &case.files {
            folder.file(&format!("files/{name}"), text);
        }
        let at = match case.files.contains_key("config") {
            true => "files/config",
            false => "files",
        };
        match (folder.open_at(at), case.accepted) {
            (Ok(_), true) | (Err(_), false) => {}
            (Ok(_), false) => milder.push((case.name, case.said)),
            (Err(error), true) => stricter.push((case.name, folder.shown(&error))),
        }
    }
    let names = |told: &[(String, String)]| -> Vec<String> {
        told.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&stricter), STRICTER, "{stricter:#?}");
    assert_eq!(names(&milder), MILDER, "{milder:#?}");
}

#[tokio::test]
async fn images_are_looked_up_as_by_the_kubelet() {
    for case in cases().lookups {
        let folder = Folder::new();
        for (name, answer) in &case.answers {
            folder.file(&format!("answer-{name}"), answer);
            let script = format!(
                "cd '{0}'; printf x >> runs-{name}; cat > request; cat answer-{name}",
                folder.path("").display()
            );
            folder.program(name, &script);
        }
        folder.file("config", &case.config);
        let plugins = folder.open();
        let (mut logins, mut failed) = (Vec::new(), Vec::new());
        for image in &case.images {
            let (found, failures) = plugins.lookup(image).await;
            let found = found.iter().map(|credential| Login {
                username: credential.username().to_owned(),
                password: credential.proof().value().to_owned(),
            });
            logins.push(found.collect::<Vec<_>>());
            failed.push(!failures.is_empty());
        }
        let runs: BTreeMap<_, _> = case
            .answers
            .keys()
            .map(|name| (name.clone(), folder.read(&format!("runs-{name}")).len()))
            .collect();
        assert_eq!(
            (logins, failed, runs),
            (case.logins, case.failed, case.runs),
            "{}",
            case.name
        );
    }
}
