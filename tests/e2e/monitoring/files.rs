//! The rules and the dashboard that belong to the operator, as the tests read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// A file of this repository.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file of this repository.
pub fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Where the rules are.
pub const RULES: &str = "charts/dockercoins-operator/files/alerts.yaml";

/// Where the dashboard is.
pub const DASHBOARD: &str = "charts/dockercoins-operator/files/dashboard.json";

/// An alert rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its name.
    #[serde(rename = "alert")]
    pub name: String,
    /// What it looks for.
    pub expr: String,
    /// For how long that must be so.
    #[serde(rename = "for")]
    #[expect(dead_code, reason = "an alert may have it, and no test looks at it")]
    pub lasts: Option<String>,
    /// What it is marked with.
    pub labels: BTreeMap<String, String>,
    /// What it says.
    pub annotations: BTreeMap<String, String>,
}

/// All alerts, in the file's order.
pub fn alerts() -> Vec<Alert> {
    #[derive(Deserialize)]
    struct File {
        groups: Vec<Group>,
    }
    #[derive(Deserialize)]
    struct Group {
        rules: Vec<Alert>,
    }
    let file: File = serde_saphyr::from_str(&text(RULES)).unwrap();
    file.groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect()
}

/// A panel of the dashboard that shows something.
#[derive(Debug)]
pub struct Panel {
    /// Its title.
    pub title: String,
    /// What it asks Prometheus for.
    pub queries: Vec<String>,
    /// All of it.
    pub json: Value,
}

/// The dashboard as it is imported.
pub fn dashboard() -> Value {
    serde_json::from_str(&text(DASHBOARD)).unwrap()
}

/// The dashboard's panels, without the rows that order them.
pub fn panels() -> Vec<Panel> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let shown = panels.filter(|panel| panel["type"] != "row");
    let panel = |json: &Value| Panel {
        title: json["title"].as_str().unwrap_or_default().to_owned(),
        queries: json["targets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|target| target["expr"].as_str().unwrap().to_owned())
            .collect(),
        json: json.clone(),
    };
    shown.map(panel).collect()
}

/// A query of the dashboard with its variables replaced as Grafana does: every job and every namespace, and this
/// range for rates.
pub fn filled_in(query: &str, rate_interval: &str) -> String {
    query
        .replace("$job", ".*")
        .replace("$namespace", ".*")
        .replace("$__rate_interval", rate_interval)
}
