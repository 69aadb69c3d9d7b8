//! The DockerCoins operator: from one custom resource to five Deployments and four Services, with every image tag
//! resolved to a digest.
//!
//! The wings, and what each may import; `tests/offline/rooms.rs` checks it:
//!
//! | wing | what belongs there | imports |
//! |---|---|---|
//! | [`api`] | the custom resources' types, their CRDs, and how a CRD in a cluster differs from ours | nothing |
//! | [`runtime`] | what any controller needs of the API server: caches, watches, writes, retries, leader election | nothing |
//! | [`telemetry`] | metrics, probes, traces, and their HTTP listener | `runtime`, `api` |
//! | [`registry`] | the cluster's side of the registries: the webhook for push notifications | `runtime`, `telemetry` |
//! | [`dockercoins`] | the DockerCoins controller | all of the above |
//! | [`cli`] | the command line | everything |
//!
//! Registries are asked by the crate `resolver`, which knows nothing of Kubernetes. Start reading at
//! [`dockercoins::reconcile`].

pub mod api;
pub mod cli;
pub mod dockercoins;
pub mod registry;
pub mod runtime;
pub mod telemetry;
