//! The objects of one kind, by watching and by writing.
//!
//! An answer to a write is newer than the watch. The newest version counts, so that a reconcile never decides on an
//! object that it has itself just changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::RwLock;

use kube::ResourceExt;
use kube::runtime::watcher;

use super::sync;

/// The objects of one kind that concern the operator.
pub struct Cache<K> {
    seen: RwLock<Seen<K>>,
}

struct Seen<K> {
    by_namespace: HashMap<String, BTreeMap<String, K>>,
    /// While a list is being read: what it has named so far. The rest is gone when it ends.
    listed: Option<HashSet<(String, String)>>,
    /// The newest version that the watch has brought.
    watched_to: u64,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        let seen = Seen {
            by_namespace: HashMap::new(),
            listed: None,
            watched_to: 0,
        };
        Self {
            seen: RwLock::new(seen),
        }
    }
}

impl<K: ResourceExt> Cache<K> {
    /// What `read` makes of the object with this name; it gets `None` if there is none. The cache hands out no objects,
    /// so that what it keeps of them is its own affair.
    pub fn read<T>(&self, namespace: &str, name: &str, read: impl FnOnce(Option<&K>) -> T) -> T {
        let seen = sync::read(&self.seen);
        let here = seen.by_namespace.get(namespace);
        read(here.and_then(|here| here.get(name)))
    }

    /// What `read` makes of the objects of a namespace, or of all of them, by name.
    pub fn collect<T>(
        &self,
        namespace: Option<&str>,
        mut read: impl FnMut(&K) -> Option<T>,
    ) -> Vec<T> {
        let seen = sync::read(&self.seen);
        let namespaces: Vec<_> = match namespace {
            Some(namespace) => seen.by_namespace.get(namespace).into_iter().collect(),
            None => seen.by_namespace.values().collect(),
        };
        let objects = namespaces.into_iter().flat_map(BTreeMap::values);
        objects.filter_map(&mut read).collect()
    }

    /// Takes the answer to a write, unless the watch is newer: the object may have been deleted since, and no event would
    /// remove it again.
    pub fn wrote(&self, object: K) {
        let mut seen = sync::write(&self.seen);
        if version(&object).is_none_or(|version| version > seen.watched_to) {
            seen.keep(object);
        }
    }

    /// Takes an event of the watch.
    pub fn observe(&self, event: watcher::Event<K>) {
        let mut seen = sync::write(&self.seen);
        if let watcher::Event::Apply(object)
        | watcher::Event::Delete(object)
        | watcher::Event::InitApply(object) = &event
        {
            seen.watched_to = seen.watched_to.max(version(object).unwrap_or(0));
        }
        match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => seen.keep(object),
            watcher::Event::Delete(object) => seen.remove(&object),
            watcher::Event::Init => seen.listed = Some(HashSet::new()),
            watcher::Event::InitDone => seen.drop_unlisted(),
        }
    }
}

impl<K: ResourceExt> Seen<K> {
    fn keep(&mut self, object: K) {
        let (namespace, name) = key(&object);
        if let Some(listed) = &mut self.listed {
            listed.insert((namespace.clone(), name.clone()));
        }
        let here = self.by_namespace.entry(namespace).or_default();
        if here
            .get(&name)
            .is_none_or(|known| !is_older(&object, known))
        {
            here.insert(name, object);
        }
    }

    fn remove(&mut self, object: &K) {
        let (namespace, name) = key(object);
        let Some(here) = self.by_namespace.get_mut(&namespace) else {
            return;
        };
        // Another object may have taken the name since.
        if here
            .get(&name)
            .is_some_and(|known| known.uid() == object.uid())
        {
            here.remove(&name);
        }
        if here.is_empty() {
            self.by_namespace.remove(&namespace);
        }
    }

    fn drop_unlisted(&mut self) {
        let Some(listed) = self.listed.take() else {
            return;
        };
        self.by_namespace.retain(|namespace, here| {
            here.retain(|name, _| listed.contains(&(namespace.clone(), name.clone())));
            !here.is_empty()
        });
    }
}

fn key<K: ResourceExt>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn version<K: ResourceExt>(object: &K) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

/// Whether `object` is an older state of what `known` is a state of. Resource versions of one kind can be
/// compared as numbers (KEP-5504); where they can't, the later arrival counts.
fn is_older<K: ResourceExt>(object: &K, known: &K) -> bool {
    object.uid() == known.uid() && version(object) < version(known)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use kube::runtime::watcher::Event;

    use super::*;

    fn service(name: &str, uid: &str, version: &str) -> Service {
        Service {
            metadata: ObjectMeta {
                name: Some(name.into()),
                namespace: Some("demo".into()),
                uid: Some(uid.into()),
                resource_version: Some(version.into()),
                ..ObjectMeta::default()
            },
            ..Service::default()
        }
    }

    fn versions(cache: &Cache<Service>) -> Vec<(String, String)> {
        let version = |s: &Service| Some((s.name_any(), s.resource_version().unwrap()));
        cache.collect(Some("demo"), version)
    }

    #[test]
    fn an_answer_to_a_write_is_not_undone_by_an_older_event() {
        let cache = Cache::default();
        cache.wrote(service("rng", "a", "10"));
        cache.observe(Event::Apply(service("rng", "a", "9")));
        assert_eq!(versions(&cache), [("rng".into(), "10".into())]);
    }

    #[test]
    fn an_object_that_took_the_name_counts_whatever_its_version() {
        let cache = Cache::default();
        cache.wrote(service("rng", "a", "10"));
        cache.observe(Event::Apply(service("rng", "b", "9")));
        assert_eq!(versions(&cache), [("rng".into(), "9".into())]);
    }

    #[test]
    fn the_end_of_another_object_of_that_name_takes_nothing_away() {
        let cache = Cache::default();
        cache.wrote(service("rng", "b", "11"));
        cache.observe(Event::Delete(service("rng", "a", "10")));
        assert_eq!(versions(&cache), [("rng".into(), "11".into())]);
        cache.observe(Event::Delete(service("rng", "b", "12")));
        assert_eq!(versions(&cache), []);
    }

    #[test]
    fn what_a_new_list_does_not_name_is_gone_but_not_what_was_written_meanwhile() {
        let cache = Cache::default();
        for name in ["hasher", "rng"] {
            cache.observe(Event::Apply(service(name, name, "1")));
        }
        cache.observe(Event::Init);
        cache.observe(Event::InitApply(service("rng", "rng", "1")));
        cache.wrote(service("webui", "webui", "2"));
        cache.observe(Event::InitDone);
        assert_eq!(
            versions(&cache),
            [("rng".into(), "1".into()), ("webui".into(), "2".into())]
        );
    }

    #[test]
    fn a_late_answer_does_not_bring_back_what_was_deleted_since() {
        let cache = Cache::default();
        cache.observe(Event::Init);
        cache.observe(Event::InitDone);
        cache.observe(Event::Apply(service("rng", "a", "10")));
        cache.observe(Event::Delete(service("rng", "a", "11")));
        cache.wrote(service("rng", "a", "10"));
        assert_eq!(versions(&cache), []);
    }
}
