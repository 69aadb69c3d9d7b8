//! The cluster's side of the registries: the webhook that receives their push notifications.
//!
//! May import: [`crate::runtime`], [`crate::telemetry`].

pub mod webhook;
