//! One attempt to read a manifest, with one credential or anonymously.
//!
//! `HEAD` is cheap and does not count as a pull. If it says too little or fails, a `GET` returns
//! the manifest or the registry's error.

use hyper::header::{LOCATION, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode, Uri};

use crate::authorizer::{
    AuthScheme, Authorization, AuthorizationCache, Authorizer, CacheKey, secrets,
};
use crate::challenge::{self, Challenge};
use crate::endpoint::{Endpoint, Scheme};
use crate::error::Failure;
use crate::http::{Deadline, HttpRequest, HttpResponse};
use crate::keyring::Credential;
use crate::names::Reference;
use crate::platforms::{self, Platforms};
use crate::response::{self, Manifest};
use crate::target::Target;

/// The largest accepted manifest, in bytes: the limit of the distribution specification.
const MANIFEST_MAX: usize = 4 << 20;

/// The most redirects per request.
const REDIRECTS_MAX: usize = 5;

/// One attempt, with one credential or anonymously.
pub(crate) struct Attempt<'a> {
    pub(crate) authorizations: &'a AuthorizationCache,
    pub(crate) reference: &'a Reference,
    pub(crate) target: &'a Target,
    pub(crate) credential: Option<&'a Credential>,
    pub(crate) deadline: Deadline,
    /// The number of the attempt, from 1.
    pub(crate) number: usize,
    /// The authorization that was sent last.
    pub(crate) sent: Option<Authorization>,
}

/// A response and its server, which a redirect may have changed.
struct ServerResponse {
    server: Endpoint,
    response: HttpResponse,
}

/// The content that is queried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// The digest of a reference.
    Digest,
    /// The platforms of an image, whose reference has a digest.
    Platforms,
}

/// The content that was found.
pub(crate) enum Content {
    Digest(Manifest),
    Platforms(Vec<String>),
}

