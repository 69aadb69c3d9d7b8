//! Prometheus metrics, named as controller-runtime names them where it has the same; see `docs/metrics.md`.
//!
//! Counters are incremented as events happen. Gauges are computed for each scrape from a [`Snapshot`], so that they can't
//! drift. Labels have few values; registries' hosts, which users choose, are limited to [`MAX_HOSTS`].

mod format;
mod label_limit;

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

use crate::runtime::api_client::WriteObserver;
use crate::runtime::error::Verb;
pub use format::Format;
use label_limit::LabelLimit;

/// The label of the controller and of its work queue.
const NAME: &str = "dockercoins";

/// The most values of the label `host`; further ones become `other`.
pub const MAX_HOSTS: usize = 50;

/// The most values of the label `reason`. The operator has fewer, but others may write conditions.
const MAX_REASONS: usize = 50;

/// Histogram buckets of reconciles, in seconds.
const RECONCILE_BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Histogram buckets of registry requests, in seconds.
const REGISTRY_BUCKETS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// The result of a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileResult {
    /// Done, without a requeue.
    Success,
    /// Failed, with a retry.
    Error,
    /// Done, with a requeue: to resolve tags again, or to write pending changes.
    RequeueAfter,
}

/// All metrics that are counted.
pub struct Metrics {
    registry: Registry,
    hosts: LabelLimit,
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

/// The gauges at the time of a scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The number of workers.
    pub max_concurrent: u16,
    /// Workers that are busy.
    pub active: usize,
    /// Resources that wait for a worker.
    pub queued: usize,
    /// Whether the watches of each kind are synced.
    pub synced: Vec<(&'static str, bool)>,
    /// Status and reason of each resource's condition Ready.
    pub ready: Vec<(String, String)>,
    /// The process metrics, on Linux.
    pub process: Option<Process>,
}

/// The process metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// CPU time used.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Start time in seconds since 1970.
    pub started: f64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// The limit of file descriptors.
    pub max_fds: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics at zero.
    pub fn new() -> Metrics {
        let mut registry = Registry::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register(
            "dockercoins_operator_build",
            "The operator's version",
            build,
        );
        let seconds = || Histogram::new(RECONCILE_BUCKETS);
        let registry_seconds = || Histogram::new(REGISTRY_BUCKETS);
        let mut metrics = Metrics {
            registry,
            hosts: LabelLimit::new(MAX_HOSTS),
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
        metrics.init();
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
            "Reconciles, by result",
            reconciles.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Reconciles that failed and are retried",
            reconcile_errors.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "Duration of reconciles, registry requests included",
            reconcile_seconds.clone(),
        );
        registry.register(
            "leader_election_master_status",
            "Whether this replica is the leader",
            leaders.clone(),
        );
        registry.register(
            "dockercoins_writes",
            "Writes to the API server, by result",
            writes.clone(),
        );
        registry.register(
            "dockercoins_heals",
            "Objects restored after a change or deletion by someone else",
            heals.clone(),
        );
        registry.register(
            "dockercoins_watch_failures",
            "Watches that failed and were restarted",
            watch_failures.clone(),
        );
        registry.register(
            "dockercoins_pushes",
            "Webhook requests, by result",
            pushes.clone(),
        );
        registry.register(
            "dockercoins_registry_requests",
            "Images resolved at a registry, by result",
            registry_requests.clone(),
        );
        registry.register(
            "dockercoins_registry_request_seconds",
            "Time to resolve an image at a registry, logins included",
            registry_seconds.clone(),
        );
        registry.register(
            "dockercoins_registry_cache_hits",
            "Images resolved from a shared answer",
            cache_hits.clone(),
        );
        registry.register(
            "dockercoins_registry_rate_limit_remaining",
            "Pulls left by the registry's last response",
            rate_limits.clone(),
        );
    }

    /// Starts reconcile series at 0, so that `increase()` sees the first one.
    fn init(&self) {
        for ended in [
            ReconcileResult::Success,
            ReconcileResult::Error,
            ReconcileResult::RequeueAfter,
        ] {
            drop(self.reconciles.get_or_create(&reconcile_labels(ended)));
        }
        drop(self.reconcile_errors.get_or_create(&controller_label()));
        drop(self.reconcile_seconds.get_or_create(&controller_label()));
    }

