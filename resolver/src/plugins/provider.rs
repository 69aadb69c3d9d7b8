//! One plugin at work: what it answered is kept, and it is not run twice for the same.
//!
//! Those who ask for one image at once share a run, as in the kubelet: only the answer tells
//! whether it serves other images too, so that the first of each are run beside each other. Here
//! they are so few at a time, and the answer of one is seen by those that wait for their turn.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::answer;
use super::config;
use super::kept::{self, Kept, Key, Logins};
use super::run::{self, Program};

/// The most runs of one plugin at the same time: a plugin takes memory, and hundreds of images
/// may be asked for at once.
const RUNS_MAX: usize = 8;

/// What came of a run: logins, or why there are none.
pub(super) type Outcome = Result<Logins, String>;

/// A run that is under way. It ends with the last of those who wait for it.
type Run = BoxFuture<'static, Outcome>;

/// A plugin, its program, and what is known of its answers.
pub(super) struct Provider {
    pub(super) config: config::Provider,
    program: PathBuf,
    state: Mutex<State>,
    runs: Semaphore,
}

#[derive(Default)]
struct State {
    kept: Kept,
    /// By image.
    under_way: HashMap<String, WeakShared<Run>>,
}

impl Provider {
    pub(super) fn new(config: config::Provider, program: PathBuf) -> Provider {
        Provider {
            config,
            program,
            state: Mutex::default(),
            runs: Semaphore::new(RUNS_MAX),
        }
    }

    /// The logins that the plugin has for an image. A run that this needs has `deadline`.
    pub(super) async fn logins(self: &Arc<Self>, image: &str, deadline: Duration) -> Outcome {
        let run = {
            let mut state = self.state();
            if let Some(logins) = state.kept.get(image, Instant::now()) {
                return Ok(logins);
            }
            self.run_under_way(&mut state, image, deadline)
        };
        run.await
    }

    /// The run for an image; it is begun where there is none.
    fn run_under_way(
        self: &Arc<Self>,
        state: &mut State,
        image: &str,
        deadline: Duration,
    ) -> Shared<Run> {
        state
            .under_way
            .retain(|_, run| run.upgrade().is_some_and(|run| run.peek().is_none()));
        if let Some(run) = state.under_way.get(image).and_then(WeakShared::upgrade) {
            return run;
        }
        let (provider, owned) = (Arc::clone(self), image.to_owned());
        let run = async move { provider.ask(&owned, deadline).await };
        let run = run.boxed().shared();
        if let Some(weak) = run.downgrade() {
            state.under_way.insert(image.to_owned(), weak);
        }
        run
    }

    async fn ask(&self, image: &str, deadline: Duration) -> Outcome {
        // It is never closed, so there is always a turn.
        let _turn = self.runs.acquire().await;
        if let Some(logins) = self.state().kept.get(image, Instant::now()) {
            return Ok(logins);
        }
        let program = Program {
            path: &self.program,
            args: &self.config.args,
            env: &self.config.env,
        };
        let request = answer::request(self.config.version, image);
        let output = run::run(program, &request, deadline).await?;
        let answer = answer::read(&output, self.config.version)?;
        let logins: Logins = answer.logins.into();
        let now = Instant::now();
        let end = kept::life(answer.lifetime, self.config.default_cache_duration)
            .and_then(|life| now.checked_add(life));
        if let Some(end) = end {
            let key = Key::of(answer.scope, image);
            self.state().kept.put(key, Arc::clone(&logins), now, end);
        }
        Ok(logins)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
