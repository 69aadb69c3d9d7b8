//! How a login is shown to a registry: by itself, or as a token that it was exchanged for.
//!
//! A password is shown to a token server by itself, as the distribution specification's `token.md`
//! has it. An identity token is sent in a form, as its `oauth.md` has it.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode, Uri};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::challenge::{Bearer, Challenge};
use crate::endpoint::{Endpoint, Scheme, encoded};
use crate::error::Failure;
use crate::exchange::{Ask, Deadline};
use crate::keyring::{Credential, Proof};
use crate::outcome;
use crate::target::Target;
use crate::trust::Mark;

/// The most bytes of a token server's answer. A token has to fit into a header, of which servers
/// take some ten kB; and a document takes many times its length in memory while it is read.
const TOKEN_BODY_MAX: usize = 128 << 10;

/// How long a token lives where its server does not say, as the distribution specification has it.
const TOKEN_LIFE: Duration = Duration::from_secs(60);

/// The longest that a token is believed to live.
const TOKEN_LIFE_MAX: Duration = Duration::from_secs(60 * 60);

/// How long before its end a token is no longer used: it must outlive the request.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// What the resolver calls itself where tokens are exchanged by OAuth2: a word for their logs.
const CLIENT_ID: &str = "dockercoins-resolver";

/// The most authorizations that are kept.
const KEPT_MAX: usize = 1024;

/// What is sent as `Authorization`, and how it came about.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) header: HeaderValue,
    pub(crate) kind: Kind,
}

/// Whether a registry sees the login or a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Basic,
    Token,
}

/// Whom an authorization is for. A login is part of it by its values, so that what one login was
/// given is never sent with another, nor after its password has changed. So is whose certificates
/// are trusted: what one trust was given is not sent where only another trusts the server.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Whom {
    mark: Mark,
    endpoint: Endpoint,
    /// With all that belongs to the address: one host may serve the images of several registries.
    image: String,
    login: Option<[u8; 32]>,
}

impl Whom {
    pub(crate) fn new(target: &Target, repository: &str, credential: Option<&Credential>) -> Whom {
        Whom {
            mark: target.mark,
            endpoint: target.endpoint.clone(),
            image: target.below(repository),
            login: credential.map(fingerprint),
        }
    }
}

/// The authorizations that registries took, as long as they hold.
#[derive(Default)]
pub(crate) struct Authorizations {
    kept: Mutex<HashMap<Whom, (Authorization, Instant)>>,
}

impl Authorizations {
    pub(crate) fn get(&self, whom: &Whom) -> Option<Authorization> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(whom)
            .filter(|(_, end)| Instant::now() < *end)
            .map(|(authorization, _)| authorization.clone())
    }

    pub(crate) fn forget(&self, whom: &Whom) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(whom);
    }

    fn keep(&self, whom: &Whom, authorization: &Authorization, life: Duration) {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (_, end)| now < *end);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(whom.clone(), (authorization.clone(), now + life));
        }
    }
}

impl fmt::Debug for Authorizations {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Authorizations").finish_non_exhaustive()
    }
}

/// Logs in where it is asked to.
pub(crate) struct Login<'a> {
    pub(crate) kept: &'a Authorizations,
    pub(crate) target: &'a Target,
    pub(crate) repository: &'a str,
    pub(crate) credential: Option<&'a Credential>,
    pub(crate) deadline: Deadline,
    /// The how manyth login it is for the registry.
    pub(crate) attempt: usize,
}

