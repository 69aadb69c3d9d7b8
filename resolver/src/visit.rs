//! One host: each login that matches is tried in turn, and none only where none matches, as the
//! kubelet does.

use crate::attempt::{Attempt, Got, Wanted};
use crate::endpoint::Endpoint;
use crate::error::{ConnectFailure, Failure};
use crate::exchange::Deadline;
use crate::keyring::{Credential, CredentialUsed, Keyring};
use crate::login::Authorizations;
use crate::names::Reference;
use crate::target::Target;

/// An image that a host is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Visit<'a> {
    pub(crate) authorizations: &'a Authorizations,
    pub(crate) reference: &'a Reference,
    pub(crate) keyring: &'a Keyring,
    /// More logins, for the registry itself and none of its mirrors.
    pub(crate) provided: &'a [Credential],
    pub(crate) wanted: Wanted,
    pub(crate) deadline: Deadline,
}

/// What came of it.
pub(crate) struct Told {
    pub(crate) target: Target,
    pub(crate) outcome: Result<Got, Failure>,
    /// The login that was used last.
    pub(crate) credential: Option<CredentialUsed>,
    /// The sources of the logins that were tried.
    pub(crate) tried: Vec<String>,
}

impl Visit<'_> {
    /// Asks the host, by plain HTTP too where it may be and there is no TLS to be had.
    pub(crate) async fn pay(self, target: Target) -> Told {
        if !target.or_http {
            return self.pay_once(target).await;
        }
        let by_tls = Visit {
            deadline: self.deadline.half(),
            ..self
        };
        let told = by_tls.pay_once(target).await;
        match &told.outcome {
            Err(failure) if lacks_tls(&told.target.endpoint, failure) => {
                self.pay_once(told.target.by_http()).await
            }
            _ => told,
        }
    }

    async fn pay_once(self, target: Target) -> Told {
        let mut logins = self
            .keyring
            .lookup(&target.login_target(self.reference.repository()));
        if target.mirrors.is_none() {
            logins.extend(self.provided);
        }
        let mut attempt = Attempt {
            authorizations: self.authorizations,
            reference: self.reference,
            target: &target,
            credential: logins.first().copied(),
            deadline: self.deadline,
            number: 1,
            sent: None,
        };
        let mut outcome = attempt.get(self.wanted).await;
        let mut tried = 1;
        for login in logins.iter().copied().skip(1) {
            let Err(failure) = &outcome else { break };
            let Some(told) = weight(failure) else { break };
            (attempt.credential, attempt.sent, tried) = (Some(login), None, tried + 1);
            attempt.number = tried;
            outcome = match attempt.get(self.wanted).await {
                Err(failure) if weight(&failure).is_some_and(|weight| weight <= told) => outcome,
                better_or_final => better_or_final,
            };
        }
        let credential = attempt
            .credential
            .filter(|_| attempt.sent.is_some())
            .map(CredentialUsed::from);
        let sources = logins.iter().map(|login| login.source().to_owned());
        let tried = sources.take(tried).collect();
        Told {
            target,
            outcome,
            credential,
            tried,
        }
    }
}

/// Whether a failure comes of the server's not speaking TLS: it answers with something else or not
/// at all, or nobody is there, at a port that nobody wrote. What is wrong with its TLS is its own.
fn lacks_tls(server: &Endpoint, failure: &Failure) -> bool {
    match failure {
        Failure::ConnectionFailed { host, cause } => {
            *host == server.dialled()
                && match cause {
                    ConnectFailure::NotTls { .. } => true,
                    ConnectFailure::ClientCertificateRequired { .. } => false,
                    _ => server.written_port().is_none(),
                }
        }
        Failure::Timeout { by, .. } => *by == server.to_string(),
        _ => false,
    }
}

/// How much a failure says that another login may not meet; `None` where none would help.
fn weight(failure: &Failure) -> Option<u8> {
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
    fn a_server_that_asks_for_a_certificate_does_not_lack_tls() {
        let lacks = |server: &str, cause: ConnectFailure| {
            let server = Endpoint::parse(server).unwrap();
            let host = server.dialled();
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
