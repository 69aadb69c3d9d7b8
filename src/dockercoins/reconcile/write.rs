//! The writing steps: apply each object that differs, and delete those that the resource no longer asks for.

use std::collections::BTreeSet;

use futures::future::join_all;
use kube::ResourceExt as _;
use tokio::time::Instant;
use tracing::{Instrument as _, field, info_span};

use super::{Run, random};
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;
use crate::dockercoins::error::Error;
use crate::dockercoins::events::{self, Written};
use crate::dockercoins::images;
use crate::dockercoins::kinds::{
    Deployment, Kind, Listed as _, Plan, Service, each_kind, each_kind_in_reverse, for_each_kind,
    for_each_kind_in_reverse,
};
use crate::runtime::child::slim_child;
use crate::runtime::decide::{self, Action, Cause, decide};
use crate::runtime::field_path::FieldPath;
use crate::runtime::names::MANAGER;
use crate::runtime::object_key::ObjectKey;
use crate::runtime::observe::{Drift, Observed, Ownership, controller_uid, hash_of, observe_child};

/// What came of the writes of one reconcile.
#[derive(Default)]
pub(super) struct Writes {
    /// The objects that could not be written or deleted, and why.
    pub(super) faults: Vec<Error>,
    /// The fields that admission sets to other values, and that do not decide what runs.
    pub(super) admission: Vec<(ObjectKey, Drift)>,
    /// Whether a kind is still being listed.
    pub(super) is_unlisted: bool,
    written: Vec<Written>,
    /// The objects that exist as the resource's.
    ours: BTreeSet<ObjectKey>,
}

/// An object to apply.
struct Write<'a, K> {
    wanted: &'a K,
    object: ObjectKey,
    observed: Option<Observed>,
    cause: Cause,
}

