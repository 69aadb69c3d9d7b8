//! The five components of DockerCoins: what each is called, and what it listens on.
//!
//! The names are part of the application's protocol. Its worker and its web page have `rng`, `hasher` and
//! `redis` compiled in, so the Deployments and Services must be called exactly this, and two DockerCoins
//! can't share a namespace.

use std::fmt;

/// One of the five programs that make up DockerCoins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Hashes what it is sent.
    Hasher,
    /// Keeps the counters and the coins.
    Redis,
    /// Hands out random bytes, one request at a time.
    Rng,
    /// Draws the hash rate in a browser.
    Webui,
    /// Mines: takes bytes from rng, has them hashed, writes to Redis what it found.
    Worker,
}

impl Component {
    /// All five, in the order in which they are written and reported.
    pub const ALL: [Self; 5] = [
        Self::Hasher,
        Self::Redis,
        Self::Rng,
        Self::Webui,
        Self::Worker,
    ];

    /// The name of its Deployment, Service and container, and the value of its `app` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hasher => "hasher",
            Self::Redis => "redis",
            Self::Rng => "rng",
            Self::Webui => "webui",
            Self::Worker => "worker",
        }
    }

    /// The TCP port that it listens on; `None` for the worker, which only asks others and so has no Service.
    pub const fn port(self) -> Option<i32> {
        match self {
            Self::Hasher | Self::Rng | Self::Webui => Some(80),
            Self::Redis => Some(6379),
            Self::Worker => None,
        }
    }

    /// The component with this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|component| component.name() == name)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
