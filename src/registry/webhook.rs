//! The webhook for registries' push notifications.
//!
//! A notification only makes the operator resolve a tag earlier: the digest always comes from the registry. A forged
//! notification that gets past [`auth`] can cause requests, but never choose an image.
//!
//! - [`payload`]: parses the notifications of all supported registries; pure;
//! - [`auth`]: authenticates the sender; pure;
//! - [`server`]: the HTTP server.

pub mod auth;
pub mod payload;
pub mod server;
