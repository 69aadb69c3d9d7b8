//! What the four DockerCoins programs share.
//!
//! The programs themselves are in `src/bin/`, one short file each:
//!
//! | program | listens | does |
//! |---|---|---|
//! | `rng` | yes | answers random bytes, **one request at a time** |
//! | `hasher` | yes | answers the SHA-256 of what it is sent |
//! | `worker` | no | asks `rng`, then `hasher`, and keeps the books in Redis |
//! | `webui` | yes | shows the books, and the hash rate as a graph |
//!
//! They speak the wire protocol of the original programs of the container.training course, so that
//! any of them can stand beside any of the originals.
//!
//! - [`program`]: how each one starts, logs, reads its settings and stops.
//! - [`server`]: the HTTP server of those that listen.
//! - [`peer`]: the HTTP client of the worker.
//! - [`ledger`]: what is kept in Redis.

pub mod ledger;
pub mod peer;
pub mod program;
pub mod server;