impl Attempt<'_> {
    pub(crate) async fn get(&mut self, query: Query) -> Result<Content, Failure> {
        match query {
            Query::Digest => self.manifest().await.map(Content::Digest),
            Query::Platforms => self.platforms().await.map(Content::Platforms),
        }
    }

    /// Reads the platforms from the manifest, or from the image's config. Both must match their
    /// digests.
    async fn platforms(&mut self) -> Result<Vec<String>, Failure> {
        let received = self.send(Method::GET).await?;
        if received.response.status != StatusCode::OK {
            return Err(self.refused(&received));
        }
        let digest = self.reference.digest();
        response::from_get(
            &received.server,
            &received.response,
            digest,
            &self.secrets(),
        )?;
        let config = match platforms::from_manifest(&received.response.body) {
            Platforms::Listed(platforms) => return Ok(platforms),
            Platforms::Unknown => return Ok(Vec::new()),
            Platforms::InConfig(config) => config,
        };
        let repository = self.reference.repository();
        let blob = self.uri(&format!("{repository}/blobs/{config}"))?;
        let received = self.follow_to(Method::GET, blob, "config").await?;
        if received.response.status != StatusCode::OK {
            return Err(self.refused(&received));
        }
        if !config.verify(&received.response.body) {
            let by = received.server.to_string();
            let detail = format!("the image's configuration does not hash to its digest {config}");
            return Err(Failure::InvalidAnswer { by, detail });
        }
        Ok(platforms::from_config(&received.response.body))
    }

    async fn manifest(&mut self) -> Result<Manifest, Failure> {
        let digest = self.reference.digest();
        let head = self.send(Method::HEAD).await?;
        match head.response.status {
            StatusCode::OK => {
                if let Some(manifest) =
                    response::from_head(&head.server, &head.response, &self.secrets())?
                {
                    return response::check_digest(&head.server, digest, manifest);
                }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {}
            _ => return Err(self.refused(&head)),
        }
        let refused = head.response.status != StatusCode::OK;
        // After an error the `GET` only fetches its explanation, or the manifest from a registry
        // without `HEAD`.
        let received = match refused {
            true => self
                .follow(Method::GET)
                .await
                .map_err(|_| self.refused(&head))?,
            false => self.send(Method::GET).await?,
        };
        match received.response.status {
            StatusCode::OK => {
                let manifest = response::from_get(
                    &received.server,
                    &received.response,
                    digest,
                    &self.secrets(),
                )?;
                response::check_digest(&received.server, digest, manifest)
            }
            status if refused && status != head.response.status => Err(self.refused(&head)),
            _ => Err(self.refused(&received)),
        }
    }

    fn refused(&self, from: &ServerResponse) -> Failure {
        if from.response.status == StatusCode::UNAUTHORIZED
            && !from.server.same_as(&self.target.endpoint)
        {
            let server_message = format!(
                "{} redirected to it, and credentials are not forwarded",
                self.target.endpoint
            );
            return Failure::AuthenticationFailed {
                by: from.server.to_string(),
                server_message,
            };
        }
        let sent_password = self
            .sent
            .as_ref()
            .is_some_and(|sent| sent.scheme == AuthScheme::Basic);
        response::registry_error(&from.server, &from.response, sent_password, &self.secrets())
    }

    /// The sent values that must not appear in messages.
    fn secrets(&self) -> Vec<String> {
        secrets(self.target, self.credential, self.sent.as_ref())
    }

    /// Sends a request with the cached authorization, if any; on a challenge authorizes and repeats
    /// it once.
    async fn send(&mut self, method: Method) -> Result<ServerResponse, Failure> {
        let key = CacheKey::new(self.target, self.reference.repository(), self.credential);
        let cache = self.authorizations;
        let was_authorized = self.sent.is_some();
        self.sent = self.sent.take().or_else(|| cache.get(&key));
        let first = self.follow(method.clone()).await?;
        if first.response.status == StatusCode::UNAUTHORIZED {
            cache.remove(&key);
        }
        if was_authorized || !self.needs_authorization(&first) {
            return Ok(first);
        }
        let challenges = self.challenges(&first.response).await?;
        if challenges.is_empty() && first.response.status != StatusCode::UNAUTHORIZED {
            return Ok(first);
        }
        let authorizer = Authorizer {
            cache,
            target: self.target,
            repository: self.reference.repository(),
            credential: self.credential,
            deadline: self.deadline,
            attempt: self.number,
        };
        self.sent = Some(authorizer.authorize(&challenges).await?);
        let second = self.follow(method).await?;
        if second.response.status == StatusCode::UNAUTHORIZED {
            cache.remove(&key);
        }
        Ok(second)
    }

    /// Whether an authorization may change the response. Registries with anonymous access answer
    /// 403 or 404 without a challenge for private images.
    fn needs_authorization(&self, first: &ServerResponse) -> bool {
        let is_own = first.server.same_as(&self.target.endpoint);
        match first.response.status {
            StatusCode::UNAUTHORIZED => is_own,
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                is_own && self.credential.is_some() && self.sent.is_none()
            }
            _ => false,
        }
    }

    /// The challenges of the response, or else those of `/v2/`.
    async fn challenges(&self, response: &HttpResponse) -> Result<Vec<Challenge>, Failure> {
        let of = |response: &HttpResponse| {
            let headers = response.headers.get_all(WWW_AUTHENTICATE);
            challenge::parse(headers.iter().filter_map(|value| value.to_str().ok()))
        };
        let offered = of(response);
        if !offered.is_empty() || response.status == StatusCode::UNAUTHORIZED {
            return Ok(offered);
        }
        let request = HttpRequest {
            method: Method::GET,
            server: &self.target.endpoint,
            uri: self.uri("")?,
            accept: "application/json",
            authorization: None,
            headers: &self.target.headers,
            form: None,
            body_max: MANIFEST_MAX,
            purpose: "challenge",
            attempt: self.number,
        };
        Ok(of(&self.target.client.send(request, self.deadline).await?))
    }

    /// Sends a request and follows redirects. Only redirects to the same server keep the
    /// authorization; others must use HTTPS.
    async fn follow(&self, method: Method) -> Result<ServerResponse, Failure> {
        self.follow_to(method, self.manifest_uri()?, "manifest")
            .await
    }

    async fn follow_to(
        &self,
        method: Method,
        mut uri: Uri,
        purpose: &'static str,
    ) -> Result<ServerResponse, Failure> {
        let mut server = self.target.endpoint.clone();
        let mut headers = self.target.headers.as_slice();
        let mut authorization = self.sent.as_ref().map(|sent| sent.header.clone());
        for _ in 0..=REDIRECTS_MAX {
            let request = HttpRequest {
                method: method.clone(),
                server: &server,
                uri: uri.clone(),
                accept: response::ACCEPT_MANIFESTS,
                authorization: authorization.clone(),
                headers,
                form: None,
                body_max: MANIFEST_MAX,
                purpose,
                attempt: self.number,
            };
            let response = self.target.client.send(request, self.deadline).await?;
            if !matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(ServerResponse { server, response });
            }
            let unusable = |why: &str| Failure::InvalidAnswer {
                by: server.to_string(),
                detail: format!("it redirects {why}"),
            };
            let location = response
                .headers
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let (next, next_uri) = resolve_location(&server, location).ok_or_else(|| {
                unusable("to an invalid address: `Location` must be an https:// or http:// URL")
            })?;
            if !next.same_as(&server) {
                if next.scheme() != Scheme::Https {
                    return Err(unusable(&format!(
                        "to {next}, another server, by plain HTTP"
                    )));
                }
                (authorization, headers) = (None, &[]);
            }
            (server, uri) = (next, next_uri);
        }
        let detail = format!("it redirects more than {REDIRECTS_MAX} times");
        Err(Failure::InvalidAnswer {
            by: self.target.endpoint.to_string(),
            detail,
        })
    }

    fn manifest_uri(&self) -> Result<Uri, Failure> {
        let repository = self.reference.repository();
        match (self.reference.digest(), self.reference.tag()) {
            (Some(digest), _) => self.uri(&format!("{repository}/manifests/{digest}")),
            (None, tag) => self.uri(&format!(
                "{repository}/manifests/{}",
                tag.unwrap_or("latest")
            )),
        }
    }

    fn uri(&self, path: &str) -> Result<Uri, Failure> {
        // Host, path, tag and digest need no encoding: their grammars exclude reserved characters.
        let unusable = |_| Failure::InvalidReference {
            host: self.reference.host().to_owned(),
        };
        format!(
            "{}{}",
            self.target.endpoint,
            self.target.path_and_query(path)
        )
        .parse()
        .map_err(unusable)
    }
}

/// The server and address of a `Location`: a URL, or a path on the same server.
fn resolve_location(server: &Endpoint, location: &str) -> Option<(Endpoint, Uri)> {
    match location.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') => {
            Endpoint::from_uri(&format!("{}:{location}", server.scheme().name()))
        }
        Some(_) => Endpoint::from_uri(&format!("{server}{location}")),
        None => Endpoint::from_uri(location),
    }
}
