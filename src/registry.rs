//! The cluster's side of the registries: pull secrets, and the webhook that receives their push notifications.
//!
//! May import: [`crate::runtime`], [`crate::telemetry`].

pub mod webhook;
