//! The answers of one plugin that still hold.
//!
//! An answer is kept under what it holds for, as the kubelet keeps it: an image, a registry, or
//! everything. Their number is bounded; the kubelet's is not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::{Lifetime, Login, Scope};

/// The most answers of one plugin that are kept.
const KEPT_MAX: usize = 1024;

/// The logins of an answer.
pub(super) type Logins = Arc<[Login]>;

/// What an answer holds for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Image(String),
    Registry(String),
    Global,
}

impl Key {
    /// What an answer of this scope holds for that was given for `image`. A registry is what
    /// stands before the first slash.
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

/// How long an answer is kept, where the configuration says `default`; `None` for not at all.
pub(super) fn life(lifetime: Lifetime, default: Duration) -> Option<Duration> {
    let life = match lifetime {
        Lifetime::Default => default,
        Lifetime::Nanos(nanos) => Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)),
    };
    (!life.is_zero()).then_some(life)
}

/// Answers until the moment of their end, at which they hold for the last time.
#[derive(Default)]
pub(super) struct Kept {
    answers: HashMap<Key, (Logins, Instant)>,
}

impl Kept {
    /// The answer for an image: the one given for it, else for its registry, else for all.
    pub(super) fn get(&self, image: &str, now: Instant) -> Option<Logins> {
        [Scope::Image, Scope::Registry, Scope::Global]
            .into_iter()
            .filter_map(|scope| self.answers.get(&Key::of(scope, image)))
            .find(|(_, end)| now <= *end)
            .map(|(logins, _)| Arc::clone(logins))
    }

    /// Keeps an answer until `end`. Where there are too many, the one that ends first goes.
    pub(super) fn put(&mut self, key: Key, logins: Logins, now: Instant, end: Instant) {
        self.answers.insert(key, (logins, end));
        if self.answers.len() > KEPT_MAX {
            self.answers.retain(|_, (_, end)| now <= *end);
        }
        if self.answers.len() > KEPT_MAX {
            let first = self.answers.iter().min_by_key(|(_, (_, end))| *end);
            if let Some(key) = first.map(|(key, _)| key.clone()) {
                self.answers.remove(&key);
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

    fn name(kept: &Kept, image: &str, now: Instant) -> Option<String> {
        kept.get(image, now)
            .map(|logins| logins[0].username.clone())
    }

    #[test]
    fn an_answer_holds_for_what_its_scope_says() {
        let now = Instant::now();
        let mut kept = Kept::default();
        for (scope, username) in [
            (Scope::Image, "image"),
            (Scope::Registry, "registry"),
            (Scope::Global, "global"),
        ] {
            let key = Key::of(scope, "r.io:5000/a/b");
            kept.put(key, logins(username), now, now + SECOND);
        }
        let cases = [
            ("r.io:5000/a/b", "image"),
            ("r.io:5000/a", "registry"),
            ("r.io/a/b", "global"),
        ];
        for (image, expected) in cases {
            assert_eq!(
                name(&kept, image, now).as_deref(),
                Some(expected),
                "{image}"
            );
        }
    }

    #[test]
    fn an_answer_that_has_ended_gives_way_to_a_wider_one() {
        let now = Instant::now();
        let mut kept = Kept::default();
        kept.put(
            Key::of(Scope::Image, "r.io/a"),
            logins("image"),
            now,
            now + SECOND,
        );
        kept.put(Key::Global, logins("global"), now, now + 2 * SECOND);
        let after = |nanos| name(&kept, "r.io/a", now + Duration::from_nanos(nanos));
        assert_eq!(after(1_000_000_000).as_deref(), Some("image"));
        assert_eq!(after(1_000_000_001).as_deref(), Some("global"));
        assert_eq!(after(2_000_000_001), None);
    }

    #[test]
    fn where_there_are_too_many_the_one_that_ends_first_goes() {
        let now = Instant::now();
        let mut kept = Kept::default();
        for index in 0..=KEPT_MAX {
            let image = format!("r.io/{index}");
            let end = now + SECOND * u32::try_from(1 + index).unwrap();
            kept.put(Key::Image(image), logins("u"), now, end);
        }
        assert_eq!(kept.answers.len(), KEPT_MAX);
        assert_eq!(name(&kept, "r.io/0", now), None);
        assert_eq!(name(&kept, "r.io/1", now).as_deref(), Some("u"));
    }

    #[test]
    fn an_answer_lives_as_it_says_and_else_as_configured() {
        let hour = Duration::from_secs(60 * 60);
        let cases = [
            (Lifetime::Default, hour, Some(hour)),
            (Lifetime::Default, Duration::ZERO, None),
            (Lifetime::Nanos(1_000_000_000), hour, Some(SECOND)),
            (Lifetime::Nanos(0), hour, None),
            (Lifetime::Nanos(-1), hour, None),
        ];
        for (lifetime, default, expected) in cases {
            assert_eq!(
                life(lifetime, default),
                expected,
                "{lifetime:?} {default:?}"
            );
        }
    }
}
