//! What the operator counts, under the names that dashboards know.
//!
//! What happens is counted here as it happens; what is so, such as how many resources are ready, is looked at when
//! someone asks ([`Now`]), so that it can't drift from the truth. Labels have few values: kinds, verbs, reasons, and
//! of registries' hosts, which users choose, no more than [`HOSTS_MAX`]. `docs/metrics.md` has all of it for people.

mod bounded;
mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use resolver::{HostReport, Observer};

use crate::error::Error;
use bounded::Bounded;
pub use text::Format;

/// The controller's name, and its queue's.
const NAME: &str = "dockercoins";

/// The most registries' hosts that are told apart; what more there are is called `other`.
pub const HOSTS_MAX: usize = 50;

/// The most reasons of `Ready` that are told apart; there are fewer, unless someone else writes them.
const REASONS_MAX: usize = 50;

/// The upper ends of the classes of reconciles' times, in seconds.
const RECONCILE_SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The same of registries' answers.
const REGISTRY_SECONDS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// There is nothing to come back for.
    Success,
    /// Something failed, and is tried again.
    Error,
    /// Nothing failed, and it comes back by itself: to ask registries again, or to write what waits its turn.
    RequeueAfter,
}

/// What writes to the API server are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A server-side apply.
    Apply,
    /// A merge patch.
    Patch,
    /// A deletion.
    Delete,
    /// A creation, of an event.
    Create,
}

/// The counters.
pub struct Metrics {
    registry: Registry,
    hosts: Bounded,
    reconciles: Counters<2>,
    reconcile_errors: Counters<1>,
    reconcile_seconds: Histograms,
    leaders: Family<Labels<1>, Gauge>,
    writes: Counters<3>,
    heals: Counters<1>,
    watch_failures: Counters<1>,
    pushes: Counters<1>,
    registry_requests: Counters<2>,
    registry_seconds: Histograms,
    cache_hits: Counter,
    rate_limits: Family<Labels<1>, Gauge>,
}

/// What is so at the moment, and looked at when someone asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Now {
    /// How many reconciles may go on at once.
    pub turns: u16,
    /// How many do.
    pub active: usize,
    /// How many wait.
    pub waiting: usize,
    /// Of each kind, whether its watches are synced.
    pub synced: Vec<(&'static str, bool)>,
    /// The resources' condition `Ready`: its status and its reason, one for each of them.
    pub ready: Vec<(String, String)>,
    /// The process, where the system tells of it.
    pub process: Option<Process>,
}

