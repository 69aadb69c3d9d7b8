//! Names of images.
//!
//! A [`Reference`] is normalised as in Docker: `alpine` is `docker.io/library/alpine`. A [`Prefix`]
//! is the common start of several names, and a [`Digest`] is what a tag resolves to.
//!
//! The rules are those of the Go module `github.com/distribution/reference` (`ParseNormalizedNamed`
//! and `TagNameOnly`), with one exception: a first element that is neither a host nor a Docker Hub
//! path (`ex_ample.com/foo`) is an error.

mod digest;
mod error;
mod grammar;
mod prefix;
mod reference;
#[cfg(test)]
mod tests;

pub use digest::Digest;
pub use error::NameError;
pub use prefix::Prefix;
pub use reference::Reference;

pub(crate) use grammar::{is_host, split_port};

/// Docker Hub's host in a normalised name.
pub const DOCKER_HUB: &str = "docker.io";
