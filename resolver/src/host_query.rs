//! The query of one host: every matching credential in turn, as the kubelet does; anonymous only if
//! none matches.

use crate::attempt::{Attempt, Content, Query};
use crate::authorizer::AuthorizationCache;
use crate::endpoint::Endpoint;
use crate::error::{ConnectFailure, Failure};
use crate::http::Deadline;
use crate::keyring::{Credential, CredentialUsed, Keyring};
use crate::names::Reference;
use crate::target::Target;

/// The query of one host for one image.
#[derive(Clone, Copy)]
pub(crate) struct HostQuery<'a> {
    pub(crate) authorizations: &'a AuthorizationCache,
    pub(crate) reference: &'a Reference,
    pub(crate) keyring: &'a Keyring,
    /// Credentials of plugins, for the registry itself and not for mirrors.
    pub(crate) plugin_credentials: &'a [Credential],
    pub(crate) query: Query,
    pub(crate) deadline: Deadline,
}

/// The result of a query.
pub(crate) struct HostResult {
    pub(crate) target: Target,
    pub(crate) content: Result<Content, Failure>,
    /// The credential that was sent last.
    pub(crate) credential: Option<CredentialUsed>,
    /// The sources of the credentials that were tried.
    pub(crate) tried: Vec<String>,
}

impl HostQuery<'_> {
    /// Queries the host; falls back to plain HTTP if [`Target::http_fallback`] is set and the host
    /// lacks TLS.
    pub(crate) async fn run(self, target: Target) -> HostResult {
        if !target.http_fallback {
            return self.run_once(target).await;
        }
        let with_tls = HostQuery {
            deadline: self.deadline.half(),
            ..self
        };
        let result = with_tls.run_once(target).await;
        match &result.content {
            Err(failure) if lacks_tls(&result.target.endpoint, failure) => {
                self.run_once(result.target.with_http()).await
            }
            _ => result,
        }
    }

    async fn run_once(self, target: Target) -> HostResult {
        let mut credentials = self
            .keyring
            .lookup(&target.login_target(self.reference.repository()));
        if target.mirror_of.is_none() {
            credentials.extend(self.plugin_credentials);
        }
        let mut attempt = Attempt {
            authorizations: self.authorizations,
            reference: self.reference,
            target: &target,
            credential: credentials.first().copied(),
            deadline: self.deadline,
            number: 1,
            sent: None,
        };
        let mut content = attempt.get(self.query).await;
        let mut tried = 1;
        for login in credentials.iter().copied().skip(1) {
            let Err(failure) = &content else { break };
            let Some(result) = rank(failure) else { break };
            (attempt.credential, attempt.sent, tried) = (Some(login), None, tried + 1);
            attempt.number = tried;
            content = match attempt.get(self.query).await {
                Err(failure) if rank(&failure).is_some_and(|rank| rank <= result) => content,
                better_or_final => better_or_final,
            };
        }
        let credential = attempt
            .credential
            .filter(|_| attempt.sent.is_some())
            .map(CredentialUsed::from);
        let sources = credentials.iter().map(|login| login.source().to_owned());
        let tried = sources.take(tried).collect();
        HostResult {
            target,
            content,
            credential,
            tried,
        }
    }
}

/// Whether a failure means that the host does not speak TLS: another protocol, a timeout, or no
/// connection to a port that is only the default. Other TLS failures do not count.
fn lacks_tls(server: &Endpoint, failure: &Failure) -> bool {
    match failure {
        Failure::ConnectionFailed { host, cause } => {
            *host == server.host_port()
                && match cause {
                    ConnectFailure::NotTls { .. } => true,
                    ConnectFailure::ClientCertificateRequired { .. } => false,
                    _ => server.explicit_port().is_none(),
                }
        }
        Failure::Timeout { by, .. } => *by == server.to_string(),
        _ => false,
    }
}

/// How informative a failure is among those that another credential may avoid; `None` if none
/// would.
fn rank(failure: &Failure) -> Option<u8> {
    match failure {
        Failure::AuthenticationFailed { .. } => Some(0),
        Failure::NotFoundOrNoAccess { .. } => Some(1),
        Failure::RateLimited { .. } => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_requiring_a_certificate_does_not_lack_tls() {
        let lacks = |server: &str, cause: ConnectFailure| {
            let server = Endpoint::parse(server).unwrap();
            let host = server.host_port();
            lacks_tls(&server, &Failure::ConnectionFailed { host, cause })
        };
        let (unwritten, written) = ("https://mirror", "https://mirror:5000");
        let alert = "CertificateRequired".to_owned();
        let certificate = ConnectFailure::ClientCertificateRequired { alert };
        let refused = ConnectFailure::Broken("Connection refused".to_owned());
        let authority = "mirror:5000".to_owned();
        assert!(!lacks(unwritten, certificate));
        assert!(lacks(unwritten, refused.clone()));
        assert!(!lacks(written, refused));
        assert!(lacks(written, ConnectFailure::NotTls { authority }));
    }
}
