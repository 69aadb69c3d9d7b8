//! The OpenTelemetry Collector's receiver as a process, and the traces it received.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::registry::free_address;
use super::{until, variable};

/// A receiver of traces, which is ended when this is dropped.
pub struct Collector {
    /// Where it takes them: `http://HOST:PORT`.
    pub endpoint: String,
    process: Child,
    folder: TempDir,
}

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: String,
    /// What it is called.
    pub name: String,
    /// Its attributes as text, with `otel.status_code` for an error.
    pub attributes: BTreeMap<String, String>,
    /// Who sent it, likewise.
    pub resource: BTreeMap<String, String>,
    id: String,
    parent: String,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let address = free_address();
        let process = Command::new(variable("OTLP"))
            .arg(&address)
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("traces")).unwrap())
            .spawn()
            .unwrap();
        until("the receiver of traces listens", async || {
            tokio::net::TcpStream::connect(&address).await.map(drop)
        })
        .await;
        Self {
            endpoint: format!("http://{address}"),
            process,
            folder,
        }
    }

    /// All that it was sent, as JSON.
    pub fn text(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("traces")).unwrap()
    }

    /// The spans that it was sent.
    pub fn spans(&self) -> Vec<Span> {
        let text = self.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().flat_map(spans).collect()
    }
}

fn spans(line: &str) -> Vec<Span> {
    let sent: Value = serde_json::from_str(line).unwrap();
    let mut all = Vec::new();
    for of_resource in list(&sent["resourceSpans"]) {
        let resource = attributes(&of_resource["resource"]);
        for of_scope in list(&of_resource["scopeSpans"]) {
            all.extend(list(&of_scope["spans"]).map(|span| {
                let mut attributes = attributes(span);
                if span["status"]["code"] == 2 {
                    attributes.insert("otel.status_code".into(), "ERROR".into());
                }
                Span {
                    trace: text(&span["traceId"]),
                    name: text(&span["name"]),
                    attributes,
                    resource: resource.clone(),
                    id: text(&span["spanId"]),
                    parent: text(&span["parentSpanId"]),
                }
            }));
        }
    }
    all
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let attribute = |pair: &Value| {
        let value = pair["value"].as_object().unwrap().values().next().unwrap();
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (text(&pair["key"]), value)
    };
    list(&of["attributes"]).map(attribute).collect()
}

/// Each trace, as a tree of lines: a span's name, and below it what began within it, in alphabetical order.
/// `label` says what else is shown of a span.
///
/// A span whose parent didn't arrive is not in it, and fails the test.
pub fn trees(spans: &[Span], label: impl Fn(&Span) -> String) -> Vec<String> {
    let traces: BTreeSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
    let tree = |trace: &str| {
        let of_trace: Vec<&Span> = spans.iter().filter(|span| span.trace == trace).collect();
        let tree = below("", &of_trace, &label, 0);
        assert_eq!(tree.lines().count(), of_trace.len(), "{of_trace:#?}");
        tree
    };
    traces.into_iter().map(tree).collect()
}

fn below(parent: &str, all: &[&Span], label: &impl Fn(&Span) -> String, depth: usize) -> String {
    let children = all.iter().filter(|span| span.parent == parent);
    let mut trees: Vec<String> = children
        .map(|span| {
            let line = format!("{:1$}{2}{3}\n", "", depth * 2, span.name, label(span));
            line + &below(&span.id, all, label, depth + 1)
        })
        .collect();
    trees.sort();
    trees.concat()
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
