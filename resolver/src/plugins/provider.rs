//! Runs one plugin, and caches its answers.
//!
//! Concurrent requests for one image share a run, as in the kubelet. Other images run beside it
//! within a limit, and use its answer if that covers them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::cache::{self, Key, LoginCache, Logins};
use super::config;
use super::response;
use super::run::{self, Program};
use crate::lock::lock;

/// The most concurrent runs of one plugin.
const RUNS_MAX: usize = 8;

/// The credentials of a run, or its fault.
pub(super) type LoginsResult = Result<Logins, String>;

/// A running plugin; it is killed when nobody waits for it.
type Run = BoxFuture<'static, LoginsResult>;

/// A plugin with its cache.
pub(super) struct Provider {
    pub(super) config: config::Provider,
    program: PathBuf,
    state: Mutex<State>,
    runs: Semaphore,
}

#[derive(Default)]
struct State {
    cache: LoginCache,
    /// By image.
    running: HashMap<String, WeakShared<Run>>,
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

    /// The credentials for an image; a run may take until `deadline`.
    pub(super) async fn logins(self: &Arc<Self>, image: &str, deadline: Duration) -> LoginsResult {
        let run = {
            let mut state = lock(&self.state);
            if let Some(logins) = state.cache.get(image, Instant::now()) {
                return Ok(logins);
            }
            self.shared_run(&mut state, image, deadline)
        };
        run.await
    }

    /// The run for an image, started if there is none.
    fn shared_run(
        self: &Arc<Self>,
        state: &mut State,
        image: &str,
        deadline: Duration,
    ) -> Shared<Run> {
        state
            .running
            .retain(|_, run| run.upgrade().is_some_and(|run| run.peek().is_none()));
        if let Some(run) = state.running.get(image).and_then(WeakShared::upgrade) {
            return run;
        }
        let (provider, owned) = (Arc::clone(self), image.to_owned());
        let run = async move { provider.ask(&owned, deadline).await };
        let run = run.boxed().shared();
        if let Some(weak) = run.downgrade() {
            state.running.insert(image.to_owned(), weak);
        }
        run
    }

    async fn ask(&self, image: &str, deadline: Duration) -> LoginsResult {
        // The semaphore is never closed.
        let _permit = self.runs.acquire().await;
        if let Some(logins) = lock(&self.state).cache.get(image, Instant::now()) {
            return Ok(logins);
        }
        let program = Program {
            path: &self.program,
            args: &self.config.args,
            env: &self.config.env,
        };
        let request = response::request(self.config.version, image);
        let output = run::run(program, &request, deadline).await?;
        let response = response::read(&output, self.config.version)?;
        let logins: Logins = response.logins.into();
        let now = Instant::now();
        let end = cache::ttl(response.lifetime, self.config.default_cache_duration)
            .and_then(|ttl| now.checked_add(ttl));
        if let Some(end) = end {
            let key = Key::of(response.scope, image);
            lock(&self.state)
                .cache
                .insert(key, Arc::clone(&logins), now, end);
        }
        Ok(logins)
    }
}
