//! The operator against a real API server with its controllers, and real registries.
//!
//! Each test has a namespace and an operator process of its own, so that all of them run side by side. The
//! pods stay Pending on purpose, by a node selector that no node has: what is tested here holds without a
//! node, and where a test needs pods that are ready, it says so to the API server in the kubelet's place.

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
