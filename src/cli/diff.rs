//! `diff`: prints what the operator would change in the cluster if a manifest were applied.
//!
//! It compares as the operator does, with the digests in the resources' status. It needs `get` and `list`, and no running
//! operator.

use std::time::Duration;

use crate::api::{DockerCoins, DockerCoinsStatus};
use crate::cli::change::Change;
use crate::cli::yaml::without_owner;
use crate::dockercoins::desired::Desired;
use crate::dockercoins::error::Error;
use crate::dockercoins::kinds::{Plan, plan};
use crate::runtime::decide::{self, Action, Cause, decide};
use crate::runtime::error::with_sources;
use crate::runtime::names::MANAGER;
use crate::runtime::object_key::ObjectKey;
use crate::runtime::observe::{hash_of, observe};
use clap::Args;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::manifest_args::{ManifestArgs, desired, images, title};
use super::{CliError, config, write_out};

/// The timeout of one request.
const DEADLINE: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
pub(super) struct Diff {
    #[command(flatten)]
    manifest: ManifestArgs,

    /// The kubeconfig context. Default: the current context; inside a cluster, that cluster.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// The changes to one resource's objects.
#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    /// Objects that others own.
    blocked: Vec<String>,
}

impl Diff {
    /// Prints the changes. Returns whether there are none.
    ///
    /// # Errors
    /// Also if others own an object of the same name, after the other changes are printed.
    pub(super) async fn run(self) -> Result<bool, CliError> {
        let mut all = self.manifest.read()?;
        let config = config(self.context.as_deref(), "dockercoins-operator").await?;
        let namespace = config.default_namespace.clone();
        let client =
            Client::try_from(config).map_err(|error| CliError::Client(with_sources(&error)))?;
        let cluster = Reader { client };
        self.manifest.place(&mut all, Some(&namespace))?;
        let lookup = self.manifest.lookup()?;
        let (mut text, mut blocked) = (String::new(), Vec::new());
        for coins in &mut all {
            let status = cluster.recognize(coins).await?;
            let desired = desired(coins);
            // The operator resolves no tags of a suspended resource.
            let lookup = lookup.as_ref().filter(|_| !desired.suspend);
            let images = images(coins, &desired, &status, lookup).await?;
            let plan = plan(&desired, Some(&images.set));
            let found = cluster.compare(&desired, &plan).await?;
            if desired.suspend {
                eprintln!(
                    "dockercoins-operator: {}: spec.suspend is true, so that nothing would be written. Not as wanted: {}",
                    title(coins),
                    found.named()
                );
                continue;
            }
            images.tell(coins);
            text.extend(found.changes.iter().map(Change::unified));
            blocked.extend(found.blocked);
        }
        write_out(&text)?;
        match blocked.is_empty() {
            true => Ok(text.is_empty()),
            false => Err(CliError::Blocked(blocked.join("\n"))),
        }
    }
}

impl Found {
    /// The names of the objects that differ or are blocked.
    fn named(&self) -> String {
        let changed = self.changes.iter().map(|change| {
            let object = change.after.as_ref().or(change.before.as_ref());
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            object.map_or_else(String::new, |object| {
                format!(
                    "{} {}",
                    text(&object["kind"]),
                    text(&object["metadata"]["name"])
                )
            })
        });
        let names: Vec<String> = changed.chain(self.blocked.iter().cloned()).collect();
        match names.is_empty() {
            true => "nothing".to_owned(),
            false => names.join(", "),
        }
    }
}

/// Reads the cluster.
struct Reader {
    client: Client,
}

impl Reader {
    /// Sets the resource's uid from the cluster, if it exists there, and returns its status.
    async fn recognize(&self, coins: &mut DockerCoins) -> Result<DockerCoinsStatus, CliError> {
        let namespace = coins.namespace().unwrap_or_default();
        let kind = ApiResource::erase::<DockerCoins>(&());
        let name = coins.name_any();
        let Some(live) = self.get(&kind, &namespace, &name).await? else {
            let others = self.list(&kind, &namespace, ListParams::default()).await?;
            let first = others
                .iter()
                .min_by_key(|other| (other.creation_timestamp(), other.uid()));
            return match first {
                // The new resource would be the younger of the two.
                Some(holder) => Err(CliError::Blocked(format!(
                    "{}: {}",
                    title(coins),
                    Error::NamesHeld {
                        holder: holder.name_any()
                    }
                ))),
                None => Ok(DockerCoinsStatus::default()),
            };
        };
        coins.metadata.uid = live.uid();
        match live.data.get("status").cloned() {
            None => Ok(DockerCoinsStatus::default()),
            Some(status) => serde_json::from_value(status).map_err(|error| {
                CliError::Cluster(format!(
                    "the status of {} can't be read: {error}. Is the CRD this program's? `dockercoins-operator check` tells",
                    title(coins)
                ))
            }),
        }
    }

