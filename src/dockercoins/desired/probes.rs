//! Which health checks a component gets: the default one, one of the user's, or none.

use crate::api::{ComponentSpec, Probe};
use crate::dockercoins::component::Component;

use super::Faults;

/// A health check with everything decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What is done.
    pub kind: CheckKind,
    /// Seconds from the container's start to the first check.
    pub initial_delay_seconds: Option<i32>,
    /// Seconds between checks.
    pub period_seconds: i32,
    /// Seconds after which a check has failed.
    pub timeout_seconds: i32,
    /// Failures in a row after which the probe has failed.
    pub failure_threshold: i32,
}

/// What a health check does.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// GET of a path at a port.
    Http(String, i32),
    /// A TCP connection to a port.
    Tcp(i32),
    /// A command in the container.
    Exec(Vec<String>),
}

/// The three health checks of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// Holds the other two back until it has succeeded.
    pub startup: Option<Check>,
    /// Takes the pod out of its Service.
    pub readiness: Option<Check>,
    /// Restarts the container.
    pub liveness: Option<Check>,
}

#[derive(Clone, Copy)]
enum Purpose {
    Startup,
    Readiness,
    Liveness,
}

impl Purpose {
    fn field(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// The check that a component gets where nothing is said.
///
/// rng has no liveness check, and its readiness is by TCP: it serves one request at a time, so that any
/// request of ours would wait behind its work, and a busy rng would be restarted for being busy. The web
/// page's is its file, not its data, which needs Redis.
fn default_check(component: Component, purpose: Purpose) -> Option<CheckKind> {
    let http = |path: &str| CheckKind::Http(path.to_owned(), 80);
    match (component, purpose) {
        (_, Purpose::Startup) | (Component::Worker, _) | (Component::Rng, Purpose::Liveness) => {
            None
        }
        (Component::Hasher, _) => Some(http("/")),
        (Component::Webui, _) => Some(http("/index.html")),
        (Component::Rng, Purpose::Readiness) => Some(CheckKind::Tcp(80)),
        (Component::Redis, _) => Some(CheckKind::Exec(vec!["redis-cli".into(), "ping".into()])),
    }
}

impl Faults {
    pub(super) fn checks(
        &mut self,
        written: &ComponentSpec,
        component: Component,
    ) -> Option<Checks> {
        let probes = written.probes.clone().unwrap_or_default();
        let before = self.0.len();
        let checks = Checks {
            startup: self.check(component, Purpose::Startup, probes.startup.as_ref()),
            readiness: self.check(component, Purpose::Readiness, probes.readiness.as_ref()),
            liveness: self.check(component, Purpose::Liveness, probes.liveness.as_ref()),
        };
        (self.0.len() == before).then_some(checks)
    }

    fn check(
        &mut self,
        component: Component,
        purpose: Purpose,
        written: Option<&Probe>,
    ) -> Option<Check> {
        let default = default_check(component, purpose);
        let Some(probe) = written else {
            return default.map(|kind| timed(kind, purpose, &Probe::default(), true));
        };
        if probe.disabled == Some(true) {
            return None;
        }
        let field = format!("spec.{component}.probes.{}", purpose.field());
        let is_default =
            probe.http_get.is_none() && probe.tcp_socket.is_none() && probe.exec.is_none();
        let port = |written: Option<i32>| written.or(component.port());
        let no_port = "the worker listens on nothing: name a port, or write exec";
        let kind = match (&probe.http_get, &probe.tcp_socket, &probe.exec) {
            (None, None, None) => default.ok_or_else(|| {
                format!("{component} has no default check: write one of httpGet, tcpSocket or exec")
            }),
            (Some(get), None, None) => port(get.port)
                .map(|port| CheckKind::Http(get.path.clone(), port))
                .ok_or(no_port.into()),
            (None, Some(tcp), None) => port(tcp.port).map(CheckKind::Tcp).ok_or(no_port.into()),
            (None, None, Some(exec)) => Ok(CheckKind::Exec(exec.command.clone())),
            _ => Err(
                "a probe checks in one way: write only one of httpGet, tcpSocket and exec".into(),
            ),
        };
        self.take(field, kind)
            .map(|kind| timed(kind, purpose, probe, is_default))
    }
}

/// Puts a check's timings to it. A default readiness check asks more often than Kubernetes would, since the
/// next pods wait for it, and a default check waits longer, since a busy node is not a broken program.
fn timed(kind: CheckKind, purpose: Purpose, probe: &Probe, is_default: bool) -> Check {
    let (period, timeout) = match (is_default, purpose) {
        (true, Purpose::Readiness) => (2, 5),
        (true, _) => (10, 5),
        (false, _) => (10, 1),
    };
    Check {
        kind,
        initial_delay_seconds: probe.initial_delay_seconds,
        period_seconds: probe.period_seconds.unwrap_or(period),
        timeout_seconds: probe.timeout_seconds.unwrap_or(timeout),
        failure_threshold: probe.failure_threshold.unwrap_or(3),
    }
}
