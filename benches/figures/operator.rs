//! The operator as it is released, and what it was seen to do.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// What the operator calls itself to the API server.
const AGENT: &str = "dockercoins-operator";

/// The operator, until it is dropped.
pub struct Operator(Child);

impl Operator {
    /// Starts it on the cluster of the kubeconfig.
    pub fn start() -> Self {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures-operator.log");
        let process = Command::new(env!("CARGO_BIN_EXE_dockercoins-operator"))
            .args(["run", "--allow-registry-network", "127.0.0.0/8"])
            .stdin(Stdio::null())
            .stderr(fs::File::create(log).expect("a log"))
            .spawn()
            .expect("the operator starts");
        Self(process)
    }

    /// What it has of the machine's memory now, and had at most.
    pub fn memory(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let mib = |field: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .expect("a field");
            let kib: f64 = line
                .trim_end_matches("kB")
                .trim()
                .parse()
                .expect("a number");
            kib / 1024.0
        };
        format!("{:.1} MiB (at most {:.1})", mib("VmRSS:"), mib("VmHWM:"))
    }

    /// Waits until it has used no processor time for three seconds.
    pub async fn is_at_rest(&self) {
        let used = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it runs");
            let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
            // utime and stime, the 14th and 15th field of all.
            let ticks = fields
                .skip(11)
                .take(2)
                .map(|field| field.parse::<u64>().expect("a number"));
            ticks.sum::<u64>()
        };
        loop {
            let before = used();
            tokio::time::sleep(Duration::from_secs(3)).await;
            if used() - before <= 1 {
                return;
            }
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A request of the operator's, as the API server's audit log has it.
pub struct Request {
    verb: String,
    resource: String,
    /// Empty for a request about all namespaces.
    pub namespace: String,
}

impl Request {
    fn read(line: &str) -> Option<Self> {
        // The last line may still be being written.
        let entry: Value = serde_json::from_str(line).ok()?;
        let text = |pointer: &str| {
            let value = entry.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let mut resource = text("/objectRef/resource");
        let subresource = text("/objectRef/subresource");
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        text("/userAgent").starts_with(AGENT).then(|| Self {
            verb: text("/verb"),
            resource,
            namespace: text("/objectRef/namespace"),
        })
    }
}

/// How many requests were made of each kind, such as `patch services`.
pub struct Requests(BTreeMap<String, usize>);

impl Requests {
    /// The operator's so far that `is` wants, without watches.
    pub fn of_operator(is: impl Fn(&Request) -> bool) -> Self {
        let log = std::env::var_os("AUDIT_LOG").expect("AUDIT_LOG is set by `make figures`");
        let log = PathBuf::from(log);
        // The API server begins a new file when one is full.
        let files = fs::read_dir(log.parent().expect("a log is in a folder")).expect("a folder");
        let mut counted = BTreeMap::new();
        for file in files.map(|file| file.expect("a file").path()) {
            let is_audit = file
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("audit"));
            if !is_audit {
                continue;
            }
            let text = fs::read_to_string(file).expect("the audit log can be read");
            let ours = text
                .lines()
                .filter(|line| line.contains(AGENT))
                .filter_map(Request::read);
            for request in ours.filter(|request| request.verb != "watch" && is(request)) {
                *counted
                    .entry(format!("{} {}", request.verb, request.resource))
                    .or_default() += 1;
            }
        }
        Self(counted)
    }

    /// How many there are of one kind.
    pub fn of(&self, kind: &str) -> usize {
        self.0.get(kind).copied().unwrap_or_default()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.values().sum()
    }

    /// How many of them write.
    pub fn writes(&self) -> usize {
        let is_write = |kind: &&String| !kind.starts_with("get ") && !kind.starts_with("list ");
        self.0
            .keys()
            .filter(is_write)
            .map(|kind| self.of(kind))
            .sum()
    }

    /// Those that are not in an earlier count.
    pub fn since(&self, earlier: &Self) -> Self {
        let more = self
            .0
            .iter()
            .map(|(kind, count)| (kind.clone(), count - earlier.of(kind)));
        Self(more.filter(|(_, count)| *count > 0).collect())
    }
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = self
            .0
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        f.write_str(&each.join(", "))
    }
}
