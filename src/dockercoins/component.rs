//! The five components of DockerCoins: their names, their ports, and values kept for each.
//!
//! The names are fixed. The worker and the web page have the host names `rng`, `hasher` and `redis` compiled in, so
//! Deployments and Services must have these names, and a namespace can hold only one DockerCoins.

use std::fmt;
use std::ops::{Index, IndexMut};

/// One of the five programs of DockerCoins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Hashes the bytes that it receives.
    Hasher,
    /// Stores the counters and the coins.
    Redis,
    /// Returns random bytes, one request at a time.
    Rng,
    /// Serves the web page with the hash rate.
    Webui,
    /// Mines: gets bytes from rng, has hasher hash them, and writes coins to Redis.
    Worker,
}

impl Component {
    /// All five, in the order of writes and of `status.components`.
    pub const ALL: [Self; 5] = [
        Self::Hasher,
        Self::Redis,
        Self::Rng,
        Self::Webui,
        Self::Worker,
    ];

    /// The name of the component's Deployment, Service and container, and the value of its `app` label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hasher => "hasher",
            Self::Redis => "redis",
            Self::Rng => "rng",
            Self::Webui => "webui",
            Self::Worker => "worker",
        }
    }

    /// The TCP port of the component's Service; `None` for the worker, which accepts no connections.
    pub const fn port(self) -> Option<i32> {
        match self {
            Self::Hasher | Self::Rng | Self::Webui => Some(80),
            Self::Redis => Some(6379),
            Self::Worker => None,
        }
    }

    /// The component with this name, if one has it.
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

/// A value for each component: `values[Component::Rng]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerComponent<T> {
    hasher: T,
    redis: T,
    rng: T,
    webui: T,
    worker: T,
}

impl<T> PerComponent<T> {
    /// Calls `value` once for each component, in the order of [`Component::ALL`].
    pub fn from_fn(mut value: impl FnMut(Component) -> T) -> Self {
        Self {
            hasher: value(Component::Hasher),
            redis: value(Component::Redis),
            rng: value(Component::Rng),
            webui: value(Component::Webui),
            worker: value(Component::Worker),
        }
    }

    /// The components and their values, in the order of [`Component::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Component, &T)> + Clone {
        Component::ALL
            .into_iter()
            .map(|component| (component, &self[component]))
    }
}

impl<T> PerComponent<Option<T>> {
    /// The values, if no component lacks one.
    pub fn all(self) -> Option<PerComponent<T>> {
        Some(PerComponent {
            hasher: self.hasher?,
            redis: self.redis?,
            rng: self.rng?,
            webui: self.webui?,
            worker: self.worker?,
        })
    }
}

impl<T> Index<Component> for PerComponent<T> {
    type Output = T;

    fn index(&self, component: Component) -> &T {
        match component {
            Component::Hasher => &self.hasher,
            Component::Redis => &self.redis,
            Component::Rng => &self.rng,
            Component::Webui => &self.webui,
            Component::Worker => &self.worker,
        }
    }
}

impl<T> IndexMut<Component> for PerComponent<T> {
    fn index_mut(&mut self, component: Component) -> &mut T {
        match component {
            Component::Hasher => &mut self.hasher,
            Component::Redis => &mut self.redis,
            Component::Rng => &mut self.rng,
            Component::Webui => &mut self.webui,
            Component::Worker => &mut self.worker,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_has_its_own_value() {
        let names = PerComponent::from_fn(Component::name);
        for (component, name) in names.iter() {
            assert_eq!(*name, component.name());
        }
        for component in Component::ALL {
            let mut changed = names.clone();
            changed[component] = "changed";
            let differing: Vec<_> = Component::ALL
                .into_iter()
                .filter(|other| changed[*other] != names[*other])
                .collect();
            assert_eq!(differing, [component]);
        }
    }

    #[test]
    fn values_are_complete_only_if_no_component_lacks_one() {
        let complete = PerComponent::from_fn(Some);
        assert_eq!(
            complete.clone().all(),
            Some(PerComponent::from_fn(|component| component))
        );
        for component in Component::ALL {
            let mut incomplete = complete.clone();
            incomplete[component] = None;
            assert_eq!(incomplete.all(), None);
        }
    }
}
