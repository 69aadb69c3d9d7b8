//! The DockerCoins controller: from one resource to its Deployments and Services.
//!
//! [`reconcile`] is the story: validate, resolve, plan, compare, apply, prune, report. What decides is pure and
//! knows no client, clock or file; [`cluster`], [`reconcile`], [`controller`] and [`pushes`] do the IO.
//!
//! May import: [`crate::api`], [`crate::runtime`], [`crate::registry`], [`crate::telemetry`].

pub mod cluster;
pub mod component;
pub mod controller;
pub mod desired;
pub mod diff;
pub mod error;
pub mod events;
pub mod gateway;
pub mod images;
pub mod memory;
pub mod plan;
pub mod pushes;
pub mod reconcile;
pub mod render;
pub mod rollout;
pub mod status;
