//! What the operator reports about itself: metrics, probes and traces, and the HTTP listener that serves them.
//!
//! May import: [`crate::runtime`].

pub mod listener;
pub mod metrics;
pub mod monitor;
pub mod traces;
