//! The DockerCoins operator.
pub mod api;
pub mod cluster;
pub mod component;
pub mod controller;
pub mod desired;
pub mod diff;
pub mod error;
pub mod images;
pub mod memory;
pub mod plan;
pub mod reconcile;
pub mod rollout;
pub mod status;
