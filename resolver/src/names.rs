//! How images are named.
//!
//! A [`Reference`] is what people write where an image is wanted, brought into one form as
//! Docker does it: `alpine` is `docker.io/library/alpine`. A [`Prefix`] is what stands before
//! the names of several images, and a [`Digest`] is what a tag resolves to.
//!
//! The judge of every rule is the Go module `github.com/distribution/reference`
//! (`ParseNormalizedNamed` and `TagNameOnly`). One thing is refused here that it lets through: a
//! first element that is not a host and not a Docker Hub path either (`ex_ample.com/foo`), which
//! it takes for an image without a host.

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

/// The host that stands for Docker Hub in a normalised name.
pub const DOCKER_HUB: &str = "docker.io";
