//! What the operator reports about itself: metrics, probes and traces, and the HTTP listener that serves them.
//!
//! May import: [`crate::runtime`].

pub mod http_server;
pub mod metrics;
pub mod server;
pub mod traces;