/// What the system tells of the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// The processor time that it has used.
    pub cpu: Duration,
    /// Its memory that is in use, in bytes.
    pub resident_bytes: u64,
    /// When it began, in seconds since 1970.
    pub started: f64,
    /// Its open files and connections.
    pub open_fds: u64,
    /// How many it may have.
    pub max_fds: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing has happened yet.
    pub fn new() -> Metrics {
        let mut registry = Registry::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register(
            "dockercoins_operator_build",
            "The operator's version",
            build,
        );
        let seconds = || Histogram::new(RECONCILE_SECONDS);
        let registry_seconds = || Histogram::new(REGISTRY_SECONDS);
        let mut metrics = Metrics {
            registry,
            hosts: Bounded::new(HOSTS_MAX),
            reconciles: Family::default(),
            reconcile_errors: Family::default(),
            reconcile_seconds: Family::new_with_constructor(seconds),
            leaders: Family::default(),
            writes: Family::default(),
            heals: Family::default(),
            watch_failures: Family::default(),
            pushes: Family::default(),
            registry_requests: Family::default(),
            registry_seconds: Family::new_with_constructor(registry_seconds),
            cache_hits: Counter::default(),
            rate_limits: Family::default(),
        };
        metrics.register();
        metrics.begin();
        metrics
    }

    fn register(&mut self) {
        let Self {
            registry,
            hosts: _,
            reconciles,
            reconcile_errors,
            reconcile_seconds,
            leaders,
            writes,
            heals,
            watch_failures,
            pushes,
            registry_requests,
            registry_seconds,
            cache_hits,
            rate_limits,
        } = self;
        registry.register(
            "controller_runtime_reconcile",
            "Reconciles, by how they ended",
            reconciles.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Reconciles in which something failed that is tried again",
            reconcile_errors.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "How long a reconcile took from its first turn to its end, registries included",
            reconcile_seconds.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "Whether this replica is the leader",
            leaders.clone(),
        );
        registry.register(
            "dockercoins_writes",
            "Writes to the API server, by what came of them",
            writes.clone(),
        );
        registry.register(
            "dockercoins_heals",
            "Objects that were changed or deleted behind the operator's back, and put right",
            heals.clone(),
        );
        registry.register(
            "dockercoins_watch_failures",
            "Watches that failed and were begun again",
            watch_failures.clone(),
        );
        registry.register(
            "dockercoins_pushes",
            "Notifications of pushes, by what became of them",
            pushes.clone(),
        );
        registry.register(
            "dockercoins_registry_requests",
            "Images that a registry was asked for, by what came of it",
            registry_requests.clone(),
        );
        registry.register(
            "dockercoins_registry_request_seconds",
            "How long a registry took to answer for an image, logins included",
            registry_seconds.clone(),
        );
        registry.register(
            "dockercoins_registry_cache_hits",
            "Questions answered by an answer that someone else had got",
            cache_hits.clone(),
        );
        registry.register(
            "dockercoins_registry_rate_limit_remaining",
            "How many pulls the registry said last are left",
            rate_limits.clone(),
        );
    }

    /// Has what may happen stand at 0 until it does, so that its first time is an increase.
    fn begin(&self) {
        for ended in [Ended::Success, Ended::Error, Ended::RequeueAfter] {
            drop(self.reconciles.get_or_create(&of_reconcile(ended)));
        }
        drop(self.reconcile_errors.get_or_create(&of_controller()));
        drop(self.reconcile_seconds.get_or_create(&of_controller()));
    }

    /// Counts a reconcile, which took so long from its first turn to its end.
    pub fn reconciled(&self, ended: Ended, took: Duration) {
        self.reconciles.get_or_create(&of_reconcile(ended)).inc();
        if ended == Ended::Error {
            self.reconcile_errors.get_or_create(&of_controller()).inc();
        }
        let seconds = self.reconcile_seconds.get_or_create(&of_controller());
        seconds.observe(took.as_secs_f64());
    }

    /// Notes whether this replica holds the lease of this name.
    pub fn leads(&self, lease: &str, is_leader: bool) {
        let labels = [("name", Cow::Owned(lease.to_owned()))];
        self.leaders
            .get_or_create(&labels)
            .set(i64::from(is_leader));
    }

    /// Counts a write to the API server.
    pub fn wrote<T>(&self, kind: &str, verb: Verb, result: &Result<T, Error>) {
        let verb = match verb {
            Verb::Apply => "apply",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::Create => "create",
        };
        let result = match result {
            Ok(_) => "ok",
            Err(Error::Outdated { .. }) => "conflict",
            Err(Error::Forbidden { .. }) => "forbidden",
            Err(Error::Timeout { .. }) => "timeout",
            // It was not asked for, or another does it now.
            Err(Error::Deposed { .. }) => return,
            Err(_) => "error",
        };
        let labels = [
            ("kind", Cow::Owned(kind.to_owned())),
            ("verb", verb.into()),
            ("result", result.into()),
        ];
        self.writes.get_or_create(&labels).inc();
    }

    /// Counts an object that was put right.
    pub fn healed(&self, kind: &str) {
        self.heals.get_or_create(&of_kind(kind)).inc();
    }

    /// Counts a watch that failed.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_failures.get_or_create(&of_kind(kind)).inc();
    }

    /// Counts a notification of a push, by what became of it.
    pub fn notified(&self, result: &'static str) {
        self.pushes
            .get_or_create(&[("result", result.into())])
            .inc();
    }

    /// Everything, in this format.
    pub fn render(&self, now: &Now, format: Format) -> String {
        text::write(&[&self.registry, &now.registry()], format)
    }
}

