//! The operator against a real API server with its controllers, and real registries.
//!
//! Each test has a namespace and an operator process of its own, so that all of them run side by side. The
//! pods stay Pending on purpose, by a node selector that no node has: what is tested here holds without a
//! node, and where a test needs pods that are ready, it says so to the API server in the kubelet's place.
//!
//! `make test` runs them. By hand, with a cluster from `local/up --name NAME --no-node`:
//!
//! ```sh
//! set -a; . .local/NAME/env; KUBECTL=$(local/tool kubectl) PROMETHEUS=$(local/tool prometheus) GATEWAY_CRDS=$(local/tool gateway-crds); set +a
//! cargo test --test cluster -- --ignored --test-threads=8
//! ```

#[path = "../monitoring/files.rs"]
#[allow(dead_code)]
mod files;
mod support;

mod alerts;
mod asking;
mod bad_input;
mod beside;
mod children;
mod diff_command;
mod drift;
mod forbidden;
mod foreign;
mod gateway;
mod images;
mod leader;
mod lifecycle;
mod login;
mod metrics;
mod older_schema;
mod policies;
mod quiet;
mod registry_failures;
mod render;
mod replicas;
mod restore;
mod rollout;
mod rules;
mod schema;
mod siblings;
mod store;
mod suspend;
mod traces;