    /// Compares a resource's plan with the cluster.
    async fn compare(&self, desired: &Desired, plan: &Plan) -> Result<Found, CliError> {
        let mut found = Found::default();
        let namespace = &desired.namespace;
        let kinds = Plan::kinds();
        let own = ApiResource::erase::<DockerCoins>(&());
        let alive = self.list(&own, namespace, ListParams::default()).await?;
        let is_alive = |uid: &str| {
            alive
                .iter()
                .any(|coins| coins.uid().as_deref() == Some(uid))
        };
        let mut wanted = Vec::new();
        for mut object in plan.objects() {
            if desired.owner.uid.is_empty() {
                without_owner(&mut object);
            }
            let object: DynamicObject =
                serde_json::from_value(object).expect("an object of a plan is one");
            let kind = kinds.iter().find(|kind| is_of(&object, kind));
            let kind = kind.expect("the kinds of a plan are all of them");
            let name = object.name_any();
            let live = self.get(kind, namespace, &name).await?;
            let observed = live
                .as_ref()
                .map(|live| observe(&object, live, &desired.owner, is_alive));
            let hash = hash_of(&object);
            let memory = decide::Memory::default();
            let action = decide(observed.as_ref(), hash.as_deref(), &memory, Instant::now());
            match (action, live) {
                (Action::Keep, _) => {}
                (Action::Leave(controller), _) => {
                    let object = ObjectKey {
                        kind: kind.kind.clone().into(),
                        name: name.clone(),
                    };
                    let foreign = Error::Foreign {
                        object,
                        controller,
                        resource: desired.name.clone(),
                    };
                    found.blocked.push(foreign.to_string());
                }
                // An object that is being deleted is created again when it is gone.
                (Action::AwaitDeletion, _) | (_, None) => {
                    found.changes.push(Change::creation(&object));
                }
                (action, Some(live)) => {
                    let is_taken_over = action == Action::Write(Cause::Adopt);
                    found
                        .changes
                        .push(Change::write(&object, &live, is_taken_over));
                }
            }
            wanted.push((kind.kind.clone(), name));
        }
        if !desired.owner.uid.is_empty() {
            for kind in &kinds {
                found
                    .changes
                    .extend(self.gone(kind, desired, &wanted).await?);
            }
        }
        Ok(found)
    }

    /// The resource's objects of a kind that would be pruned.
    async fn gone(
        &self,
        kind: &ApiResource,
        desired: &Desired,
        wanted: &[(String, String)],
    ) -> Result<Vec<Change>, CliError> {
        let labels = format!("app.kubernetes.io/managed-by={MANAGER}");
        let params = ListParams::default().labels(&labels);
        let there = self.list(kind, &desired.namespace, params).await?;
        let is_gone = |live: &&DynamicObject| {
            let is_ours = live
                .owner_references()
                .iter()
                .any(|owner| owner.controller == Some(true) && owner.uid == desired.owner.uid);
            let name = (kind.kind.clone(), live.name_any());
            is_ours && live.metadata.deletion_timestamp.is_none() && !wanted.contains(&name)
        };
        Ok(there.iter().filter(is_gone).map(Change::deletion).collect())
    }

    /// Gets an object; `None` if it does not exist or its kind is not served.
    async fn get(
        &self,
        kind: &ApiResource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>, CliError> {
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, kind);
        let what = format!("get {} {namespace}/{name}", kind.kind);
        answered(&what, api.get_opt(name)).await
    }

    /// Lists the objects of a kind; none if it is not served.
    async fn list(
        &self,
        kind: &ApiResource,
        namespace: &str,
        params: ListParams,
    ) -> Result<Vec<DynamicObject>, CliError> {
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, kind);
        let what = format!("list {} in {namespace}", kind.plural);
        let types = Some(kube::core::TypeMeta {
            api_version: kind.api_version.clone(),
            kind: kind.kind.clone(),
        });
        let list = async {
            match api.list(&params).await {
                Ok(list) => Ok(list.items),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        let mut items = answered(&what, list).await?;
        // Items of a list lack apiVersion and kind.
        for item in &mut items {
            item.types.clone_from(&types);
        }
        Ok(items)
    }
}

fn is_of(object: &DynamicObject, kind: &ApiResource) -> bool {
    let types = object.types.as_ref();
    types.is_some_and(|types| types.kind == kind.kind && types.api_version == kind.api_version)
}

/// Runs a request with a timeout.
async fn answered<T>(
    what: &str,
    question: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CliError> {
    match timeout(DEADLINE, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(CliError::Cluster(format!(
            "the API server was asked to {what}: {}",
            with_sources(&error)
        ))),
        Err(_) => Err(CliError::Cluster(format!(
            "the API server did not answer within {} s when asked to {what}",
            DEADLINE.as_secs()
        ))),
    }
}
