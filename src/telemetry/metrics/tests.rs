use std::collections::{BTreeMap, BTreeSet};

use resolver::{Endpoint, Failure, RateLimit};

use super::*;

/// Everything that can be counted, once or so.
fn everything() -> (Metrics, Snapshot) {
    let metrics = Metrics::new();
    metrics.reconciled(ReconcileResult::Success, Duration::from_millis(20));
    metrics.reconciled(ReconcileResult::Error, Duration::from_secs(2));
    metrics.set_leader("dockercoins-operator", true);
    metrics.written("Service", Verb::Apply, "ok");
    metrics.healed("Deployment");
    metrics.watch_failed("Service");
    metrics.record_notification("taken");
    let host = Endpoint::parse("https://registry.example.com:5000").unwrap();
    metrics.host_queried(&HostReport {
        host: &host,
        failure: None,
        took: Duration::from_millis(30),
        remaining: Some(RateLimit {
            remaining: 76,
            limit: Some(100),
            window: None,
        }),
    });
    metrics.host_queried(&HostReport {
        host: &host,
        failure: Some(&Failure::RateLimited {
            by: host.to_string(),
            retry_after: None,
            server_message: String::new(),
        }),
        took: Duration::from_secs(2),
        remaining: None,
    });
    metrics.result_shared();
    let told = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    let now = Snapshot {
        max_concurrent: 8,
        active: 2,
        queued: 3,
        synced: vec![("DockerCoins", true), ("Service", false)],
        ready: vec![
            told("True", "Ready"),
            told("False", "Rejected"),
            told("False", "Rejected"),
        ],
        process: Some(Process {
            cpu: Duration::from_millis(1500),
            resident_bytes: 10 << 20,
            started: 1_795_535_775.5,
            open_fds: 12,
            max_fds: 1024,
        }),
    };
    (metrics, now)
}

/// The lines in order, since a family's members come in none.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// The classes of a histogram: how many were no longer than each.
fn classes(name: &str, label: &str, ends: &[f64], counts: &[(f64, u32)]) -> Vec<String> {
    let ends = ends.iter().copied().chain([f64::INFINITY]);
    ends.map(|end| {
        let reached = counts.iter().rfind(|(from, _)| *from <= end);
        let count = reached.map_or(0, |(_, count)| *count);
        let end = match end.is_infinite() {
            true => "+Inf".to_owned(),
            false => format!("{end:?}"),
        };
        format!("{name}_bucket{{le=\"{end}\",{label}}} {count}")
    })
    .collect()
}