impl Login<'_> {
    /// Meets one of the challenges: a token is preferred, since it shows the login to the token
    /// server only and may serve those who have none.
    pub(crate) async fn meet(&self, challenges: &[Challenge]) -> Result<Authorization, Failure> {
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer(bearer) => Some(bearer),
            Challenge::Basic => None,
        });
        let (authorization, life) = match (bearer, self.credential) {
            (Some(bearer), _) => self.fetch_token(bearer).await?,
            (None, Some(credential)) if challenges.contains(&Challenge::Basic) => {
                let Proof::Password(password) = credential.proof() else {
                    return Err(self.refused(
                        "it asks for a password, and the login for it has an identity token"
                            .to_owned(),
                    ));
                };
                let authorization = Authorization {
                    header: basic_header(credential, password)?,
                    kind: Kind::Basic,
                };
                (authorization, TOKEN_LIFE_MAX)
            }
            (None, None) if challenges.contains(&Challenge::Basic) => {
                return Err(
                    self.refused("it asks for a login, and there is none for it".to_owned())
                );
            }
            (None, _) => {
                return Err(self.refused(
                    "it offers no way to log in that is known here (Basic or Bearer)".to_owned(),
                ));
            }
        };
        let whom = Whom::new(self.target, self.repository, self.credential);
        self.kept.keep(&whom, &authorization, life);
        Ok(authorization)
    }

    fn refused(&self, why: String) -> Failure {
        Failure::AuthenticationFailed {
            by: self.target.endpoint.to_string(),
            said: why,
        }
    }

    async fn fetch_token(&self, bearer: &Bearer) -> Result<(Authorization, Duration), Failure> {
        let (server, realm) = self.token_server(bearer)?;
        if self.credential.is_some() && !may_log_in(&self.target.endpoint, &server) {
            return Err(self.refused(format!(
                "it sends logins on to {server}, which is neither its own host nor the domain above it, so none was sent"
            )));
        }
        let (mut method, mut authorization, mut form) = (Method::GET, None, None);
        let mut address = path_and_query(&realm);
        match self.credential.map(|login| (login, login.proof())) {
            Some((_, Proof::IdentityToken(token))) => {
                method = Method::POST;
                form = Some(token_form(bearer, self.repository, token));
            }
            Some((login, Proof::Password(password))) => {
                authorization = Some(basic_header(login, password)?);
                address = token_query(&realm, bearer, self.repository);
            }
            None => address = token_query(&realm, bearer, self.repository),
        }
        let is_exchange = form.is_some();
        let uri = format!("{server}{address}")
            .parse()
            .map_err(|_| self.unusable_server("has an address that is too long"))?;
        let ask = Ask {
            method,
            server: &server,
            uri,
            accept: "application/json",
            authorization,
            form,
            headers: match may_log_in(&self.target.endpoint, &server) {
                true => &self.target.headers,
                false => &[],
            },
            body_max: TOKEN_BODY_MAX,
            asked_for: "token",
            attempt: self.attempt,
        };
        let answer = self.target.exchange.ask(ask, self.deadline).await?;
        if answer.status != StatusCode::OK {
            let secrets = secrets(self.target, self.credential, None);
            return Err(match is_exchange {
                true => outcome::exchange_refused(&server, &answer, &secrets),
                false => outcome::token_refused(&server, &answer, &secrets),
            });
        }
        let unusable = |detail: &str| Failure::InvalidAnswer {
            by: server.to_string(),
            detail: detail.to_owned(),
        };
        let document: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| unusable("it is not JSON with a token"))?;
        let names: &[&str] = match is_exchange {
            true => &["access_token"],
            false => &["token", "access_token"],
        };
        let token = names
            .iter()
            .filter_map(|name| document.get(name)?.as_str())
            .find(|token| !token.is_empty())
            .ok_or_else(|| unusable("it holds no token"))?;
        let header = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| unusable("its token has characters that no header may have"))?;
        let life = match document.get("expires_in").and_then(Value::as_u64) {
            Some(seconds) => Duration::from_secs(seconds).min(TOKEN_LIFE_MAX),
            None => TOKEN_LIFE,
        };
        Ok((
            Authorization {
                header,
                kind: Kind::Token,
            },
            life.saturating_sub(TOKEN_MARGIN),
        ))
    }

    /// Where the token is asked for. The realm is the registry's word; what it may not do is lead
    /// from HTTPS to plain HTTP.
    fn token_server(&self, bearer: &Bearer) -> Result<(Endpoint, Uri), Failure> {
        let (server, realm) = Endpoint::of_address(&bearer.realm)
            .ok_or_else(|| self.unusable_server("is no address by https:// or http://"))?;
        if self.target.endpoint.scheme() == Scheme::Https && server.scheme() == Scheme::Http {
            return Err(self.unusable_server(&format!(
                "({server}) is asked by plain HTTP, while the registry is not"
            )));
        }
        Ok((server, realm))
    }

    fn unusable_server(&self, what: &str) -> Failure {
        Failure::InvalidAnswer {
            by: self.target.endpoint.to_string(),
            detail: format!("the token server that it names {what}"),
        }
    }
}

/// The path and query of a token server, as the registry wrote them.
fn path_and_query(realm: &Uri) -> String {
    let written = realm.path_and_query();
    written.map_or("/", |address| address.as_str()).to_owned()
}

/// What the token must allow: what the registry says, or else what is needed.
fn scope(bearer: &Bearer, repository: &str) -> String {
    let needed = || format!("repository:{repository}:pull");
    bearer.scope.clone().unwrap_or_else(needed)
}

/// The form by which an identity token is exchanged; every value is encoded.
fn token_form(bearer: &Bearer, repository: &str, token: &str) -> String {
    let scope = scope(bearer, repository);
    let fields = [
        ("grant_type", "refresh_token"),
        // It must be there, and a registry need not give it.
        ("service", bearer.service.as_deref().unwrap_or_default()),
        ("client_id", CLIENT_ID),
        ("scope", scope.as_str()),
        ("refresh_token", token),
    ];
    let fields = fields.map(|(name, value)| format!("{name}={}", encoded(value)));
    fields.join("&")
}

/// The path and query below a token server; every value is encoded.
fn token_query(realm: &Uri, bearer: &Bearer, repository: &str) -> String {
    let scope = scope(bearer, repository);
    let scopes = scope.split_whitespace();
    let mut query = path_and_query(realm);
    let service = bearer
        .service
        .iter()
        .map(|service| ("service", service.as_str()));
    for (name, value) in service.chain(scopes.map(|scope| ("scope", scope))) {
        query.push(if query.contains('?') { '&' } else { '?' });
        query.push_str(name);
        query.push('=');
        query.push_str(&encoded(value));
    }
    query
}

