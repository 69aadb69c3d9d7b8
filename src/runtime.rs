//! What any controller here needs of the API server; nothing in it knows a custom resource.
//!
//! A controller describes each kind of object that it writes ([`child`]). For each object, [`observe`] reads the live one,
//! [`decide`] chooses an action, and [`api_client`] sends it.
//!
//! May import: nothing of this crate.

pub mod api_client;
pub mod cache;
pub mod child;
pub mod compare;
pub mod decide;
pub mod error;
pub mod event;
pub mod field_path;
pub mod health;
pub mod leader;
pub mod message;
pub mod names;
pub mod object_key;
pub mod observe;
pub mod requeue;
pub mod retry;
pub mod sync;
pub mod watch;
pub mod worker_pool;