    /// Counts a reconcile and its duration.
    pub fn reconciled(&self, ended: ReconcileResult, took: Duration) {
        self.reconciles
            .get_or_create(&reconcile_labels(ended))
            .inc();
        if ended == ReconcileResult::Error {
            self.reconcile_errors
                .get_or_create(&controller_label())
                .inc();
        }
        let seconds = self.reconcile_seconds.get_or_create(&controller_label());
        seconds.observe(took.as_secs_f64());
    }

    /// Sets whether this replica holds the Lease of this name.
    pub fn set_leader(&self, lease: &str, is_leader: bool) {
        let labels = [("name", Cow::Owned(lease.to_owned()))];
        self.leaders
            .get_or_create(&labels)
            .set(i64::from(is_leader));
    }

    /// Counts an object whose drift was corrected.
    pub fn healed(&self, kind: &str) {
        self.heals.get_or_create(&kind_label(kind)).inc();
    }

    /// Counts a failed watch.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_failures.get_or_create(&kind_label(kind)).inc();
    }

    /// Counts a webhook request by its result.
    pub fn record_notification(&self, result: &'static str) {
        self.pushes
            .get_or_create(&[("result", result.into())])
            .inc();
    }

    /// All metrics in this format.
    pub fn render(&self, snapshot: &Snapshot, format: Format) -> String {
        format::write(&[&self.registry, &snapshot.registry()], format)
    }
}

impl WriteObserver for Metrics {
    fn written(&self, kind: &str, verb: Verb, result: &'static str) {
        let verb = match verb {
            Verb::Apply => "apply",
            Verb::Create => "create",
            Verb::Delete => "delete",
            _ => "patch",
        };
        let labels = [
            ("kind", Cow::Owned(kind.to_owned())),
            ("verb", verb.into()),
            ("result", result.into()),
        ];
        self.writes.get_or_create(&labels).inc();
    }
}

impl Observer for Metrics {
    fn host_queried(&self, asking: &HostReport<'_>) {
        let host = self.hosts.label(&asking.host.authority());
        let result = match asking.failure {
            None => Cow::Borrowed("ok"),
            Some(failure) => Cow::Owned(format::snake_case(failure.reason())),
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

impl Snapshot {
    fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        let gauge = |value: usize| {
            let family = Family::<Labels<1>, Gauge>::default();
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&controller_label()).set(value);
            family
        };
        registry.register(
            "controller_runtime_active_workers",
            "Reconciles under way",
            gauge(self.active),
        );
        registry.register(
            "controller_runtime_max_concurrent_reconciles",
            "The most reconciles at once",
            gauge(self.max_concurrent.into()),
        );
        let depth = Family::<Labels<1>, Gauge>::default();
        depth
            .get_or_create(&[("name", NAME.into())])
            .set(i64::try_from(self.queued).unwrap_or(i64::MAX));
        registry.register("workqueue_depth", "Resources that wait for a worker", depth);
        let synced = Family::<Labels<1>, Gauge>::default();
        for (kind, is_synced) in &self.synced {
            synced
                .get_or_create(&kind_label(kind))
                .set(i64::from(*is_synced));
        }
        registry.register(
            "dockercoins_watch_synced",
            "Whether the watches of this kind are synced",
            synced,
        );
        registry.register(
            "dockercoins_resources",
            "DockerCoins resources, by their condition Ready",
            self.resources(),
        );
        if let Some(process) = &self.process {
            process.register(&mut registry);
        }
        registry
    }

    fn resources(&self) -> Family<Labels<2>, Gauge> {
        let mut counts = BTreeMap::from([(("True", "Ready"), 0)]);
        let reasons = LabelLimit::new(MAX_REASONS);
        let named: Vec<(&str, String)> = self
            .ready
            .iter()
            .map(|(status, reason)| {
                let status = match status.as_str() {
                    "True" => "True",
                    "False" => "False",
                    _ => "Unknown",
                };
                (status, reasons.label(reason))
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
        registry.register("process_cpu_seconds", "CPU time used", cpu);
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
            "Limit of open files and connections",
            gauge(self.max_fds),
        );
    }
}

fn controller_label() -> Labels<1> {
    [("controller", NAME.into())]
}

fn reconcile_labels(ended: ReconcileResult) -> Labels<2> {
    let result = match ended {
        ReconcileResult::Success => "success",
        ReconcileResult::Error => "error",
        ReconcileResult::RequeueAfter => "requeue_after",
    };
    let [controller] = controller_label();
    [controller, ("result", result.into())]
}

fn kind_label(kind: &str) -> Labels<1> {
    [("kind", Cow::Owned(kind.to_owned()))]
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
