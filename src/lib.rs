//! The DockerCoins operator: from one custom resource to five Deployments and four Services, with every image
//! tag resolved to a digest.
//!
//! [`reconcile`] is the story; the rooms are told in the order in which it walks through them.
//!
//! | room | what it decides or does | |
//! |---|---|---|
//! | [`api`] | the resource as people write it | pure |
//! | [`component`] | the five components: names and ports | pure |
//! | [`desired`] | the resource → what is wanted, free of contradictions | pure |
//! | [`images`] | what registries must be asked, and what runs by their answers | pure |
//! | [`gateway`] | Gateway API's HTTPRoute, which a cluster may know or not | pure |
//! | [`plan`] | what is wanted → the objects | pure |
//! | [`diff`] | the objects and what is there → what to write | pure |
//! | [`rollout`] | how far a Deployment has come | pure |
//! | [`status`] | the outcome → conditions | pure |
//! | [`news`] | what was written, what began to fail → events | pure |
//! | [`error`] | what can go wrong, by what a person would do about it | pure |
//! | [`manifest`] | the resources in a file, for the commands that read one | pure |
//! | [`render`] | the objects as they are printed for people | pure |
//! | [`books`] | the web page's figures → a line for a class | pure |
//! | [`crd`] | whether the cluster's CRD is the one that is meant | pure |
//! | [`memory`] | what is kept in mind between two reconciles: timing | |
//! | [`cluster`] | the API server: what was seen, and every write | IO |
//! | [`reconcile`] | the story | IO |
//! | [`pushes`] | which resources a push concerns, and how they come to ask | IO |
//! | [`leader`] | which of several replicas writes: what its Lease means is pure | IO |
//! | [`controller`] | what wakes it | IO |
//! | [`turns`] | how many reconciles go on at once | |
//! | [`health`] | whether the operator is alive, and ready | |
//! | [`metrics`] | what is counted, and how it is written | pure |
//! | [`monitor`] | `/metrics`, `/healthz` and `/readyz` | IO |
//! | [`serve`] | what the HTTP servers put up with | IO |
//! | [`traces`] | which spans are sent to a collector, and how | IO |
//! | [`webhook`] | what registries push: what it says and who may say it are pure | IO |
//!
//! Registries are asked by the crate `resolver`, which knows nothing of Kubernetes.

pub mod api;
pub mod books;
pub mod cluster;
pub mod component;
pub mod controller;
pub mod crd;
pub mod desired;
pub mod diff;
pub mod error;
pub mod gateway;
pub mod health;
pub mod images;
pub mod leader;
pub mod manifest;
pub mod memory;
pub mod metrics;
pub mod monitor;
pub mod news;
pub mod plan;
pub mod pushes;
pub mod reconcile;
pub mod render;
pub mod rollout;
pub mod serve;
pub mod status;
pub mod traces;
pub mod turns;
pub mod webhook;
