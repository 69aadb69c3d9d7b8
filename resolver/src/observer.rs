//! Callbacks for metrics.

use std::fmt::Debug;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::error::Failure;
use crate::response::RateLimit;

/// Receives events of resolutions. Its methods are called in line and must not block.
pub trait Observer: Debug + Send + Sync {
    /// A query of a host ended. Cancelled queries are not reported.
    fn host_queried(&self, report: &HostReport<'_>);

    /// A request was served with the result of another: see [`crate::Shared`].
    fn result_shared(&self);
}

/// The result of a query of one host, with all its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostReport<'a> {
    /// The host.
    pub host: &'a Endpoint,
    /// The failure; `None` on success.
    pub failure: Option<&'a Failure>,
    /// The duration.
    pub took: Duration,
    /// The rate limit of the credential, if the registry reports one.
    pub remaining: Option<RateLimit>,
}
