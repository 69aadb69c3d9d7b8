//! One try: the manifest is asked for with one login, or without.
//!
//! `HEAD` costs the registry little and counts as no pull; where it says too little, or refuses, a
//! `GET` brings the manifest or the registry's explanation.

use hyper::header::{LOCATION, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode, Uri};

use crate::challenge::{self, Challenge};
use crate::endpoint::{Endpoint, Scheme};
use crate::error::Failure;
use crate::exchange::{Answer, Ask, Deadline};
use crate::keyring::Credential;
use crate::login::{Authorization, Authorizations, Kind, Login, Whom, secrets};
use crate::names::Reference;
use crate::outcome::{self, Manifest};
use crate::platforms::{self, Platforms};
use crate::target::Target;

/// The most bytes of a manifest: what registries take by the distribution specification.
const MANIFEST_MAX: usize = 4 << 20;

/// The most redirects that are followed for one request.
const REDIRECTS_MAX: usize = 5;

/// One try with one login, or without.
pub(crate) struct Attempt<'a> {
    pub(crate) authorizations: &'a Authorizations,
    pub(crate) reference: &'a Reference,
    pub(crate) target: &'a Target,
    pub(crate) credential: Option<&'a Credential>,
    pub(crate) deadline: Deadline,
    /// The how manyth try it is, from 1.
    pub(crate) number: usize,
    /// What was last shown to the registry.
    pub(crate) sent: Option<Authorization>,
}

/// An answer, and the server that gave it: a redirect may have led to another than was asked.
struct Answered {
    server: Endpoint,
    answer: Answer,
}

/// What is wanted of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The digest of a reference.
    Digest,
    /// The platforms for which there is an image under a reference, which has a digest.
    Platforms,
}

/// What came of it.
pub(crate) enum Got {
    Digest(Manifest),
    Platforms(Vec<String>),
}

