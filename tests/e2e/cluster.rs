//! Tests of the operator against a real API server with its controllers, and real registries.
//!
//! Each test has its own namespace and its own operator process, so the tests run in parallel. All pods stay Pending,
//! because no node matches their node selector. A test that needs ready pods sets their status in place of a kubelet.

mod admission;
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