impl Observer for Metrics {
    fn host_queried(&self, asking: &HostReport<'_>) {
        let host = self.hosts.name(&asking.host.authority());
        let result = match asking.failure {
            None => Cow::Borrowed("ok"),
            Some(failure) => Cow::Owned(text::underscored(failure.reason())),
        };
        let of_host = [("host", Cow::Owned(host.clone()))];
        let labels = [("host", Cow::Owned(host)), ("result", result)];
        self.registry_requests.get_or_create(&labels).inc();
        let seconds = self.registry_seconds.get_or_create(&of_host);
        seconds.observe(asking.took.as_secs_f64());
        if let Some(left) = asking.remaining {
            let left = i64::try_from(left.remaining).unwrap_or(i64::MAX);
            self.rate_limits.get_or_create(&of_host).set(left);
        }
    }

    fn result_shared(&self) {
        self.cache_hits.inc();
    }
}

impl Now {
    fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        let gauge = |value: usize| {
            let family = Family::<Labels<1>, Gauge>::default();
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&of_controller()).set(value);
            family
        };
        registry.register(
            "controller_runtime_active_workers",
            "Reconciles that have a turn",
            gauge(self.active),
        );
        registry.register(
            "controller_runtime_max_concurrent_reconciles",
            "How many reconciles may have a turn at once",
            gauge(self.turns.into()),
        );
        let depth = Family::<Labels<1>, Gauge>::default();
        depth
            .get_or_create(&[("name", NAME.into())])
            .set(i64::try_from(self.waiting).unwrap_or(i64::MAX));
        registry.register("workqueue_depth", "Resources that wait for a turn", depth);
        let synced = Family::<Labels<1>, Gauge>::default();
        for (kind, is_synced) in &self.synced {
            synced
                .get_or_create(&of_kind(kind))
                .set(i64::from(*is_synced));
        }
        registry.register(
            "dockercoins_watch_synced",
            "Whether what is known of this kind is complete and kept up to date",
            synced,
        );
        registry.register(
            "dockercoins_resources",
            "DockerCoins there are, by their condition Ready",
            self.resources(),
        );
        if let Some(process) = &self.process {
            process.register(&mut registry);
        }
        registry
    }

    fn resources(&self) -> Family<Labels<2>, Gauge> {
        let mut counts = BTreeMap::from([(("True", "Ready"), 0)]);
        let reasons = Bounded::new(REASONS_MAX);
        let named: Vec<(&str, String)> = self
            .ready
            .iter()
            .map(|(status, reason)| {
                let status = match status.as_str() {
                    "True" => "True",
                    "False" => "False",
                    _ => "Unknown",
                };
                (status, reasons.name(reason))
            })
            .collect();
        for (status, reason) in &named {
            *counts.entry((status, reason)).or_default() += 1;
        }
        let resources = Family::<Labels<2>, Gauge>::default();
        for ((status, reason), count) in counts {
            let labels = [
                ("ready", Cow::Owned(status.to_owned())),
                ("reason", Cow::Owned(reason.to_owned())),
            ];
            resources.get_or_create(&labels).set(count);
        }
        resources
    }
}

impl Process {
    fn register(&self, registry: &mut Registry) {
        let cpu = Counter::<f64, AtomicU64>::default();
        cpu.inc_by(self.cpu.as_secs_f64());
        let started = Gauge::<f64, AtomicU64>::default();
        started.set(self.started);
        let gauge = |value: u64| {
            let gauge: Gauge = Gauge::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            gauge
        };
        registry.register("process_cpu_seconds", "Processor time used", cpu);
        registry.register(
            "process_resident_memory_bytes",
            "Memory in use",
            gauge(self.resident_bytes),
        );
        registry.register(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970",
            started,
        );
        registry.register(
            "process_open_fds",
            "Open files and connections",
            gauge(self.open_fds),
        );
        registry.register(
            "process_max_fds",
            "How many of them there may be",
            gauge(self.max_fds),
        );
    }
}

fn of_controller() -> Labels<1> {
    [("controller", NAME.into())]
}

fn of_reconcile(ended: Ended) -> Labels<2> {
    let result = match ended {
        Ended::Success => "success",
        Ended::Error => "error",
        Ended::RequeueAfter => "requeue_after",
    };
    let [controller] = of_controller();
    [controller, ("result", result.into())]
}

fn of_kind(kind: &str) -> Labels<1> {
    [("kind", Cow::Owned(kind.to_owned()))]
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
