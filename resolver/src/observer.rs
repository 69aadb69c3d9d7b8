//! For those who count: what came of each question to a host, and how often none was needed.

use std::fmt::Debug;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::error::Failure;
use crate::outcome::Remaining;

/// Is told what happens while images are resolved. It is called in the course of it, and must not block.
pub trait Observer: Debug + Send + Sync {
    /// A host was asked for an image, and it is known what came of it. What was given up before is not told.
    fn asked(&self, asking: &Asking<'_>);

    /// A question was answered by what someone else was answered: see [`crate::Shared`].
    fn shared(&self);
}

/// A question to one host for one image, with all that belonged to it: logins, tokens, redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking<'a> {
    /// The host that was asked.
    pub host: &'a Endpoint,
    /// Why it was in vain; `None` where it wasn't.
    pub failure: Option<&'a Failure>,
    /// How long it took.
    pub took: Duration,
    /// How many pulls are left there for the login that was used, where the registry says so.
    pub remaining: Option<Remaining>,
}
