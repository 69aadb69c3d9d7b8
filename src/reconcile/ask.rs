//! The asking part of a reconcile: from tags to digests, with status and patience.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use resolver::{Keyring, Request};
use tokio::time::Instant;
use tracing::debug;

use crate::desired::Desired;
use crate::images::{self, Answers, Images};
use crate::status;

use super::{Case, chance};

impl Case<'_> {
    /// Finds the digests of the images, in status where it has them, at the registries where it doesn't.
    pub(super) async fn resolve(&mut self, desired: &Desired) -> Images {
        let answers = match desired.suspend {
            true => Answers::new(),
            false => self.ask(desired).await,
        };
        images::settle(desired, &self.before, &answers, Timestamp::now())
    }

    /// Asks the registries what must be asked now, and notes when to ask again.
    async fn ask(&mut self, desired: &Desired) -> Answers {
        let now = Instant::now();
        let generation = self.coins.metadata.generation;
        let due = self.memory.is_refresh_due(desired.interval, now, chance());
        let questions = images::questions(desired, &self.before, due, Timestamp::now());
        let answers = if questions.is_empty() {
            self.memory.refusal = None;
            if status::has_notes(&self.before) {
                self.look_after_secrets(desired, now).await;
            }
            Answers::new()
        } else if let Some(answers) = self.memory.standing_refusal(&questions, generation, now) {
            answers
        } else {
            let keyring = &self.keyring(desired).await;
            let resolver = &self.context.resolver;
            let asked = questions.iter().map(|(component, reference)| async move {
                let endpoint = desired.endpoint_for(reference);
                let request = Request {
                    reference,
                    endpoint,
                    keyring,
                };
                let answer = resolver.resolve(&request).await;
                debug!(%component, %reference, ?answer, "asked a registry");
                let digest = answer.map(|resolved| resolved.digest);
                (*component, digest.map_err(Arc::new))
            });
            let answers: Answers = futures::future::join_all(asked).await.into_iter().collect();
            let now = Instant::now();
            self.memory.keep_answers(
                &questions,
                &answers,
                generation,
                desired.interval,
                now,
                chance(),
            );
            answers
        };
        self.wakes.extend(self.memory.asks_again_at());
        answers
    }

    /// The logins in the pull secrets. What is to be known of those that gave none is kept in mind.
    async fn keyring(&mut self, desired: &Desired) -> Keyring {
        let cluster = &self.context.cluster;
        let (keyring, notes) = cluster
            .keyring(&desired.namespace, &desired.pull_secrets)
            .await;
        self.memory.notes = Some(notes);
        self.memory.secrets_read_at = Some(Instant::now());
        keyring
    }

    /// Sees, from time to time, whether what was told of the pull secrets still holds.
    async fn look_after_secrets(&mut self, desired: &Desired, now: Instant) {
        if self.memory.reads_secrets_at(now) <= now {
            self.keyring(desired).await;
        }
        if self.memory.notes.iter().flatten().next().is_some() {
            self.wakes.push(self.memory.reads_secrets_at(now));
        }
    }
}
