//! The asking part of a reconcile: from tags to digests, with status and patience.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use resolver::Request;
use tokio::time::Instant;
use tracing::debug;

use crate::desired::Desired;
use crate::images::{self, Answers, Images};

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
            Answers::new()
        } else if let Some(answers) = self.memory.standing_refusal(&questions, generation, now) {
            answers
        } else {
            let (keyring, notes) = self
                .context
                .cluster
                .keyring(&desired.namespace, &desired.pull_secrets)
                .await;
            self.memory.notes = Some(notes);
            let (keyring, resolver) = (&keyring, &self.context.resolver);
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
}
