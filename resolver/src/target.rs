//! One host that is asked, with all that belongs to asking it.

use hyper::header::{HeaderName, HeaderValue};

use crate::endpoint::{Endpoint, Scheme, encoded};
use crate::exchange::Exchange;
use crate::trust::Mark;

/// The shortest value of a header that is taken for a secret: hiding shorter ones would hide
/// words of every message.
const SECRET_MIN: usize = 8;

/// One host that is asked.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    /// Whether it is asked by plain HTTP where it does not speak TLS.
    pub(crate) or_http: bool,
    /// What stands before an image's name in its address.
    pub(crate) path: String,
    /// The registry that a mirror is asked about; `None` for the registry itself.
    pub(crate) mirrors: Option<String>,
    /// What an administrator has written for it.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Who speaks to it.
    pub(crate) exchange: Exchange,
    /// Under which trust that is.
    pub(crate) mark: Mark,
}

impl Target {
    /// The path and query of what lies below the API's root.
    pub(crate) fn below(&self, name: &str) -> String {
        match &self.mirrors {
            Some(registry) => format!("{}/{name}?ns={}", self.path, encoded(registry)),
            None => format!("{}/{name}", self.path),
        }
    }

    /// What the keyring is asked for: the address asked, and the name that a repository has
    /// there. Below `/v2/project` that is the project's.
    pub(crate) fn login_target(&self, repository: &str) -> String {
        match self.path.strip_prefix("/v2/") {
            Some(project) => self
                .endpoint
                .login_target(&format!("{project}/{repository}")),
            None => self.endpoint.login_target(repository),
        }
    }

    /// The same by plain HTTP.
    pub(crate) fn by_http(&self) -> Target {
        Target {
            endpoint: self.endpoint.by(Scheme::Http),
            ..self.clone()
        }
    }

    /// What of its headers must not be shown.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = String> {
        self.headers
            .iter()
            .filter_map(|(_, value)| value.to_str().ok())
            .flat_map(|value| std::iter::once(value).chain(value.split(' ')))
            .filter(|secret| secret.len() >= SECRET_MIN)
            .map(str::to_owned)
    }
}
