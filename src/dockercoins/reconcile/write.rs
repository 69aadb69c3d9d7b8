//! The writing part of a reconcile: compare each object with what is there, write what differs, delete what
//! is no longer wanted.

use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use tokio::time::Instant;
use tracing::{Instrument as _, field, info_span};

use crate::dockercoins::cluster::Child;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;
use crate::dockercoins::diff::{self, Drift, Verdict, judge};
use crate::dockercoins::error::Error;
use crate::dockercoins::events::{self, News};
use crate::dockercoins::images;
use crate::dockercoins::plan::{APPLIED, MANAGER, Plan};
use crate::dockercoins::status::Outcome;

use super::{Case, chance, controller_uid};

/// An object to write, what is there in its place, how the two differ, and why it is written.
type Write<'a, K> = (&'a K, Option<Arc<K>>, Verdict, String);

impl Case<'_> {
    /// Applies the plan: Services first, so that a new pod finds the names that it looks up.
    ///
    /// An object that can't be written stops none of the others.
    pub(super) async fn write(&mut self, desired: &Desired, plan: &Plan, outcome: &mut Outcome) {
        // By name, so that a new kind in the plan does not compile before it is written here.
        let Plan {
            claims,
            services,
            endpoint_slices,
            policies,
            deployments,
            budgets,
            autoscalers,
            ingresses,
            routes,
        } = plan;
        let ours = self.memory.ours.clone();
        let mut written = self.write_optional(desired, claims, outcome).await;
        written.extend(self.write_kind(desired, services, outcome).await);
        written.extend(self.write_optional(desired, endpoint_slices, outcome).await);
        // Before the pods that they close.
        written.extend(self.write_optional(desired, policies, outcome).await);
        let is_claimed = claims.iter().all(|claim| self.is_ours(desired, claim));
        // A pod that mounted a stranger's claim would write to a stranger's volume.
        let may_run = |it: &&Deployment| is_claimed || it.name_any() != Component::Redis.name();
        let deployments = deployments.iter().flatten().filter(may_run);
        written.extend(self.write_kind(desired, deployments, outcome).await);
        written.extend(self.write_optional(desired, budgets, outcome).await);
        written.extend(self.write_optional(desired, autoscalers, outcome).await);
        written.extend(self.write_optional(desired, ingresses, outcome).await);
        written.extend(self.write_optional(desired, routes, outcome).await);
        let field = |object: &str, drift: &Drift| edit_field(desired, object, drift);
        let was_there = |title: &str| match ours.is_empty() {
            true => self.is_remembered(title),
            false => ours.contains(title),
        };
        for (title, verdict) in &written {
            let is_heal = match verdict {
                Verdict::Heal(_) => true,
                Verdict::Create => was_there(title),
                _ => false,
            };
            if is_heal && let Some((kind, _)) = title.split_once(' ') {
                self.context.monitor.metrics.healed(kind);
            }
        }
        let told = events::of_writes(&desired.name, &written, was_there, field);
        self.news.extend(told);
    }

    /// Writes the objects of a kind that few resources ask for, as far as what is there of it can be seen.
    async fn write_optional<K: Child>(
        &mut self,
        desired: &Desired,
        wanted: &[K],
        outcome: &mut Outcome,
    ) -> Vec<(String, Verdict)> {
        if wanted.is_empty() {
            return Vec::new();
        }
        match self.context.cluster.is_listed::<K>() {
            Ok(true) => return self.write_kind(desired, wanted, outcome).await,
            Ok(false) => outcome.is_unlisted = true,
            Err(fault) => {
                self.context.cluster.watches.request(&K::kind(&()));
                outcome.faults.push(fault);
            }
        }
        Vec::new()
    }

    /// Whether an object that is wanted is there, and the resource's.
    fn is_ours<K: Child>(&self, desired: &Desired, wanted: &K) -> bool {
        let cluster = &self.context.cluster;
        let live = K::cache(cluster).get(&desired.namespace, &wanted.name_any());
        let verdict = self.judge(desired, wanted, live.as_deref());
        matches!(
            verdict,
            Verdict::Keep | Verdict::Update | Verdict::Heal(_) | Verdict::Adopt
        )
    }

    /// Writes the objects of one kind side by side, and gives those that were written, each with why.
    async fn write_kind<'k, K: Child>(
        &mut self,
        desired: &Desired,
        wanted: impl IntoIterator<Item = &'k K>,
        outcome: &mut Outcome,
    ) -> Vec<(String, Verdict)> {
        let writes = self.differences(desired, wanted, outcome);
        let cluster = &self.context.cluster;
        let done = join_all(writes.iter().map(|(object, live, _, why)| {
            let (kind, name) = (K::kind(&()), object.name_any());
            cluster
                .apply(*object, live.as_deref(), why)
                .instrument(info_span!("apply", %kind, name))
        }));
        let mut written = Vec::new();
        for ((object, _, verdict, _), result) in writes.iter().zip(done.await) {
            match result {
                Ok(()) => {
                    let title = object.title();
                    if self.is_heal(&title, verdict) {
                        self.memory.healed(&title, Instant::now());
                    }
                    self.memory.accepted(&title);
                    self.memory.ours.insert(title);
                    written.push((object.title(), verdict.clone()));
                }
                Err(fault) => {
                    if matches!(fault, Error::Rejected { .. }) {
                        let (stamp, error) = (stamp_of(*object), fault.clone());
                        let now = Instant::now();
                        self.memory
                            .rejected(&object.title(), stamp, error, now, chance());
                    }
                    outcome.faults.push(fault);
                }
            }
        }
        written
    }

    /// Compares the objects of one kind with what is there, and gives those that must be written, each with why.
    fn differences<'k, K: Child>(
        &mut self,
        desired: &Desired,
        wanted: impl IntoIterator<Item = &'k K>,
        outcome: &mut Outcome,
    ) -> Vec<Write<'k, K>> {
        let span = info_span!("diff", kind = %K::kind(&()), differing = field::Empty).entered();
        let cluster = &self.context.cluster;
        let mut writes = Vec::new();
        for object in wanted {
            let live = K::cache(cluster).get(&desired.namespace, &object.name_any());
            let verdict = self.judge(desired, object, live.as_deref());
            match self.why(desired, object, &verdict) {
                Ok(Some(why)) => writes.push((object, live, verdict, why)),
                Ok(None) => {
                    self.memory.ours.insert(object.title());
                    self.memory.accepted(&object.title());
                }
                Err(fault) => outcome.faults.push(fault),
            }
        }
        span.record("differing", writes.len() as i64);
        writes
    }

    fn judge<K: Child>(&self, desired: &Desired, object: &K, live: Option<&K>) -> Verdict {
        let siblings = self.context.cluster.siblings(&desired.namespace);
        judge(object, live, &desired.owner, |uid| {
            siblings.iter().any(|sibling| sibling.uid == uid)
        })
    }

    /// Why an object is written; `None` if it needn't be.
    fn why<K: Child>(
        &mut self,
        desired: &Desired,
        object: &K,
        verdict: &Verdict,
    ) -> Result<Option<String>, Error> {
        let title = object.title();
        let now = Instant::now();
        let stamp = stamp_of(object);
        let standing = self.memory.standing_rejection(&title, stamp.as_ref(), now);
        match verdict {
            Verdict::Keep | Verdict::Leaving | Verdict::Foreign(_) => {}
            Verdict::Create | Verdict::Update | Verdict::Adopt | Verdict::Heal(_) => {
                if let Some((error, until)) = standing {
                    self.wakes.push(until);
                    return Err(error);
                }
            }
        }
        match verdict {
            Verdict::Keep => Ok(None),
            Verdict::Create if self.is_heal(&title, verdict) => {
                let Some(until) = self.memory.heal_waits_until(&title, now, chance()) else {
                    return Ok(Some("someone deleted it".into()));
                };
                self.wakes.push(until);
                Err(Error::Contended {
                    field: "the existence".into(),
                    rival: "someone".into(),
                    edit: "spec.suspend".into(),
                    object: title,
                })
            }
            Verdict::Create => Ok(Some("it isn't there".into())),
            Verdict::Update => Ok(Some("the resource changed".into())),
            Verdict::Adopt => Ok(Some("it was handed over by annotation".into())),
            Verdict::Leaving => Err(Error::Leaving { object: title }),
            Verdict::Foreign(owner) => Err(Error::Foreign {
                object: title,
                command: object.command(),
                owner: owner.clone(),
                name: desired.name.clone(),
            }),
            Verdict::Heal(drift) => {
                let Some(until) = self.memory.heal_waits_until(&title, now, chance()) else {
                    let paths: Vec<&str> = drift.iter().map(|drift| drift.path.as_str()).collect();
                    return Ok(Some(format!("someone changed {}", paths.join(", "))));
                };
                self.wakes.push(until);
                let first = drift.first();
                let rival = first.and_then(|drift| drift.by.clone());
                Err(Error::Contended {
                    field: first.map(|drift| drift.path.clone()).unwrap_or_default(),
                    rival: rival.unwrap_or_else(|| "someone".into()),
                    edit: first
                        .map(|drift| edit_field(desired, &title, drift))
                        .unwrap_or_default(),
                    object: title,
                })
            }
        }
    }

    /// Whether a write undoes what someone did to the object, by changing or by deleting it.
    fn is_heal(&self, title: &str, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Heal(_) => true,
            Verdict::Create => self.memory.ours.contains(title),
            _ => false,
        }
    }

    /// Whether status tells of a time when this object was there, which is all that is known after a restart: a
    /// component that had pods had its Service too.
    fn is_remembered(&self, title: &str) -> bool {
        let (kind, name) = title.split_once(' ').unwrap_or_default();
        Component::named(name)
            .filter(|_| ["Service", "Deployment"].contains(&kind))
            .and_then(|component| images::remembered(&self.started_with, component))
            .is_some_and(|memory| memory.replicas > 0 || memory.ready_replicas > 0)
    }

    /// What would be written if the resource weren't suspended.
    pub(super) fn held_back(
        &self,
        desired: &Desired,
        plan: &Plan,
        is_complete: bool,
        outcome: &mut Outcome,
    ) -> Vec<String> {
        let Plan {
            claims,
            services,
            endpoint_slices,
            policies,
            deployments,
            budgets,
            autoscalers,
            ingresses,
            routes,
        } = plan;
        let mut held = self.differing_optional(desired, claims, outcome);
        held.extend(self.differing(desired, services));
        held.extend(self.differing_optional(desired, endpoint_slices, outcome));
        held.extend(self.differing_optional(desired, policies, outcome));
        held.extend(self.differing(desired, deployments.as_deref().unwrap_or_default()));
        held.extend(self.differing_optional(desired, budgets, outcome));
        held.extend(self.differing_optional(desired, autoscalers, outcome));
        held.extend(self.differing_optional(desired, ingresses, outcome));
        held.extend(self.differing_optional(desired, routes, outcome));
        if !is_complete {
            held.push("images that no registry has been asked for".to_owned());
        }
        held
    }

    /// Those of a kind that few resources ask for. Where it can't be seen, nothing is known of them.
    fn differing_optional<K: Child>(
        &self,
        desired: &Desired,
        wanted: &[K],
        outcome: &mut Outcome,
    ) -> Vec<String> {
        match self.context.cluster.is_listed::<K>() {
            _ if wanted.is_empty() => Vec::new(),
            Ok(true) => self.differing(desired, wanted),
            Ok(false) => {
                outcome.is_unlisted = true;
                Vec::new()
            }
            Err(_) => wanted.iter().map(Child::title).collect(),
        }
    }

    fn differing<K: Child>(&self, desired: &Desired, wanted: &[K]) -> Vec<String> {
        let cache = K::cache(&self.context.cluster);
        let differs = |object: &&K| {
            let live = cache.get(&desired.namespace, &object.name_any());
            self.judge(desired, *object, live.as_deref()) != Verdict::Keep
        };
        wanted.iter().filter(differs).map(Child::title).collect()
    }

    /// Who controls the objects with our names in a namespace.
    pub(super) fn owners(&self, namespace: &str) -> Vec<String> {
        let cluster = &self.context.cluster;
        let services = cluster.services.in_namespace(namespace);
        let deployments = cluster.deployments.in_namespace(namespace);
        let of_services = services
            .iter()
            .filter_map(|object| controller_uid(object.as_ref()));
        let of_deployments = deployments
            .iter()
            .filter_map(|object| controller_uid(object.as_ref()));
        of_services.chain(of_deployments).cloned().collect()
    }

    /// Deletes what the resource controls and doesn't ask for: its field is gone, or an older operator wrote it.
    pub(super) async fn prune(&mut self, desired: &Desired, plan: &Plan, outcome: &mut Outcome) {
        let Plan {
            claims,
            services,
            endpoint_slices,
            policies,
            // Without images there are none in the plan, and those that there are run on.
            deployments: _,
            budgets,
            autoscalers,
            ingresses,
            routes,
        } = plan;
        let has_pods = |name: &str| Component::named(name).is_some_and(|it| desired.runs(it));
        self.prune_kind::<Deployment>(desired, outcome, has_pods)
            .await;
        self.prune_others(desired, services, outcome).await;
        self.prune_others(desired, endpoint_slices, outcome).await;
        self.prune_others(desired, policies, outcome).await;
        self.prune_others(desired, budgets, outcome).await;
        self.prune_others(desired, autoscalers, outcome).await;
        self.prune_others(desired, ingresses, outcome).await;
        self.prune_others(desired, routes, outcome).await;
        // After the pod that has it.
        self.prune_others(desired, claims, outcome).await;
    }

    /// Deletes what there is of a kind beside what is wanted.
    async fn prune_others<K: Child>(
        &mut self,
        desired: &Desired,
        wanted: &[K],
        outcome: &mut Outcome,
    ) {
        let is_wanted = |name: &str| wanted.iter().any(|object| object.name_any() == name);
        self.prune_kind::<K>(desired, outcome, is_wanted).await;
    }

    async fn prune_kind<K: Child>(
        &mut self,
        desired: &Desired,
        outcome: &mut Outcome,
        is_wanted: impl Fn(&str) -> bool,
    ) {
        // What is asked for again later isn't something that someone had deleted.
        self.memory.ours.retain(|title| {
            let (kind, name) = title.split_once(' ').unwrap_or_default();
            kind != K::kind(&()) || is_wanted(name)
        });
        let cluster = &self.context.cluster;
        if !matches!(cluster.is_listed::<K>(), Ok(true)) {
            return;
        }
        for live in K::cache(cluster).in_namespace(&desired.namespace) {
            let is_wanted = is_wanted(&live.name_any());
            let is_ours = controller_uid(live.as_ref()) == Some(&desired.owner.uid)
                && live
                    .labels()
                    .get("app.kubernetes.io/managed-by")
                    .is_some_and(|by| by == MANAGER);
            if is_wanted || !is_ours || live.meta().deletion_timestamp.is_some() {
                continue;
            }
            match cluster
                .delete(live.as_ref(), "DockerCoins has no such object any more")
                .await
            {
                Ok(()) => self.news.push(News {
                    warning: false,
                    reason: "Pruned".into(),
                    action: "Prune",
                    note: format!(
                        "{} is no part of DockerCoins any more, and was deleted",
                        live.title()
                    ),
                }),
                Err(fault) => outcome.faults.push(fault),
            }
        }
    }
}

/// The hash of what is to be written.
fn stamp_of<K: Child>(object: &K) -> Option<String> {
    object.annotations().get(APPLIED).cloned()
}

/// The field of the resource that decides what drifted.
fn edit_field(desired: &Desired, title: &str, drift: &Drift) -> String {
    let (kind, name) = title.split_once(' ').unwrap_or_default();
    let whole = match kind {
        "PersistentVolumeClaim" => Some("spec.redis.storage".to_owned()),
        "EndpointSlice" => Some("spec.redis.external".to_owned()),
        "NetworkPolicy" => Some("spec.networkPolicy".to_owned()),
        "PodDisruptionBudget" => Some(format!("spec.{name}.replicas")),
        "HorizontalPodAutoscaler" => Some(format!("spec.{name}.autoscaling")),
        "Ingress" => Some("spec.webui.ingress".to_owned()),
        "HTTPRoute" => Some("spec.webui.httpRoute".to_owned()),
        _ => None,
    };
    if let Some(field) = whole {
        return field;
    }
    let image_field =
        Component::named(name).map(|component| desired.component(component).image_field.as_str());
    diff::field_to_edit(name, drift, image_field.unwrap_or_default())
}