impl Run<'_> {
    /// Applies the plan, kind by kind. An object that cannot be written stops none of the others.
    pub(super) async fn write(&mut self, desired: &Desired, plan: &Plan) -> Writes {
        let mut writes = Writes::default();
        for_each_kind!(K => {
            self.write_kind::<K>(desired, plan, &mut writes).await;
        });
        for Written { object, cause, .. } in &writes.written {
            if matches!(cause, Cause::Heal(_) | Cause::Recreate) {
                self.context.monitor.metrics.healed(&object.kind);
            }
        }
        self.events
            .extend(events::of_writes(&desired.name, &writes.written));
        writes
    }

    /// Applies the objects of one kind side by side.
    async fn write_kind<K: Kind>(&mut self, desired: &Desired, plan: &Plan, writes: &mut Writes) {
        if K::planned(plan).is_empty() {
            return;
        }
        match self.context.cluster.is_listed::<K>() {
            Ok(true) => {}
            Ok(false) => {
                writes.is_unlisted = true;
                return;
            }
            Err(fault) => {
                self.context.cluster.watches.request(&K::kind(&()));
                self.retries(&fault);
                writes.faults.push(fault);
                return;
            }
        }
        let differing = self.differing::<K>(desired, plan, writes);
        let api = &self.context.cluster.api;
        let answers = join_all(differing.iter().map(|write| {
            let ObjectKey { kind, name } = &write.object;
            api.apply(write.wanted, write.observed.as_ref(), why(&write.cause))
                .instrument(info_span!("apply", %kind, name))
        }));
        for (write, answer) in differing.iter().zip(answers.await) {
            let now = Instant::now();
            let hash = hash_of(write.wanted);
            match answer {
                Ok(answer) => {
                    self.memory(&write.object).written(hash, now, random());
                    let after = self.observe(desired, write.wanted, &answer);
                    writes.written.extend(restored::<K>(desired, write, &after));
                    writes.changed_by_admission::<K>(&write.object, after.admission);
                    writes.ours.insert(write.object.clone());
                    let mut answer = answer;
                    slim_child(&mut answer);
                    K::cache(&self.context.cluster.caches).wrote(answer);
                }
                Err(error) => {
                    let memory = self.memory(&write.object);
                    let due = memory.failed(hash, error.clone(), now, random());
                    self.requeue.at(due);
                    writes.faults.push(error.into());
                }
            }
        }
    }

    /// The objects of one kind that must be applied now.
    fn differing<'p, K: Kind>(
        &mut self,
        desired: &Desired,
        plan: &'p Plan,
        writes: &mut Writes,
    ) -> Vec<Write<'p, K>> {
        let span = info_span!("diff", kind = %K::kind(&()), differing = field::Empty).entered();
        let mut differing = Vec::new();
        for wanted in K::planned(plan) {
            let object = ObjectKey::of(wanted);
            let is_blocked = |needed: &ObjectKey| !writes.ours.contains(needed);
            if K::needs(plan, &object.name)
                .as_ref()
                .is_some_and(is_blocked)
            {
                continue;
            }
            let observed = self.observed(desired, wanted);
            if let Some(observed) = &observed
                && observed.ownership == Ownership::Ours
                && !observed.is_terminating
            {
                writes.ours.insert(object.clone());
            }
            match self.decide(wanted, &object, observed.as_ref()) {
                Action::Keep => {
                    self.memory(&object).kept(hash_of(wanted));
                    let admission = observed.map(|observed| observed.admission);
                    writes.changed_by_admission::<K>(&object, admission.unwrap_or_default());
                }
                Action::Write(cause) => differing.push(Write {
                    wanted,
                    object,
                    observed,
                    cause,
                }),
                Action::AwaitDeletion => writes.faults.push(Error::AwaitsDeletion { object }),
                Action::Leave(controller) => writes.faults.push(Error::Foreign {
                    object,
                    controller,
                    resource: desired.name.clone(),
                }),
                Action::BackOff(until) => {
                    self.requeue.at(until);
                    let hash = hash_of(wanted);
                    let memory = self.memory(&object);
                    let pending = memory.pending_failure(hash.as_deref(), Instant::now());
                    let fault = pending.map(|(error, _)| error.clone().into());
                    writes.faults.extend(fault);
                }
                Action::Contend(until, cause) => {
                    self.requeue.at(until);
                    writes.faults.push(contended::<K>(desired, object, &cause));
                }
            }
        }
        span.record("differing", differing.len() as i64);
        differing
    }

    fn decide<K: Kind>(
        &mut self,
        wanted: &K,
        object: &ObjectKey,
        observed: Option<&Observed>,
    ) -> Action {
        let hash = hash_of(wanted);
        let memory = self.memory(object);
        decide(observed, hash.as_deref(), memory, Instant::now())
    }

    /// What is observed of the object in the place of a wanted one; `None` if there is none.
    fn observed<K: Kind>(&self, desired: &Desired, wanted: &K) -> Option<Observed> {
        let cache = K::cache(&self.context.cluster.caches);
        cache.read(&desired.namespace, &wanted.name_any(), |live| {
            live.map(|live| self.observe(desired, wanted, live))
        })
    }

    fn observe<K: Kind>(&self, desired: &Desired, wanted: &K, live: &K) -> Observed {
        observe_child(wanted, live, &desired.owner, |uid| {
            let siblings = self.context.cluster.siblings(&desired.namespace);
            siblings.iter().any(|sibling| sibling.uid == uid)
        })
    }

    /// What is remembered of an object. After a restart the status is all that is known: a component that had pods had
    /// its Service and Deployment.
    fn memory(&mut self, object: &ObjectKey) -> &mut decide::Memory {
        let was_there = (object.is::<Service>() || object.is::<Deployment>())
            && Component::named(&object.name)
                .and_then(|component| images::stored_component(&self.initial_status, component))
                .is_some_and(|status| status.replicas > 0 || status.ready_replicas > 0);
        let is_known = self.is_first && was_there;
        self.memory
            .objects
            .entry(object.clone())
            .or_insert_with(|| match is_known {
                true => decide::Memory::of_known(),
                false => decide::Memory::default(),
            })
    }

    /// The objects that would be written if the resource were not suspended.
    pub(super) fn pending_changes(&mut self, desired: &Desired, plan: &Plan) -> Pending {
        let mut pending = Pending::default();
        for_each_kind!(K => {
            let is_listed = self.context.cluster.is_listed::<K>();
            for wanted in K::planned(plan) {
                let object = ObjectKey::of(wanted);
                match is_listed {
                    Ok(true) => {
                        let observed = self.observed(desired, wanted);
                        if self.decide(wanted, &object, observed.as_ref()) != Action::Keep {
                            pending.objects.push(object);
                        }
                    }
                    Ok(false) => pending.is_unlisted = true,
                    Err(_) => pending.objects.push(object),
                }
            }
        });
        pending
    }

    /// The uids of the resources that control objects with our names in a namespace.
    pub(super) fn owners(&self, namespace: &str) -> Vec<String> {
        let mut owners = Vec::new();
        for_each_kind!(K => {
            if K::IS_REQUIRED {
                let cache = K::cache(&self.context.cluster.caches);
                owners.extend(cache.collect(Some(namespace), |live| controller_uid(live).cloned()));
            }
        });
        owners
    }

    /// Deletes the objects that the resource controls and no longer asks for.
    pub(super) async fn prune(&mut self, desired: &Desired, plan: &Plan) -> Vec<Error> {
        let mut faults = Vec::new();
        for_each_kind_in_reverse!(K => {
            faults.extend(self.prune_kind::<K>(desired, plan).await);
        });
        faults
    }

    async fn prune_kind<K: Kind>(&mut self, desired: &Desired, plan: &Plan) -> Vec<Error> {
        let cluster = &self.context.cluster;
        let unwanted = match cluster.is_listed::<K>() {
            Ok(true) => K::cache(&cluster.caches).collect(Some(&desired.namespace), |live| {
                let is_ours = controller_uid(live) == Some(&desired.owner.uid)
                    && live
                        .labels()
                        .get("app.kubernetes.io/managed-by")
                        .is_some_and(|by| by == MANAGER);
                let is_unwanted = is_ours
                    && live.meta().deletion_timestamp.is_none()
                    && !K::is_wanted(desired, plan, &live.name_any());
                is_unwanted.then(|| (ObjectKey::of(live), live.uid()))
            }),
            Ok(false) | Err(_) => Vec::new(),
        };
        // An object that the spec requests again later was not deleted by someone else.
        self.memory.objects.retain(|object, _| {
            !object.is::<K>()
                || K::is_wanted(desired, plan, &object.name)
                || unwanted.iter().any(|(unwanted, _)| unwanted == object)
        });
        let mut faults = Vec::new();
        for (object, uid) in unwanted {
            let now = Instant::now();
            if let Some((error, until)) = self.memory(&object).pending_failure(None, now) {
                faults.push(error.clone().into());
                self.requeue.at(until);
                continue;
            }
            let why = "the resource no longer asks for it";
            let api = &self.context.cluster.api;
            match api
                .delete::<K>(&desired.namespace, &object.name, uid, why)
                .await
            {
                Ok(()) => {
                    self.memory.objects.remove(&object);
                    self.events.push(events::of_deletion(&object));
                }
                Err(error) => {
                    let memory = self.memory(&object);
                    let due = memory.failed(None, error.clone(), Instant::now(), random());
                    self.requeue.at(due);
                    faults.push(error.into());
                }
            }
        }
        faults
    }
}