#[test]
fn metrics_follow_the_text_format() {
    let (metrics, now) = everything();
    let version = env!("CARGO_PKG_VERSION");
    let seconds = classes(
        "controller_runtime_reconcile_time_seconds",
        "controller=\"dockercoins\"",
        &RECONCILE_BUCKETS,
        &[(0.025, 1), (2.5, 2)],
    );
    let registry_seconds = classes(
        "dockercoins_registry_request_seconds",
        "host=\"registry.example.com:5000\"",
        &REGISTRY_BUCKETS,
        &[(0.05, 1), (5.0, 2)],
    );
    let expected = format!(
        r#"# HELP controller_runtime_active_workers Reconciles under way.
# HELP controller_runtime_max_concurrent_reconciles The most reconciles at once.
# HELP controller_runtime_reconcile_errors_total Reconciles that failed and are retried.
# HELP controller_runtime_reconcile_time_seconds Duration of reconciles, registry requests included.
# HELP controller_runtime_reconcile_total Reconciles, by result.
# HELP dockercoins_heals_total Objects restored after a change or deletion by someone else.
# HELP dockercoins_operator_build_info The operator's version.
# HELP dockercoins_pushes_total Webhook requests, by result.
# HELP dockercoins_registry_cache_hits_total Images resolved from a shared answer.
# HELP dockercoins_registry_rate_limit_remaining Pulls left by the registry's last response.
# HELP dockercoins_registry_request_seconds Time to resolve an image at a registry, logins included.
# HELP dockercoins_registry_requests_total Images resolved at a registry, by result.
# HELP dockercoins_resources DockerCoins resources, by their condition Ready.
# HELP dockercoins_watch_failures_total Watches that failed and were restarted.
# HELP dockercoins_watch_synced Whether the watches of this kind are synced.
# HELP dockercoins_writes_total Writes to the API server, by result.
# HELP leader_election_master_status Whether this replica is the leader.
# HELP process_cpu_seconds_total CPU time used.
# HELP process_max_fds Limit of open files and connections.
# HELP process_open_fds Open files and connections.
# HELP process_resident_memory_bytes Memory in use.
# HELP process_start_time_seconds When the process began, in seconds since 1970.
# HELP workqueue_depth Resources that wait for a worker.
# TYPE controller_runtime_active_workers gauge
# TYPE controller_runtime_max_concurrent_reconciles gauge
# TYPE controller_runtime_reconcile_errors_total counter
# TYPE controller_runtime_reconcile_time_seconds histogram
# TYPE controller_runtime_reconcile_total counter
# TYPE dockercoins_heals_total counter
# TYPE dockercoins_operator_build_info gauge
# TYPE dockercoins_pushes_total counter
# TYPE dockercoins_registry_cache_hits_total counter
# TYPE dockercoins_registry_rate_limit_remaining gauge
# TYPE dockercoins_registry_request_seconds histogram
# TYPE dockercoins_registry_requests_total counter
# TYPE dockercoins_resources gauge
# TYPE dockercoins_watch_failures_total counter
# TYPE dockercoins_watch_synced gauge
# TYPE dockercoins_writes_total counter
# TYPE leader_election_master_status gauge
# TYPE process_cpu_seconds_total counter
# TYPE process_max_fds gauge
# TYPE process_open_fds gauge
# TYPE process_resident_memory_bytes gauge
# TYPE process_start_time_seconds gauge
# TYPE workqueue_depth gauge
controller_runtime_active_workers{{controller="dockercoins"}} 2
controller_runtime_max_concurrent_reconciles{{controller="dockercoins"}} 8
controller_runtime_reconcile_errors_total{{controller="dockercoins"}} 1
controller_runtime_reconcile_time_seconds_count{{controller="dockercoins"}} 2
controller_runtime_reconcile_time_seconds_sum{{controller="dockercoins"}} 2.02
controller_runtime_reconcile_total{{controller="dockercoins",result="error"}} 1
controller_runtime_reconcile_total{{controller="dockercoins",result="requeue_after"}} 0
controller_runtime_reconcile_total{{controller="dockercoins",result="success"}} 1
dockercoins_heals_total{{kind="Deployment"}} 1
dockercoins_operator_build_info{{version="{version}"}} 1
dockercoins_pushes_total{{result="taken"}} 1
dockercoins_registry_cache_hits_total 1
dockercoins_registry_rate_limit_remaining{{host="registry.example.com:5000"}} 76
dockercoins_registry_request_seconds_count{{host="registry.example.com:5000"}} 2
dockercoins_registry_request_seconds_sum{{host="registry.example.com:5000"}} 2.03
dockercoins_registry_requests_total{{host="registry.example.com:5000",result="ok"}} 1
dockercoins_registry_requests_total{{host="registry.example.com:5000",result="rate_limited"}} 1
dockercoins_resources{{ready="False",reason="Rejected"}} 2
dockercoins_resources{{ready="True",reason="Ready"}} 1
dockercoins_watch_failures_total{{kind="Service"}} 1
dockercoins_watch_synced{{kind="DockerCoins"}} 1
dockercoins_watch_synced{{kind="Service"}} 0
dockercoins_writes_total{{kind="Service",verb="apply",result="ok"}} 1
leader_election_master_status{{name="dockercoins-operator"}} 1
process_cpu_seconds_total 1.5
process_max_fds 1024
process_open_fds 12
process_resident_memory_bytes 10485760
process_start_time_seconds 1795535775.5
workqueue_depth{{name="dockercoins"}} 3
{}
{}
"#,
        seconds.join("\n"),
        registry_seconds.join("\n"),
    );
    let text = metrics.render(&now, Format::Text);
    assert_eq!(sorted(&text), sorted(&expected));
}

