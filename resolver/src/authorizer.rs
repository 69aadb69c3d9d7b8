//! Authorizes requests: with the password itself, or with a token.
//!
//! Passwords are exchanged as in the distribution specification's `token.md`, identity tokens as in
//! its `oauth.md`.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode, Uri};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::challenge::{Bearer, Challenge};
use crate::endpoint::{Endpoint, Scheme, query_encoded};
use crate::error::Failure;
use crate::http::{Deadline, HttpRequest};
use crate::keyring::{Credential, Proof};
use crate::lock::lock;
use crate::response;
use crate::target::Target;
use crate::trust::TrustId;

/// The largest accepted response of a token server, in bytes: a token must fit into a header, and
/// JSON takes a multiple of its size while it is parsed.
const TOKEN_BODY_MAX: usize = 128 << 10;

/// The default lifetime of a token in the distribution specification.
const TOKEN_TTL: Duration = Duration::from_secs(60);

/// The longest accepted lifetime of a token.
const TOKEN_TTL_MAX: Duration = Duration::from_secs(60 * 60);

/// The time before its expiry at which a token is no longer used.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// The `client_id` of token exchanges.
const CLIENT_ID: &str = "dockercoins-resolver";

/// The most cached authorizations.
const ENTRIES_MAX: usize = 1024;

/// The `Authorization` header and its scheme.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) header: HeaderValue,
    pub(crate) scheme: AuthScheme,
}

/// The scheme of an `Authorization` header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthScheme {
    Basic,
    Bearer,
}

/// The key of a cached authorization. It contains a hash of the credential and of the trust, so
/// that a token never serves another credential, a changed password, or a server under other trust.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    trust_id: TrustId,
    endpoint: Endpoint,
    /// With the query: one host may mirror several registries.
    image: String,
    login: Option<[u8; 32]>,
}

impl CacheKey {
    pub(crate) fn new(
        target: &Target,
        repository: &str,
        credential: Option<&Credential>,
    ) -> CacheKey {
        CacheKey {
            trust_id: target.trust_id,
            endpoint: target.endpoint.clone(),
            image: target.path_and_query(repository),
            login: credential.map(fingerprint),
        }
    }
}

/// A cache of authorizations until they expire.
#[derive(Default)]
pub(crate) struct AuthorizationCache {
    cache: Mutex<HashMap<CacheKey, (Authorization, Instant)>>,
}

impl AuthorizationCache {
    pub(crate) fn get(&self, key: &CacheKey) -> Option<Authorization> {
        let cache = lock(&self.cache);
        cache
            .get(key)
            .filter(|(_, end)| Instant::now() < *end)
            .map(|(authorization, _)| authorization.clone())
    }

    pub(crate) fn remove(&self, key: &CacheKey) {
        lock(&self.cache).remove(key);
    }

    fn insert(&self, key: &CacheKey, authorization: &Authorization, ttl: Duration) {
        let now = Instant::now();
        let mut cache = lock(&self.cache);
        if cache.len() >= ENTRIES_MAX {
            cache.retain(|_, (_, end)| now < *end);
        }
        if cache.len() < ENTRIES_MAX {
            cache.insert(key.clone(), (authorization.clone(), now + ttl));
        }
    }
}

impl fmt::Debug for AuthorizationCache {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Authorizations").finish_non_exhaustive()
    }
}

/// Answers a host's challenges.
pub(crate) struct Authorizer<'a> {
    pub(crate) cache: &'a AuthorizationCache,
    pub(crate) target: &'a Target,
    pub(crate) repository: &'a str,
    pub(crate) credential: Option<&'a Credential>,
    pub(crate) deadline: Deadline,
    /// The number of the attempt, from 1.
    pub(crate) attempt: usize,
}