/// The objects that differ while a resource is suspended.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) objects: Vec<ObjectKey>,
    pub(super) is_unlisted: bool,
}

impl Writes {
    /// Takes the fields that admission changed. Those that decide what runs are faults.
    fn changed_by_admission<K: Kind>(&mut self, object: &ObjectKey, changed: Vec<Drift>) {
        for drift in changed {
            match K::is_critical(&drift.path) {
                true => self.faults.push(Error::ChangedByAdmission {
                    object: object.clone(),
                    field: drift.path,
                }),
                false => self.admission.push((object.clone(), drift)),
            }
        }
    }
}

/// What an apply did, by its answer: a field that still differs was not restored.
fn restored<K: Kind>(desired: &Desired, write: &Write<'_, K>, after: &Observed) -> Option<Written> {
    let still_differs = |drift: &Drift| {
        let mut differing = after.drift.iter().chain(&after.admission);
        differing.any(|after| after.path == drift.path)
    };
    let cause = match &write.cause {
        Cause::Heal(drift) => {
            let drift: Vec<Drift> = drift
                .iter()
                .filter(|drift| !still_differs(drift))
                .cloned()
                .collect();
            if drift.is_empty() {
                return None;
            }
            Cause::Heal(drift)
        }
        cause => cause.clone(),
    };
    let edits = match &cause {
        Cause::Heal(drift) => drift
            .iter()
            .map(|drift| K::owning_field(desired, &write.object.name, &drift.path))
            .collect(),
        _ => Vec::new(),
    };
    Some(Written {
        object: write.object.clone(),
        cause,
        edits,
    })
}

/// The fault for an object whose every apply is undone.
fn contended<K: Kind>(desired: &Desired, object: ObjectKey, cause: &Cause) -> Error {
    let first = match cause {
        Cause::Heal(drift) => drift.first(),
        _ => None,
    };
    let field = match cause {
        Cause::Heal(_) => first.map(|drift| drift.path.clone()),
        Cause::Create | Cause::Recreate => None,
        Cause::Update | Cause::Adopt => Some(FieldPath::fields(["metadata"])),
    };
    let edit = match first {
        Some(drift) => K::owning_field(desired, &object.name, &drift.path),
        None => Some(FieldPath::fields(["spec", "suspend"])),
    };
    Error::Contended {
        object,
        field,
        manager: first.and_then(|drift| drift.manager.clone()),
        edit,
    }
}

fn why(cause: &Cause) -> &'static str {
    match cause {
        Cause::Create => "it does not exist",
        Cause::Recreate => "someone deleted it",
        Cause::Update => "the resource changed",
        Cause::Heal(_) => "someone changed it",
        Cause::Adopt => "its annotation hands it over",
    }
}