#[test]
fn both_formats_hold_the_same_samples() {
    let (metrics, now) = everything();
    let (open, text) = (
        metrics.render(&now, Format::OpenMetrics),
        metrics.render(&now, Format::Text),
    );
    let samples = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(samples(&open), samples(&text));
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    for head in [
        "# TYPE dockercoins_writes counter\n",
        "# TYPE dockercoins_operator_build info\n",
        "# TYPE process_cpu_seconds counter\n",
    ] {
        assert!(open.contains(head), "{head} in {open}");
    }
}

#[test]
fn a_write_has_five_results() {
    let metrics = Metrics::new();
    for verb in [
        Verb::Apply,
        Verb::Patch,
        Verb::PatchStatus,
        Verb::Delete,
        Verb::Create,
    ] {
        metrics.written("Service", verb, "ok");
    }
    for result in ["conflict", "forbidden", "timeout", "error"] {
        metrics.written("Service", Verb::Apply, result);
    }
    let text = metrics.render(&Snapshot::default(), Format::Text);
    let writes: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("dockercoins_writes_total{kind=\"Service\","))
        .collect();
    let expected = [
        r#"verb="apply",result="conflict"} 1"#,
        r#"verb="apply",result="error"} 1"#,
        r#"verb="apply",result="forbidden"} 1"#,
        r#"verb="apply",result="ok"} 1"#,
        r#"verb="apply",result="timeout"} 1"#,
        r#"verb="create",result="ok"} 1"#,
        r#"verb="delete",result="ok"} 1"#,
        r#"verb="patch",result="ok"} 2"#,
    ];
    assert_eq!(writes, expected.into());
}

#[test]
fn host_labels_are_limited() {
    let metrics = Metrics::new();
    for number in 0..200 {
        let host = Endpoint::parse(&format!("https://registry-{number}.example.com")).unwrap();
        metrics.host_queried(&HostReport {
            host: &host,
            failure: None,
            took: Duration::ZERO,
            remaining: None,
        });
    }
    let ready = (0..200).map(|number| (format!("odd-{number}"), format!("Reason{number}")));
    let now = Snapshot {
        ready: ready.collect(),
        ..Snapshot::default()
    };
    let text = metrics.render(&now, Format::Text);
    let of = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(of("dockercoins_registry_requests_total{"), MAX_HOSTS + 1);
    // And `True`, of which there is none.
    assert_eq!(of("dockercoins_resources{"), MAX_REASONS + 2);
    for line in [
        r#"dockercoins_registry_requests_total{host="other",result="ok"} 150"#,
        r#"dockercoins_resources{ready="Unknown",reason="other"} 150"#,
        r#"dockercoins_resources{ready="True",reason="Ready"} 0"#,
    ] {
        assert!(text.lines().any(|told| told == line), "{line} in {text}");
    }
}

/// Each metric's name, type and labels.
type Listed = BTreeMap<String, (String, BTreeSet<String>)>;

fn exported(text: &str) -> Listed {
    let mut listed = Listed::new();
    for line in text.lines() {
        if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            listed.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, rest)) = line.split_once('{') {
            let name = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(name);
            let labels = rest.split('"').step_by(2);
            let labels = labels.filter_map(|part| part.trim_start_matches(',').strip_suffix('='));
            let labels = labels.filter(|label| *label != "le").map(str::to_owned);
            let (_, known) = listed.get_mut(name).expect("its type was told");
            known.extend(labels);
        }
    }
    listed
}

#[test]
fn the_docs_list_exactly_the_exported_metrics() {
    let page = include_str!("../../../docs/metrics.md");
    // The HTTP pages are listed too, by their paths.
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter(|row| !row.starts_with('/'));
    let listed: Listed = rows
        .map(|row| {
            let mut cells = row.split('|').map(str::trim);
            let mut next = || cells.next().expect("name, type, labels and meaning");
            let (name, kind, labels) = (next(), next(), next());
            let labels = labels.split(", ").filter(|label| !label.is_empty());
            let labels = labels.map(|label| label.trim_matches('`').to_owned());
            let name = name.trim_end_matches('`').to_owned();
            (name, (kind.to_owned(), labels.collect()))
        })
        .collect();
    let (metrics, now) = everything();
    assert_eq!(listed, exported(&metrics.render(&now, Format::Text)));
}
