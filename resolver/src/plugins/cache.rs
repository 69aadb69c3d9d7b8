//! The cached answers of one plugin.
//!
//! The keys are those of the kubelet: an image, a registry, or everything. Unlike there, the size
//! is bounded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::response::{Lifetime, Login, Scope};

/// The most cached answers of one plugin.
const ENTRIES_MAX: usize = 1024;

/// The logins of an answer.
pub(super) type Logins = Arc<[Login]>;

/// The scope of a cached answer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Image(String),
    Registry(String),
    Global,
}

impl Key {
    /// The key of an answer of this scope for `image`. The registry is the part before the first
    /// slash.
    pub(super) fn of(scope: Scope, image: &str) -> Key {
        match scope {
            Scope::Image => Key::Image(image.to_owned()),
            Scope::Registry => {
                Key::Registry(image.split('/').next().unwrap_or_default().to_owned())
            }
            Scope::Global => Key::Global,
        }
    }
}

/// The lifetime of an answer; `None` if it is not cached.
pub(super) fn ttl(lifetime: Lifetime, default: Duration) -> Option<Duration> {
    let ttl = match lifetime {
        Lifetime::Default => default,
        Lifetime::Nanos(nanos) => Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)),
    };
    (!ttl.is_zero()).then_some(ttl)
}

/// Answers until and including their expiry.
#[derive(Default)]
pub(super) struct LoginCache {
    entries: HashMap<Key, (Logins, Instant)>,
}

impl LoginCache {
    /// The answer for an image, else for its registry, else for all.
    pub(super) fn get(&self, image: &str, now: Instant) -> Option<Logins> {
        [Scope::Image, Scope::Registry, Scope::Global]
            .into_iter()
            .filter_map(|scope| self.entries.get(&Key::of(scope, image)))
            .find(|(_, end)| now <= *end)
            .map(|(logins, _)| Arc::clone(logins))
    }

    /// Caches an answer until `end`. If the cache is full, the one that expires first is removed.
    pub(super) fn insert(&mut self, key: Key, logins: Logins, now: Instant, end: Instant) {
        self.entries.insert(key, (logins, end));
        if self.entries.len() > ENTRIES_MAX {
            self.entries.retain(|_, (_, end)| now <= *end);
        }
        if self.entries.len() > ENTRIES_MAX {
            let first = self.entries.iter().min_by_key(|(_, (_, end))| *end);
            if let Some(key) = first.map(|(key, _)| key.clone()) {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn logins(username: &str) -> Logins {
        Arc::new([Login {
            key: "r.io".to_owned(),
            username: username.to_owned(),
            password: String::new(),
        }])
    }

    fn name(cache: &LoginCache, image: &str, now: Instant) -> Option<String> {
        cache
            .get(image, now)
            .map(|logins| logins[0].username.clone())
    }

    #[test]
    fn answer_is_cached_by_its_scope() {
        let now = Instant::now();
        let mut cache = LoginCache::default();
        for (scope, username) in [
            (Scope::Image, "image"),
            (Scope::Registry, "registry"),
            (Scope::Global, "global"),
        ] {
            let key = Key::of(scope, "r.io:5000/a/b");
            cache.insert(key, logins(username), now, now + SECOND);
        }
        let cases = [
            ("r.io:5000/a/b", "image"),
            ("r.io:5000/a", "registry"),
            ("r.io/a/b", "global"),
        ];
        for (image, expected) in cases {
            assert_eq!(
                name(&cache, image, now).as_deref(),
                Some(expected),
                "{image}"
            );
        }
    }

    #[test]
    fn expired_entry_gives_way_to_a_wider_scope() {
        let now = Instant::now();
        let mut cache = LoginCache::default();
        cache.insert(
            Key::of(Scope::Image, "r.io/a"),
            logins("image"),
            now,
            now + SECOND,
        );
        cache.insert(Key::Global, logins("global"), now, now + 2 * SECOND);
        let after = |nanos| name(&cache, "r.io/a", now + Duration::from_nanos(nanos));
        assert_eq!(after(1_000_000_000).as_deref(), Some("image"));
        assert_eq!(after(1_000_000_001).as_deref(), Some("global"));
        assert_eq!(after(2_000_000_001), None);
    }

    #[test]
    fn full_cache_evicts_the_first_to_expire() {
        let now = Instant::now();
        let mut cache = LoginCache::default();
        for index in 0..=ENTRIES_MAX {
            let image = format!("r.io/{index}");
            let end = now + SECOND * u32::try_from(1 + index).unwrap();
            cache.insert(Key::Image(image), logins("u"), now, end);
        }
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
        assert_eq!(name(&cache, "r.io/0", now), None);
        assert_eq!(name(&cache, "r.io/1", now).as_deref(), Some("u"));
    }

    #[test]
    fn lifetime_is_the_answers_else_the_default() {
        let hour = Duration::from_secs(60 * 60);
        let cases = [
            (Lifetime::Default, hour, Some(hour)),
            (Lifetime::Default, Duration::ZERO, None),
            (Lifetime::Nanos(1_000_000_000), hour, Some(SECOND)),
            (Lifetime::Nanos(0), hour, None),
            (Lifetime::Nanos(-1), hour, None),
        ];
        for (lifetime, default, expected) in cases {
            assert_eq!(ttl(lifetime, default), expected, "{lifetime:?} {default:?}");
        }
    }
}
