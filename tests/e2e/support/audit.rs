//! Requests to the API server, from its audit log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use serde_json::Value;

use super::{Namespace, variable};

/// How many requests there were of each kind, written as `verb resource` or `verb resource/subresource`.
pub type Requests = BTreeMap<String, usize>;

impl Namespace {
    /// The requests that operators have sent about this namespace so far, but for watches that go on.
    pub fn requests(&self) -> Requests {
        let mut requests = Requests::new();
        for request in self.audited() {
            let about = &request["objectRef"];
            let part = about["subresource"]
                .as_str()
                .map(|part| format!("/{part}"))
                .unwrap_or_default();
            let verb = request["verb"].as_str().unwrap_or_default();
            let resource = about["resource"].as_str().unwrap_or_default();
            *requests
                .entry(format!("{verb} {resource}{part}"))
                .or_default() += 1;
        }
        requests
    }

    /// The same, without lists and watches, which come at the start and when a watch is renewed.
    pub fn acts(&self) -> Requests {
        let mut requests = self.requests();
        requests.retain(|kind, _| !kind.starts_with("watch ") && !kind.starts_with("list "));
        requests
    }

    /// What was asked since `before`, as `requests` tells it, but for watches.
    pub fn asked_since(&self, before: &Requests) -> Requests {
        let mut asked = since(self.requests(), before);
        asked.retain(|kind, _| !kind.starts_with("watch "));
        asked
    }

    /// What was asked since `before`, as `acts` tells it, but for what tells of it: status and events.
    pub fn written_since(&self, before: &Requests) -> Requests {
        let mut written = since(self.acts(), before);
        written.remove("patch dockercoins/status");
        written.remove("create events");
        written
    }

    /// How many requests of one kind there were, about an object of this name.
    pub fn requests_about(&self, verb: &str, resource: &str, name: &str) -> usize {
        let is = |request: &&Value| {
            let about = &request["objectRef"];
            request["verb"] == verb && about["resource"] == resource && about["name"] == name
        };
        self.audited().iter().filter(is).count()
    }

    /// The audit events of these requests.
    pub fn audited(&self) -> Vec<Value> {
        self.audited_of(&["dockercoins-operator/"])
    }

    /// The audit events of requests about this namespace by programs that call themselves so.
    pub fn audited_of(&self, agents: &[&str]) -> Vec<Value> {
        let log = PathBuf::from(variable("AUDIT_LOG"));
        let folder = log.parent().expect("a log is in a folder");
        let mut requests = Vec::new();
        // The API server begins a new file when one is full.
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap());
        for file in files.filter(|file| file.file_name().to_string_lossy().starts_with("audit")) {
            for line in BufReader::new(File::open(file.path()).unwrap()).lines() {
                let line = line.unwrap();
                // Far cheaper than reading the JSON of every line.
                if !line.contains(&self.name) || !agents.iter().any(|agent| line.contains(agent)) {
                    continue;
                }
                let request: Value = match serde_json::from_str(&line) {
                    Ok(request) => request,
                    // The last line may be half written.
                    Err(_) => continue,
                };
                let agent = request["userAgent"].as_str().unwrap_or_default();
                if agents.iter().any(|wanted| agent.starts_with(wanted))
                    && request["objectRef"]["namespace"] == *self.name
                    && request["stage"] == "ResponseComplete"
                {
                    requests.push(request);
                }
            }
        }
        requests
    }
}

/// What has come since `before`.
fn since(mut now: Requests, before: &Requests) -> Requests {
    for (kind, count) in before {
        *now.get_mut(kind).expect("counts don't shrink") -= count;
    }
    now.retain(|_, count| *count > 0);
    now
}
