//! Tests of the alert rules, runbooks and dashboard as files: they are complete, and Prometheus accepts them.
//! `tests/e2e/cluster/alerts.rs` tests them with a real operator.

pub mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use files::{Alert, DASHBOARD, RULES, alerts, dashboard, file, filled_in, panels, text};

const RUNBOOKS: &str = "docs/alerts.md";
const TESTS: &str = "tests/e2e/monitoring/alerts.test.yaml";
/// The tests that make alerts fire in a real Prometheus.
const REAL: &str = "tests/e2e/cluster/alerts";

fn names() -> Vec<String> {
    alerts().into_iter().map(|alert| alert.name).collect()
}

/// The sections of the runbooks: their titles and what they say.
fn sections() -> Vec<(String, String)> {
    let text = text(RUNBOOKS);
    let sections = text.split("\n## ").skip(1);
    sections
        .map(|section| section.split_once('\n').unwrap())
        .map(|(title, said)| (title.to_owned(), said.to_owned()))
        .collect()
}

/// Runs promtool, which must be content.
fn promtool(arguments: &[&str]) {
    let program =
        std::env::var_os("PROMTOOL").expect("PROMTOOL is set: run these tests by `make test`");
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn every_alert_has_summary_description_and_runbook() {
    for alert in alerts() {
        let Alert {
            name,
            expr: _,
            lasts: _,
            labels,
            annotations,
        } = alert;
        assert!(name.starts_with("DockerCoins"), "{name}");
        assert_eq!(Vec::from_iter(labels.keys()), ["severity"], "{name}");
        assert!(
            ["critical", "warning"].contains(&labels["severity"].as_str()),
            "{name}"
        );
        let said = Vec::from_iter(annotations.keys());
        assert_eq!(said, ["description", "runbook", "summary"], "{name}");
        assert_eq!(
            annotations["runbook"],
            format!("{RUNBOOKS}#{}", name.to_lowercase())
        );
        assert!(
            annotations["description"].contains("Check first "),
            "{name}"
        );
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let sections = sections();
    let titles: Vec<&String> = sections.iter().map(|(title, _)| title).collect();
    assert_eq!(titles, Vec::from_iter(&names()));
    for (title, said) in &sections {
        for part in ["**Meaning.**", "**Diagnosis.**", "**Fix.**"] {
            assert!(said.contains(part), "{title} lacks {part}");
        }
    }
}

#[test]
fn every_alert_is_tested_both_ways() {
    #[derive(Deserialize)]
    struct File {
        tests: Vec<Group>,
    }
    #[derive(Deserialize)]
    struct Group {
        alert_rule_test: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        alertname: String,
        #[serde(default)]
        exp_alerts: Vec<Value>,
    }
    let file: File = serde_saphyr::from_str(&text(TESTS)).unwrap();
    let mut tested: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for case in file
        .tests
        .into_iter()
        .flat_map(|group| group.alert_rule_test)
    {
        let fires = !case.exp_alerts.is_empty();
        tested.entry(case.alertname).or_default().insert(fires);
    }
    let both = BTreeSet::from([false, true]);
    let wanted = names().into_iter().map(|name| (name, both.clone()));
    assert_eq!(tested, wanted.collect());
}

#[test]
fn every_alert_is_fired_by_a_real_operator() {
    let mut code = text(&format!("{REAL}.rs"));
    for entry in std::fs::read_dir(file(REAL)).unwrap() {
        code += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    let fires = |name: &String| code.contains(&format!("until_firing(\"{name}\""));
    let missing: Vec<String> = names().into_iter().filter(|name| !fires(name)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_alert_named_in_the_docs_exists() {
    let names = names();
    for name in [RUNBOOKS, DASHBOARD, TESTS] {
        let text = text(name);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let spoken_of = words.filter_map(|word| Some((word, word.strip_prefix("DockerCoins")?)));
        let unknown = spoken_of
            .filter(|(word, rest)| !rest.is_empty() && !names.contains(&(*word).to_owned()))
            .map(|(word, _)| word);
        assert_eq!(Vec::from_iter(unknown), Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn every_queried_metric_is_documented() {
    let documented = text("docs/metrics.md");
    let ours = [
        "controller_runtime_",
        "dockercoins_",
        "leader_election_",
        "process_",
        "workqueue_",
    ];
    let rules = alerts().into_iter().map(|alert| alert.expr);
    let queries = panels().into_iter().flat_map(|panel| panel.queries);
    let mut unknown = BTreeSet::new();
    for query in rules.chain(queries) {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))) {
            // A histogram's classes are series of their own.
            let metric = word.trim_end_matches("_bucket");
            if !documented.contains(&format!("| `{metric}` |")) {
                unknown.insert(metric.to_owned());
            }
        }
    }
    assert_eq!(unknown, BTreeSet::new());
}

#[test]
#[ignore = "needs promtool: make test"]
fn rules_pass_their_unit_tests() {
    promtool(&[
        "check",
        "rules",
        "--lint=all",
        "--lint-fatal",
        file(RULES).to_str().unwrap(),
    ]);
    promtool(&["test", "rules", file(TESTS).to_str().unwrap()]);
}

#[test]
fn every_panel_has_a_description_unit_and_place() {
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in panels() {
        let title = &panel.title;
        assert!(!title.is_empty(), "{}", panel.json);
        assert!(ids.insert(panel.json["id"].as_u64().unwrap()), "{title}");
        let description = panel.json["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{title}: {description:?}");
        let unit = panel.json["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(unit.is_some_and(|unit| !unit.is_empty()), "{title}");
        assert!(!panel.queries.is_empty(), "{title}");
        let at = |field: &str| panel.json["gridPos"][field].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && places.insert((x, y)), "{title} covers another");
            }
        }
    }
}

#[test]
fn dashboard_has_data_source_and_installation_variables() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "dockercoins-operator");
    assert_eq!(dashboard.get("id"), None);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let named = |variable: &Value| (variable["name"].clone(), variable["type"].clone());
    let variables: Vec<(Value, Value)> = variables.iter().map(named).collect();
    let wanted = [
        ("datasource", "datasource"),
        ("namespace", "query"),
        ("job", "query"),
    ];
    assert_eq!(
        variables,
        wanted.map(|(name, type_)| (json!(name), json!(type_)))
    );
    for panel in panels() {
        assert_eq!(
            panel.json["datasource"]["uid"], "${datasource}",
            "{}",
            panel.title
        );
        for query in panel.queries {
            assert!(
                query.contains(r#"{job=~"$job", namespace=~"$namespace""#),
                "{query}"
            );
        }
    }
}

#[test]
#[ignore = "needs promtool: make test"]
fn every_dashboard_query_parses() {
    let queries = panels().into_iter().flat_map(|panel| panel.queries);
    let rule = |(number, query): (usize, String)| json!({ "record": format!("query:{number}"), "expr": filled_in(&query, "5m") });
    let rules: Vec<Value> = queries.enumerate().map(rule).collect();
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dashboard.yaml");
    // YAML takes JSON.
    std::fs::write(&path, rules.to_string()).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()]);
}
