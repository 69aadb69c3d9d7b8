//! What any controller here needs of the API server, and none of which knows a custom resource.
//!
//! May import: nothing of this crate.

pub mod cache;
pub mod health;
pub mod leader;
pub mod sync;
pub mod text;
pub mod worker_pool;
