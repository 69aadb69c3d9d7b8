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
pub mod error;
pub mod events;
pub mod gateway;
pub mod images;
pub mod kinds;
pub mod memory;
pub mod metadata;
pub mod observed;
pub mod pushes;
pub mod reason;
pub mod reconcile;
pub mod rollout;
pub mod status;
