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
    /// Finds the digests of the images: in the status if it has them, else at the registries.
    pub(super) async fn resolve(
        &mut self,
        desired: &Desired,
        outcome: &mut Outcome,
    ) -> Result<Images, Error> {
        let answers = match desired.suspend {
            true => Resolutions::new(),
            false => {
                let answers = self.ask(desired).await;
                let is_missing = |(component, answer): (&Component, &Result<_, _>)| {
                    desired.component(*component).source.is_required() && answer.is_err()
                };
                // An image that runs by its tag is retried without a request.
                if !answers.iter().any(is_missing) {
                    outcome.handled_request = self.requested();
                }
                self.check_current()?;
                answers
            }
        };
        outcome.warnings = self.memory.warnings.clone();
        outcome.next_attempt = self.memory.next_attempt();
        let now = Timestamp::now();
        Ok(images::select_images(desired, &self.status, &answers, now))
    }

    /// Fails if the resource changed while the registries were asked: its older spec must not be applied.
    fn check_current(&self) -> Result<(), Error> {
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

    /// The request by annotation to resolve every tag again, unless it is handled.
    fn requested(&self) -> Option<String> {
        let written = self.coins.annotations().get(REQUESTED_AT)?;
        // The CRD's bound in the status.
        let written = written.chars().take(256).collect();
        (self.status.last_handled_requested_at.as_ref() != Some(&written)).then_some(written)
    }

    /// Resolves the references that are due, and schedules the next resolve.
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

    /// Queries the registries. A shared answer that is not older than `since` is accepted.
    async fn answers(
        &mut self,
        desired: &Desired,
        questions: &[(Component, &Reference)],
        since: Instant,
    ) -> Resolutions {
        let keyring = self.keyring(desired).await;
        let authority = self.certificate_authority(desired).await;
        self.permit = None;
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
                debug!(%component, %reference, ?answer, "queried a registry");
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
        self.permit = Some(self.context.permit().await);
        answers
    }

    /// The details of a digest: its platforms, and the nodes' platforms that it lacks. Details in the status are reused.
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

    /// The credentials in the pull secrets. Their warnings are remembered.
    async fn keyring(&mut self, desired: &Desired) -> Keyring {
        let cluster = &self.context.cluster;
        let (keyring, warnings) = cluster
            .keyring(&desired.namespace, &desired.pull_secrets)
            .await;
        self.memory.warnings = Some(warnings);
        self.memory.secrets_read_at = Some(Instant::now());
        keyring
    }

    /// The certificate authority of the prefix's host, in PEM, if it has one of its own. One that cannot be read is a
    /// warning: the registry's certificate decides.
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

    /// Reads the pull secrets again every few minutes, to drop warnings that no longer hold.
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
