use std::collections::{BTreeMap, BTreeSet};

use resolver::{Endpoint, Failure, RateLimit};

use super::*;

/// Everything that can be counted, once or so.
fn everything() -> (Metrics, Now) {
    let metrics = Metrics::new();
    metrics.reconciled(Ended::Success, Duration::from_millis(20));
    metrics.reconciled(Ended::Error, Duration::from_secs(2));
    metrics.leads("dockercoins-operator", true);
    metrics.wrote("Service", Verb::Apply, &Ok(()));
    metrics.healed("Deployment");
    metrics.watch_failed("Service");
    metrics.notified("taken");
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
    let now = Now {
        turns: 8,
        active: 2,
        waiting: 3,
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
fn everything_is_written_as_prometheus_reads_it() {
    let (metrics, now) = everything();
    let version = env!("CARGO_PKG_VERSION");
    let seconds = classes(
        "controller_runtime_reconcile_time_seconds",
        "controller=\"dockercoins\"",
        &RECONCILE_SECONDS,
        &[(0.025, 1), (2.5, 2)],
    );
    let registry_seconds = classes(
        "dockercoins_registry_request_seconds",
        "host=\"registry.example.com:5000\"",
        &REGISTRY_SECONDS,
        &[(0.05, 1), (5.0, 2)],
    );
    let expected = format!(
        r#"# HELP controller_runtime_active_workers Reconciles that have a turn.
# HELP controller_runtime_max_concurrent_reconciles How many reconciles may have a turn at once.
# HELP controller_runtime_reconcile_errors_total Reconciles in which something failed that is tried again.
# HELP controller_runtime_reconcile_time_seconds How long a reconcile took from its first turn to its end, registries included.
# HELP controller_runtime_reconcile_total Reconciles, by how they ended.
# HELP dockercoins_heals_total Objects that were changed or deleted behind the operator's back, and put right.
# HELP dockercoins_operator_build_info The operator's version.
# HELP dockercoins_pushes_total Notifications of pushes, by what became of them.
# HELP dockercoins_registry_cache_hits_total Questions answered by an answer that someone else had got.
# HELP dockercoins_registry_rate_limit_remaining How many pulls the registry said last are left.
# HELP dockercoins_registry_request_seconds How long a registry took to answer for an image, logins included.
# HELP dockercoins_registry_requests_total Images that a registry was asked for, by what came of it.
# HELP dockercoins_resources DockerCoins there are, by their condition Ready.
# HELP dockercoins_watch_failures_total Watches that failed and were begun again.
# HELP dockercoins_watch_synced Whether what is known of this kind is complete and kept up to date.
# HELP dockercoins_writes_total Writes to the API server, by what came of them.
# HELP leader_election_master_status Whether this replica is the leader.
# HELP process_cpu_seconds_total Processor time used.
# HELP process_max_fds How many of them there may be.
# HELP process_open_fds Open files and connections.
# HELP process_resident_memory_bytes Memory in use.
# HELP process_start_time_seconds When the process began, in seconds since 1970.
# HELP workqueue_depth Resources that wait for a turn.
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
fn both_formats_hold_the_same_and_openmetrics_has_its_own_heads_and_its_end() {
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
fn what_becomes_of_a_write_has_five_names() {
    let metrics = Metrics::new();
    let (what, message) = (String::new(), String::new());
    let outdated = Error::Outdated {
        what: what.clone(),
        message: message.clone(),
    };
    let forbidden = Error::Forbidden {
        what: what.clone(),
        message: message.clone(),
    };
    let timeout = Error::Timeout { what, seconds: 15 };
    let rejected = Error::NamespaceLeaving;
    let verbs = [Verb::Apply, Verb::Patch, Verb::Delete, Verb::Create];
    for verb in verbs {
        metrics.wrote("Service", verb, &Ok(()));
    }
    for error in [outdated, forbidden, timeout, rejected] {
        metrics.wrote::<()>("Service", Verb::Apply, &Err(error));
    }
    let text = metrics.render(&Now::default(), Format::Text);
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
        r#"verb="patch",result="ok"} 1"#,
    ];
    assert_eq!(writes, expected.into());
}

#[test]
fn what_users_choose_makes_no_more_series_than_are_allowed() {
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
    let now = Now {
        ready: ready.collect(),
        ..Now::default()
    };
    let text = metrics.render(&now, Format::Text);
    let of = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(of("dockercoins_registry_requests_total{"), HOSTS_MAX + 1);
    // And `True`, of which there is none.
    assert_eq!(of("dockercoins_resources{"), REASONS_MAX + 2);
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
fn the_page_lists_what_is_exported_and_nothing_else() {
    let page = include_str!("../../docs/metrics.md");
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
