//! A host with all that a query of it needs.

use hyper::header::{HeaderName, HeaderValue};

use crate::endpoint::{Endpoint, Scheme, query_encoded};
use crate::http::HttpClient;
use crate::trust::TrustId;

/// The shortest header value that counts as a secret: hiding shorter ones would garble messages.
const SECRET_MIN: usize = 8;

/// A host to query.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    /// Whether to fall back to plain HTTP if it does not speak TLS.
    pub(crate) http_fallback: bool,
    /// The path before the repository, such as `/v2`.
    pub(crate) path: String,
    /// The registry that it mirrors; `None` for the registry itself.
    pub(crate) mirror_of: Option<String>,
    /// The headers that `hosts.toml` sets.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The client for it.
    pub(crate) client: HttpClient,
    /// The trust of that client.
    pub(crate) trust_id: TrustId,
}

impl Target {
    /// The path and query below the API's root.
    pub(crate) fn path_and_query(&self, name: &str) -> String {
        match &self.mirror_of {
            Some(registry) => format!("{}/{name}?ns={}", self.path, query_encoded(registry)),
            None => format!("{}/{name}", self.path),
        }
    }

    /// The keyring's lookup target: the queried address and the repository's name there, which
    /// below `/v2/project` is the project's.
    pub(crate) fn login_target(&self, repository: &str) -> String {
        match self.path.strip_prefix("/v2/") {
            Some(project) => self
                .endpoint
                .login_target(&format!("{project}/{repository}")),
            None => self.endpoint.login_target(repository),
        }
    }

    /// The same target by plain HTTP.
    pub(crate) fn with_http(&self) -> Target {
        Target {
            endpoint: self.endpoint.with_scheme(Scheme::Http),
            ..self.clone()
        }
    }

    /// The header values that must not appear in messages.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = String> {
        self.headers
            .iter()
            .filter_map(|(_, value)| value.to_str().ok())
            .flat_map(|value| std::iter::once(value).chain(value.split(' ')))
            .filter(|secret| secret.len() >= SECRET_MIN)
            .map(str::to_owned)
    }
}
