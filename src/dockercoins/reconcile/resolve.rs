//! The resolve step: from tags to digests, by the status where it has them, else by the registries.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use resolver::{Keyring, Reference, Request, Resolved};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, debug, field, info_span};

use crate::api::REQUESTED_AT;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;
use crate::dockercoins::error::Error;
use crate::dockercoins::images::{self, Images, Resolution, Resolutions};
use crate::dockercoins::memory::Trigger;
use crate::dockercoins::status::{self, Outcome};
use crate::telemetry::traces;

use super::{Run, random};

impl Run<'_> {
    /// Finds the digests of the images, in status where it has them, at the registries where it doesn't.
    pub(super) async fn resolve(
        &mut self,
        desired: &Desired,
        outcome: &mut Outcome,
    ) -> Result<Images, Error> {
        let answers = match desired.suspend {
            true => Resolutions::new(),
            false => {
                let answers = self.ask(desired).await;
                let is_in_the_way = |(component, answer): (&Component, &Result<_, _>)| {
                    desired.component(*component).source.is_required() && answer.is_err()
                };
                // What runs by its tag is asked for again by itself.
                if !answers.iter().any(is_in_the_way) {
                    outcome.handled_request = self.requested();
                }
                self.is_still_meant()?;
                answers
            }
        };
        outcome.warnings = self.memory.warnings.clone();
        outcome.next_attempt = self.memory.next_attempt();
        let now = Timestamp::now();
        Ok(images::select_images(desired, &self.status, &answers, now))
    }

    /// Whether the resource still says what it said before registries were waited for: else nothing may be written by
    /// it any more.
    fn is_still_meant(&self) -> Result<(), Error> {
        let gist = |meta: &ObjectMeta| {
            (
                meta.uid.clone(),
                meta.generation,
                meta.deletion_timestamp.clone(),
            )
        };
        let namespace = self.coins.namespace().unwrap_or_default();
        let coins = &self.context.cluster.coins;
        let now = coins.read(&namespace, &self.coins.name_any(), |now| {
            now.map(|now| gist(&now.metadata))
        });
        match now == Some(gist(&self.coins.metadata)) {
            true => Ok(()),
            false => Err(Error::Outdated),
        }
    }

    /// What is requested by annotation, unless it is done: that every tag is asked for again.
    fn requested(&self) -> Option<String> {
        let written = self.coins.annotations().get(REQUESTED_AT)?;
        // Status takes no longer one.
        let written = written.chars().take(256).collect();
        (self.status.last_handled_requested_at.as_ref() != Some(&written)).then_some(written)
    }

    /// Asks the registries what must be asked now, and notes when to ask again.
    async fn ask(&mut self, desired: &Desired) -> Resolutions {
        let now = Instant::now();
        let trigger = Trigger {
            generation: self.coins.metadata.generation,
            requested: self.requested(),
        };
        let is_refresh = self.memory.is_refresh_due(desired.interval, now, random());
        let is_due = is_refresh || trigger.requested.is_some();
        let questions = images::to_resolve(desired, &self.status, is_due, Timestamp::now());
        let answers = if questions.is_empty() {
            self.memory.resolve_failure = None;
            self.memory.refreshed(desired.interval, now);
            if status::has_warnings(&self.status) {
                self.reread_secrets(desired, now).await;
            }
            Resolutions::new()
        } else if let Some(answers) = self.memory.pending_failure(&questions, &trigger, now) {
            answers
        } else {
            let since = self.context.first_seen_at(&desired.owner.uid);
            let interval = desired.interval;
            let since = self.memory.oldest_answer(since, is_refresh, interval, now);
            let answers = self.answers(desired, &questions, since).await;
            let when = (Instant::now(), Timestamp::now());
            self.memory
                .resolved(&questions, &answers, trigger, interval, when, random());
            answers
        };
        self.requeue.extend(self.memory.resolve_due_at());
        answers
    }

    /// What the registries say. An answer that someone else was given `since` then will do.
    async fn answers(
        &mut self,
        desired: &Desired,
        questions: &[(Component, &Reference)],
        since: Instant,
    ) -> Resolutions {
        let keyring = self.keyring(desired).await;
        let authority = self.certificate_authority(desired).await;
        self.turn = None;
        let this = &*self;
        let (keyring, authority) = (&keyring, authority.as_deref());
        let asked = questions.iter().map(|(component, reference)| {
            let span = info_span!(
                "image",
                otel.status_code = field::Empty,
                error.type = field::Empty,
                %component,
                image = %reference,
            );
            let ask = async move {
                let request = Request {
                    reference,
                    endpoint: desired.endpoint_for(reference),
                    keyring,
                    certificate_authority: authority
                        .filter(|_| reference.host() == desired.registry_host),
                };
                let answer = this.context.resolver.resolve(&request, since).await;
                debug!(%component, %reference, ?answer, "asked a registry");
                let answer = match answer {
                    Ok(resolved) => {
                        Ok(this.answered(desired, *component, &request, resolved).await)
                    }
                    Err(error) => {
                        traces::failed(&Span::current(), error.reason());
                        Err(error)
                    }
                };
                (*component, answer)
            };
            ask.instrument(span)
        });
        let answers = futures::future::join_all(asked).await.into_iter().collect();
        self.turn = Some(self.context.turn().await);
        answers
    }

    /// What is to be known of a digest: for which platforms there are images under it, and for which of the nodes'
    /// there are none. What is known of it already isn't asked for again.
    async fn answered(
        &self,
        desired: &Desired,
        component: Component,
        request: &Request<'_>,
        resolved: Resolved,
    ) -> Resolution {
        let mut answered = Resolution {
            registry: resolved.endpoint.to_string(),
            login: resolved
                .credential
                .as_ref()
                .map(|login| login.source.clone()),
            ..Resolution::from(resolved.digest.clone())
        };
        let wanted = desired.component(component);
        if let Some(known) = images::stored_resolution(&self.status, wanted, &resolved.digest) {
            answered.platforms = known.platforms;
            answered.missing_platforms = known.missing_platforms;
        }
        let pinned = request.reference.with_digest(&resolved.digest);
        let request = Request {
            reference: &pinned,
            ..*request
        };
        if answered.platforms.is_empty() {
            match self.context.resolver.platforms(&request).await {
                Ok(platforms) => answered.platforms = platforms,
                Err(error) => debug!(%component, %error, "the platforms of an image can't be read"),
            }
        }
        if answered.missing_platforms.is_none() && !answered.platforms.is_empty() {
            let nodes = self.context.cluster.platforms(&desired.node_selector).await;
            answered.missing_platforms =
                nodes.map(|nodes| images::missing_platforms(&answered.platforms, &nodes));
        }
        answered
    }

    /// The logins in the pull secrets. What is to be known of those that gave none is kept in mind.
    async fn keyring(&mut self, desired: &Desired) -> Keyring {
        let cluster = &self.context.cluster;
        let (keyring, warnings) = cluster
            .keyring(&desired.namespace, &desired.pull_secrets)
            .await;
        self.memory.warnings = Some(warnings);
        self.memory.secrets_read_at = Some(Instant::now());
        keyring
    }

    /// The authority of the prefix's host, in PEM, if it has one of its own. That it can't be read stops nothing by
    /// itself: the registry's certificate will tell.
    async fn certificate_authority(&mut self, desired: &Desired) -> Option<Vec<u8>> {
        let at = desired.certificate_authority.as_ref()?;
        let cluster = &self.context.cluster;
        match cluster.certificate_authority(&desired.namespace, at).await {
            Ok(authority) => Some(authority),
            Err(warning) => {
                self.memory.warnings.get_or_insert_default().push(warning);
                None
            }
        }
    }

    /// Sees, from time to time, whether what was told of the pull secrets still holds.
    async fn reread_secrets(&mut self, desired: &Desired, now: Instant) {
        if self.memory.secrets_due_at(now) <= now {
            self.keyring(desired).await;
            self.certificate_authority(desired).await;
        }
        if self.memory.warnings.iter().flatten().next().is_some() {
            self.requeue.at(self.memory.secrets_due_at(now));
        }
    }
}