impl Attempt<'_> {
    pub(crate) async fn get(&mut self, wanted: Wanted) -> Result<Got, Failure> {
        match wanted {
            Wanted::Digest => self.manifest().await.map(Got::Digest),
            Wanted::Platforms => self.platforms().await.map(Got::Platforms),
        }
    }

    /// Reads the manifest, and the image's configuration where only that knows. Both must hash to their digests.
    async fn platforms(&mut self) -> Result<Vec<String>, Failure> {
        let got = self.ask(Method::GET).await?;
        if got.answer.status != StatusCode::OK {
            return Err(self.refused(&got));
        }
        let asked = self.reference.digest();
        outcome::of_get(&got.server, &got.answer, asked, &self.secrets())?;
        let config = match platforms::of_manifest(&got.answer.body) {
            Platforms::Listed(platforms) => return Ok(platforms),
            Platforms::Unknown => return Ok(Vec::new()),
            Platforms::InConfig(config) => config,
        };
        let repository = self.reference.repository();
        let blob = self.address(&format!("{repository}/blobs/{config}"))?;
        let got = self.follow_to(Method::GET, blob, "config").await?;
        if got.answer.status != StatusCode::OK {
            return Err(self.refused(&got));
        }
        if !config.verify(&got.answer.body) {
            let by = got.server.to_string();
            let detail = format!("the image's configuration does not hash to its digest {config}");
            return Err(Failure::InvalidAnswer { by, detail });
        }
        Ok(platforms::of_config(&got.answer.body))
    }

    async fn manifest(&mut self) -> Result<Manifest, Failure> {
        let asked = self.reference.digest();
        let head = self.ask(Method::HEAD).await?;
        match head.answer.status {
            StatusCode::OK => {
                if let Some(manifest) =
                    outcome::of_head(&head.server, &head.answer, &self.secrets())?
                {
                    return outcome::check_asked(&head.server, asked, manifest);
                }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {}
            _ => return Err(self.refused(&head)),
        }
        let refused = head.answer.status != StatusCode::OK;
        // What was refused has had its login; what comes of it now is only the explanation, or the
        // manifest after all, from a registry that knows no HEAD.
        let got = match refused {
            true => self
                .follow(Method::GET)
                .await
                .map_err(|_| self.refused(&head))?,
            false => self.ask(Method::GET).await?,
        };
        match got.answer.status {
            StatusCode::OK => {
                let manifest = outcome::of_get(&got.server, &got.answer, asked, &self.secrets())?;
                outcome::check_asked(&got.server, asked, manifest)
            }
            status if refused && status != head.answer.status => Err(self.refused(&head)),
            _ => Err(self.refused(&got)),
        }
    }

    fn refused(&self, from: &Answered) -> Failure {
        if from.answer.status == StatusCode::UNAUTHORIZED
            && !from.server.same_as(&self.target.endpoint)
        {
            let said = format!(
                "it was reached by a redirect of {}, and logins are not sent along",
                self.target.endpoint
            );
            return Failure::AuthenticationFailed {
                by: from.server.to_string(),
                said,
            };
        }
        let showed_login = self
            .sent
            .as_ref()
            .is_some_and(|sent| sent.kind == Kind::Basic);
        outcome::refused(&from.server, &from.answer, showed_login, &self.secrets())
    }

    /// All that must not be shown of what was sent.
    fn secrets(&self) -> Vec<String> {
        secrets(self.target, self.credential, self.sent.as_ref())
    }

    /// Asks with what the registry took before, or with nothing; where it wants a login, logs in
    /// and asks again, once.
    async fn ask(&mut self, method: Method) -> Result<Answered, Failure> {
        let whom = Whom::new(self.target, self.reference.repository(), self.credential);
        let kept = self.authorizations;
        let took_it_before = self.sent.is_some();
        self.sent = self.sent.take().or_else(|| kept.get(&whom));
        let first = self.follow(method.clone()).await?;
        if first.answer.status == StatusCode::UNAUTHORIZED {
            kept.forget(&whom);
        }
        if took_it_before || !self.wants_login(&first) {
            return Ok(first);
        }
        let challenges = self.challenges(&first.answer).await?;
        if challenges.is_empty() && first.answer.status != StatusCode::UNAUTHORIZED {
            return Ok(first);
        }
        let login = Login {
            kept,
            target: self.target,
            repository: self.reference.repository(),
            credential: self.credential,
            deadline: self.deadline,
            attempt: self.number,
        };
        self.sent = Some(login.meet(&challenges).await?);
        let second = self.follow(method).await?;
        if second.answer.status == StatusCode::UNAUTHORIZED {
            kept.forget(&whom);
        }
        Ok(second)
    }

    /// Whether a login may change the answer. Registries that also serve the nameless hide from
    /// them what they may not see, and do not ask for a login then.
    fn wants_login(&self, first: &Answered) -> bool {
        let is_own = first.server.same_as(&self.target.endpoint);
        match first.answer.status {
            StatusCode::UNAUTHORIZED => is_own,
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                is_own && self.credential.is_some() && self.sent.is_none()
            }
            _ => false,
        }
    }

    /// The ways to log in that the answer offers, or else the registry's front door does.
    async fn challenges(&self, answer: &Answer) -> Result<Vec<Challenge>, Failure> {
        let of = |answer: &Answer| {
            let headers = answer.headers.get_all(WWW_AUTHENTICATE);
            challenge::parse(headers.iter().filter_map(|value| value.to_str().ok()))
        };
        let offered = of(answer);
        if !offered.is_empty() || answer.status == StatusCode::UNAUTHORIZED {
            return Ok(offered);
        }
        let ask = Ask {
            method: Method::GET,
            server: &self.target.endpoint,
            uri: self.address("")?,
            accept: "application/json",
            authorization: None,
            headers: &self.target.headers,
            form: None,
            body_max: MANIFEST_MAX,
            asked_for: "challenge",
            attempt: self.number,
        };
        Ok(of(&self.target.exchange.ask(ask, self.deadline).await?))
    }

    /// Asks, and follows redirects: within the same server with the login, to another one without
    /// it and only to HTTPS.
    async fn follow(&self, method: Method) -> Result<Answered, Failure> {
        self.follow_to(method, self.manifest_address()?, "manifest")
            .await
    }

    async fn follow_to(
        &self,
        method: Method,
        address: Uri,
        asked_for: &'static str,
    ) -> Result<Answered, Failure> {
        let mut server = self.target.endpoint.clone();
        let mut uri = address;
        let mut headers = self.target.headers.as_slice();
        let mut authorization = self.sent.as_ref().map(|sent| sent.header.clone());
        for _ in 0..=REDIRECTS_MAX {
            let ask = Ask {
                method: method.clone(),
                server: &server,
                uri: uri.clone(),
                accept: outcome::ACCEPT_MANIFESTS,
                authorization: authorization.clone(),
                headers,
                form: None,
                body_max: MANIFEST_MAX,
                asked_for,
                attempt: self.number,
            };
            let answer = self.target.exchange.ask(ask, self.deadline).await?;
            if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(Answered { server, answer });
            }
            let unusable = |why: &str| Failure::InvalidAnswer {
                by: server.to_string(),
                detail: format!("it redirects {why}"),
            };
            let location = answer
                .headers
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let (next, address) = follow_location(&server, location)
                .ok_or_else(|| unusable("to what is no address by https:// or http://"))?;
            if !next.same_as(&server) {
                if next.scheme() != Scheme::Https {
                    return Err(unusable(&format!(
                        "to {next}, which is another server and by plain HTTP"
                    )));
                }
                (authorization, headers) = (None, &[]);
            }
            (server, uri) = (next, address);
        }
        let detail = format!("it redirects more than {REDIRECTS_MAX} times");
        Err(Failure::InvalidAnswer {
            by: self.target.endpoint.to_string(),
            detail,
        })
    }

    fn manifest_address(&self) -> Result<Uri, Failure> {
        let repository = self.reference.repository();
        match (self.reference.digest(), self.reference.tag()) {
            (Some(digest), _) => self.address(&format!("{repository}/manifests/{digest}")),
            (None, tag) => self.address(&format!(
                "{repository}/manifests/{}",
                tag.unwrap_or("latest")
            )),
        }
    }

    fn address(&self, below: &str) -> Result<Uri, Failure> {
        // Host, path, tag and digest follow their grammars, which need no encoding.
        let unusable = |_| Failure::InvalidReference {
            host: self.reference.host().to_owned(),
        };
        format!("{}{}", self.target.endpoint, self.target.below(below))
            .parse()
            .map_err(unusable)
    }
}

/// Where a `Location` leads: an address, or a path on the same server.
fn follow_location(server: &Endpoint, location: &str) -> Option<(Endpoint, Uri)> {
    match location.strip_prefix('/') {
        Some(rest) if rest.starts_with('/') => {
            Endpoint::of_address(&format!("{}:{location}", server.scheme().name()))
        }
        Some(_) => Endpoint::of_address(&format!("{server}{location}")),
        None => Endpoint::of_address(location),
    }
}
