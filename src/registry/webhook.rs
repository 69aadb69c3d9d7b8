//! What registries tell by themselves: that something was pushed.
//!
//! A notification saves waiting for the next interval, and decides nothing: what it names is asked for again, at
//! the registry, as it would have been later. Whoever gets past [`proof`] can cause questions, never an answer.
//!
//! - [`payload`]: what a notification says, in whatever registry's dialect; pure;
//! - [`proof`]: whether it comes from someone who knows the secret; pure;
//! - [`server`]: the HTTP server before them.

pub mod payload;
pub mod proof;
pub mod server;