/// Whether a registry's login may be shown to this token server.
///
/// It may on the registry's own host, at whatever port, and on a domain above that host: whoever
/// holds `gitlab.com` decides where `registry.gitlab.com` leads, so that nothing is shown to them
/// that they could not have had. It may not elsewhere, with Docker Hub's the one exception; a
/// sibling such as `auth.example.com` for `registry.example.com` can be another's.
fn may_log_in(registry: &Endpoint, server: &Endpoint) -> bool {
    if registry.scheme() == Scheme::Https && server.scheme() == Scheme::Http {
        return false;
    }
    if registry.is_docker_hub() && server.host() == "auth.docker.io" {
        return true;
    }
    // An address has no domains above it, though `0.0.1` is the end of `10.0.0.1`.
    let is_address = registry.host().parse::<Ipv4Addr>().is_ok();
    let is_above = !is_address
        && server.scheme() == Scheme::Https
        && server.host().contains('.')
        && registry
            .host()
            .strip_suffix(server.host())
            .is_some_and(|below| below.ends_with('.'));
    registry.host() == server.host() || is_above
}

/// What tells a login from every other.
fn fingerprint(credential: &Credential) -> [u8; 32] {
    let proof = credential.proof();
    let shown = basic(credential.username(), proof.value());
    Sha256::digest(format!("{} {shown}", proof.kind())).into()
}

fn basic(username: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("{username}:{password}"))
}

fn basic_header(credential: &Credential, password: &str) -> Result<HeaderValue, Failure> {
    let header = format!("Basic {}", basic(credential.username(), password));
    // Base64 has no character that a header may not have.
    HeaderValue::try_from(header).map_err(|error| Failure::AuthenticationFailed {
        by: credential.source().to_owned(),
        said: error.to_string(),
    })
}

/// All that must not be shown of what was sent.
pub(crate) fn secrets(
    target: &Target,
    credential: Option<&Credential>,
    authorization: Option<&Authorization>,
) -> Vec<String> {
    let of_credential = credential
        .map(|credential| match credential.proof() {
            Proof::Password(password) => [password.clone(), basic(credential.username(), password)],
            Proof::IdentityToken(token) => [token.clone(), encoded(token)],
        })
        .into_iter()
        .flatten();
    let sent = authorization
        .and_then(|authorization| authorization.header.to_str().ok()?.split_once(' '))
        .map(|(_, value)| value.to_owned());
    of_credential.chain(sent).chain(target.secrets()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_shown_to_the_own_host_and_to_domains_above_it_only() {
        let cases = [
            ("https://ghcr.io", "https://ghcr.io", true),
            ("https://registry:5000", "https://registry:5001", true),
            ("http://registry:5000", "http://registry:5001", true),
            ("http://registry:5000", "https://registry", true),
            (
                "https://registry-1.docker.io",
                "https://auth.docker.io",
                true,
            ),
            ("https://registry.gitlab.com", "https://gitlab.com", true),
            ("https://registry.gitlab.com", "https://com", false),
            ("https://registry.gitlab.com", "http://gitlab.com", false),
            ("http://registry.gitlab.com", "http://gitlab.com", false),
            (
                "https://registry.example.com",
                "https://auth.example.com",
                false,
            ),
            ("https://evilgitlab.com", "https://gitlab.com", false),
            ("https://ghcr.io", "http://ghcr.io", false),
            ("https://ghcr.io", "https://evil.example", false),
            ("https://ghcr.io", "https://auth.docker.io", false),
            (
                "http://registry-1.docker.io",
                "https://auth.docker.io",
                false,
            ),
            ("https://10.0.0.1", "https://0.0.1", false),
        ];
        for (registry, server, expected) in cases {
            let (registry, server) = (
                Endpoint::parse(registry).unwrap(),
                Endpoint::parse(server).unwrap(),
            );
            assert_eq!(
                may_log_in(&registry, &server),
                expected,
                "{registry} to {server}"
            );
        }
    }

    #[test]
    fn what_the_registry_wants_in_the_query_is_encoded() {
        let query = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let bearer = Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            };
            token_query(&realm.parse().unwrap(), &bearer, "a/b")
        };
        assert_eq!(
            query(
                "https://r/t",
                Some("my registry"),
                Some("repository:a/b:pull,push")
            ),
            "/t?service=my%20registry&scope=repository%3Aa%2Fb%3Apull%2Cpush"
        );
        assert_eq!(
            query("https://r", None, None),
            "/?scope=repository%3Aa%2Fb%3Apull"
        );
        assert_eq!(
            query("https://r/t?x=y", None, Some("a b")),
            "/t?x=y&scope=a&scope=b"
        );
        assert_eq!(
            query("https://r/t", Some("x\r\nHost: evil&a=b#c"), Some("s")),
            "/t?service=x%0D%0AHost%3A%20evil%26a%3Db%23c&scope=s"
        );
    }
}
