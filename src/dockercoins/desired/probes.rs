//! The probes of a component: the default, the user's, or none.

use crate::api::{ComponentSpec, Probe};
use crate::dockercoins::component::Component;

use super::Violations;

/// A probe without defaults left to fill in.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredProbe {
    /// What the kubelet does to check.
    pub handler: ProbeHandler,
    /// Seconds from the container's start to the first check.
    pub initial_delay_seconds: Option<i32>,
    /// Seconds between checks.
    pub period_seconds: i32,
    /// Seconds after which a check has failed.
    pub timeout_seconds: i32,
    /// Consecutive failed checks after which the probe has failed.
    pub failure_threshold: i32,
}

/// What the kubelet does to check a container.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeHandler {
    /// GET this path at this port.
    HttpGet(String, i32),
    /// Connect to this port.
    TcpSocket(i32),
    /// Run this command in the container.
    Exec(Vec<String>),
}

/// The probes of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DesiredProbes {
    /// Delays the other two until it succeeds.
    pub startup: Option<DesiredProbe>,
    /// Removes the pod from its Service when it fails.
    pub readiness: Option<DesiredProbe>,
    /// Restarts the container when it fails.
    pub liveness: Option<DesiredProbe>,
}

#[derive(Clone, Copy)]
enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

impl ProbeKind {
    fn field(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// What a component's probe does by default.
///
/// rng serves one request at a time. An HTTP check would wait behind its work, and a liveness probe would restart it for
/// being busy: it has a TCP readiness probe alone. The web page is checked by its file, because its data needs Redis.
fn default_handler(component: Component, kind: ProbeKind) -> Option<ProbeHandler> {
    let get = |path: &str| ProbeHandler::HttpGet(path.to_owned(), 80);
    match (component, kind) {
        (_, ProbeKind::Startup)
        | (Component::Worker, _)
        | (Component::Rng, ProbeKind::Liveness) => None,
        (Component::Hasher, _) => Some(get("/")),
        (Component::Webui, _) => Some(get("/index.html")),
        (Component::Rng, ProbeKind::Readiness) => Some(ProbeHandler::TcpSocket(80)),
        (Component::Redis, _) => Some(ProbeHandler::Exec(vec!["redis-cli".into(), "ping".into()])),
    }
}

impl Violations {
    pub(super) fn probes(
        &mut self,
        spec: &ComponentSpec,
        component: Component,
    ) -> Option<DesiredProbes> {
        let probes = spec.probes.clone().unwrap_or_default();
        let violations_before = self.0.len();
        let probes = DesiredProbes {
            startup: self.probe(component, ProbeKind::Startup, probes.startup.as_ref()),
            readiness: self.probe(component, ProbeKind::Readiness, probes.readiness.as_ref()),
            liveness: self.probe(component, ProbeKind::Liveness, probes.liveness.as_ref()),
        };
        (self.0.len() == violations_before).then_some(probes)
    }

    fn probe(
        &mut self,
        component: Component,
        kind: ProbeKind,
        spec: Option<&Probe>,
    ) -> Option<DesiredProbe> {
        let default = default_handler(component, kind);
        let Some(probe) = spec else {
            return default.map(|handler| with_timings(handler, kind, &Probe::default(), true));
        };
        if probe.disabled == Some(true) {
            return None;
        }
        let field = format!("spec.{component}.probes.{}", kind.field());
        let is_default =
            probe.http_get.is_none() && probe.tcp_socket.is_none() && probe.exec.is_none();
        let port = |port: Option<i32>| {
            port.or(component.port())
                .ok_or("worker listens on no port: set one, or use exec".to_owned())
        };
        let handler = match (&probe.http_get, &probe.tcp_socket, &probe.exec) {
            (None, None, None) => default.ok_or_else(|| {
                format!(
                    "{component} has no default {} probe: set one of httpGet, tcpSocket and exec",
                    kind.field()
                )
            }),
            (Some(get), None, None) => {
                port(get.port).map(|port| ProbeHandler::HttpGet(get.path.clone(), port))
            }
            (None, Some(tcp), None) => port(tcp.port).map(ProbeHandler::TcpSocket),
            (None, None, Some(exec)) => Ok(ProbeHandler::Exec(exec.command.clone())),
            _ => Err(
                "httpGet, tcpSocket and exec exclude each other: set only one of them".to_owned(),
            ),
        };
        self.take(field, handler)
            .map(|handler| with_timings(handler, kind, probe, is_default))
    }
}

/// Fills in the timings that the spec leaves out.
///
/// A default readiness probe checks more often than Kubernetes' default, because a rollout waits for it. A default probe
/// waits longer for an answer, because a busy node is no reason to restart a program.
fn with_timings(
    handler: ProbeHandler,
    kind: ProbeKind,
    spec: &Probe,
    is_default: bool,
) -> DesiredProbe {
    let (period, timeout) = match (is_default, kind) {
        (true, ProbeKind::Readiness) => (2, 5),
        (true, _) => (10, 5),
        (false, _) => (10, 1),
    };
    DesiredProbe {
        handler,
        initial_delay_seconds: spec.initial_delay_seconds,
        period_seconds: spec.period_seconds.unwrap_or(period),
        timeout_seconds: spec.timeout_seconds.unwrap_or(timeout),
        failure_threshold: spec.failure_threshold.unwrap_or(3),
    }
}