impl Authorizer<'_> {
    /// Answers one of the challenges. Bearer is preferred: only the token server sees the
    /// credential.
    pub(crate) async fn authorize(
        &self,
        challenges: &[Challenge],
    ) -> Result<Authorization, Failure> {
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer(bearer) => Some(bearer),
            Challenge::Basic => None,
        });
        let (authorization, ttl) = match (bearer, self.credential) {
            (Some(bearer), _) => self.fetch_token(bearer).await?,
            (None, Some(credential)) if challenges.contains(&Challenge::Basic) => {
                let Proof::Password(password) = credential.proof() else {
                    return Err(self.refused(
                        "it requires a password, and the credential has an identity token"
                            .to_owned(),
                    ));
                };
                let authorization = Authorization {
                    header: basic_header(credential, password)?,
                    scheme: AuthScheme::Basic,
                };
                (authorization, TOKEN_TTL_MAX)
            }
            (None, None) if challenges.contains(&Challenge::Basic) => {
                return Err(self.refused("it requires credentials and none match".to_owned()));
            }
            (None, _) => {
                return Err(self.refused("its challenge is neither Basic nor Bearer".to_owned()));
            }
        };
        let key = CacheKey::new(self.target, self.repository, self.credential);
        self.cache.insert(&key, &authorization, ttl);
        Ok(authorization)
    }

    fn refused(&self, why: String) -> Failure {
        Failure::AuthenticationFailed {
            by: self.target.endpoint.to_string(),
            server_message: why,
        }
    }

    async fn fetch_token(&self, bearer: &Bearer) -> Result<(Authorization, Duration), Failure> {
        let (server, realm) = self.token_server(bearer)?;
        if self.credential.is_some() && !may_send_credential(&self.target.endpoint, &server) {
            return Err(self.refused(format!(
                "its token server {server} is neither its own host nor a parent domain, so no credential was sent"
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
        let is_refresh = form.is_some();
        let uri = format!("{server}{address}")
            .parse()
            .map_err(|_| self.invalid_token_server("has an address that is too long"))?;
        let request = HttpRequest {
            method,
            server: &server,
            uri,
            accept: "application/json",
            authorization,
            form,
            headers: match may_send_credential(&self.target.endpoint, &server) {
                true => &self.target.headers,
                false => &[],
            },
            body_max: TOKEN_BODY_MAX,
            purpose: "token",
            attempt: self.attempt,
        };
        let response = self.target.client.send(request, self.deadline).await?;
        if response.status != StatusCode::OK {
            let secrets = secrets(self.target, self.credential, None);
            return Err(match is_refresh {
                true => response::refresh_error(&server, &response, &secrets),
                false => response::token_error(&server, &response, &secrets),
            });
        }
        let invalid = |detail: &str| Failure::InvalidAnswer {
            by: server.to_string(),
            detail: detail.to_owned(),
        };
        let document: Value = serde_json::from_slice(&response.body)
            .map_err(|_| invalid("it is not JSON with a token"))?;
        let names: &[&str] = match is_refresh {
            true => &["access_token"],
            false => &["token", "access_token"],
        };
        let token = names
            .iter()
            .filter_map(|name| document.get(name)?.as_str())
            .find(|token| !token.is_empty())
            .ok_or_else(|| invalid("it has no token"))?;
        let header = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| invalid("its token has characters that are not allowed in a header"))?;
        let ttl = match document.get("expires_in").and_then(Value::as_u64) {
            Some(seconds) => Duration::from_secs(seconds).min(TOKEN_TTL_MAX),
            None => TOKEN_TTL,
        };
        Ok((
            Authorization {
                header,
                scheme: AuthScheme::Bearer,
            },
            ttl.saturating_sub(TOKEN_MARGIN),
        ))
    }

    /// The token server and its realm. A registry with HTTPS may not name one with plain HTTP.
    fn token_server(&self, bearer: &Bearer) -> Result<(Endpoint, Uri), Failure> {
        let (server, realm) = Endpoint::from_uri(&bearer.realm)
            .ok_or_else(|| self.invalid_token_server("is not an https:// or http:// URL"))?;
        if self.target.endpoint.scheme() == Scheme::Https && server.scheme() == Scheme::Http {
            return Err(self.invalid_token_server(&format!(
                "({server}) uses plain HTTP, and the registry does not"
            )));
        }
        Ok((server, realm))
    }

    fn invalid_token_server(&self, what: &str) -> Failure {
        Failure::InvalidAnswer {
            by: self.target.endpoint.to_string(),
            detail: format!("its token server {what}"),
        }
    }
}

/// The path and query of the realm as written.
fn path_and_query(realm: &Uri) -> String {
    let written = realm.path_and_query();
    written.map_or("/", |address| address.as_str()).to_owned()
}

/// The scope of the challenge, or else pull on the repository.
fn scope(bearer: &Bearer, repository: &str) -> String {
    let needed = || format!("repository:{repository}:pull");
    bearer.scope.clone().unwrap_or_else(needed)
}

/// The form of a refresh token exchange.
fn token_form(bearer: &Bearer, repository: &str, token: &str) -> String {
    let scope = scope(bearer, repository);
    let fields = [
        ("grant_type", "refresh_token"),
        // Required, although a challenge may omit it.
        ("service", bearer.service.as_deref().unwrap_or_default()),
        ("client_id", CLIENT_ID),
        ("scope", scope.as_str()),
        ("refresh_token", token),
    ];
    let fields = fields.map(|(name, value)| format!("{name}={}", query_encoded(value)));
    fields.join("&")
}

/// The path and query of a token request.
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
        query.push_str(&query_encoded(value));
    }
    query
}

/// Whether a registry's credential may be sent to this token server.
///
/// Allowed are the registry's own host at any port, and parent domains: the owner of `gitlab.com`
/// controls `registry.gitlab.com` anyway. Siblings are not, except Docker Hub's: `auth.example.com`
/// may not belong to the owner of `registry.example.com`.
fn may_send_credential(registry: &Endpoint, server: &Endpoint) -> bool {
    if registry.scheme() == Scheme::Https && server.scheme() == Scheme::Http {
        return false;
    }
    if registry.is_docker_hub() && server.host() == "auth.docker.io" {
        return true;
    }
    // An IP address has no parent domain, though `0.0.1` is a suffix of `10.0.0.1`.
    let is_address = registry.host().parse::<Ipv4Addr>().is_ok();
    let is_above = !is_address
        && server.scheme() == Scheme::Https
        && server.host().contains('.')
        && registry
            .host()
            .strip_suffix(server.host())
            .is_some_and(|path_and_query| path_and_query.ends_with('.'));
    registry.host() == server.host() || is_above
}

/// A hash of a credential.
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
    // Base64 is always valid in a header.
    HeaderValue::try_from(header).map_err(|error| Failure::AuthenticationFailed {
        by: credential.source().to_owned(),
        server_message: error.to_string(),
    })
}

/// The sent values that must not appear in messages.
pub(crate) fn secrets(
    target: &Target,
    credential: Option<&Credential>,
    authorization: Option<&Authorization>,
) -> Vec<String> {
    let of_credential = credential
        .map(|credential| match credential.proof() {
            Proof::Password(password) => [password.clone(), basic(credential.username(), password)],
            Proof::IdentityToken(token) => [token.clone(), query_encoded(token)],
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
    fn login_is_sent_to_own_host_and_parent_domains_only() {
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
                may_send_credential(&registry, &server),
                expected,
                "{registry} to {server}"
            );
        }
    }

    #[test]
    fn token_query_is_encoded() {
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
