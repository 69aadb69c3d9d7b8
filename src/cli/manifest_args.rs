//! The flags that `render` and `diff` share: a manifest, and how its images are resolved.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::api::{DockerCoins, DockerCoinsStatus, REQUESTED_AT};
use crate::cli::manifest;
use crate::dockercoins::component::PerComponent;
use crate::dockercoins::desired::Desired;
use crate::dockercoins::images::{self, ImageSet, Resolution, Resolutions};
use clap::Args;
use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use resolver::{Reference, Request, ResolveError, Resolver};

use super::lookup::{Lookup, LookupArgs, print_plugin_failures, with_flag_hint};
use super::{CliError, RegistryArgs};

/// The resources, and how to resolve their images.
#[derive(Debug, Args)]
#[command(mut_group("LookupArgs", |group| group.requires("resolve")), mut_group("RegistryArgs", |group| group.requires("resolve")))]
pub(super) struct ManifestArgs {
    /// The file with DockerCoins resources, in YAML or JSON; `-` reads the standard input.
    #[arg(short, long, value_name = "FILE")]
    filename: PathBuf,

    /// The namespace of resources that name none. A resource that names another is refused, as in kubectl.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Query registries for the digests of the images, like the operator, but with your own credentials.
    #[arg(long)]
    resolve: bool,

    #[command(flatten)]
    lookup: LookupArgs,

    #[command(flatten)]
    registries: RegistryArgs,
}

impl ManifestArgs {
    /// Reads and validates the manifest.
    pub(super) fn read(&self) -> Result<Vec<DockerCoins>, CliError> {
        let name = self.name();
        let unreadable = |error| CliError::File(name.clone(), error);
        let mut bytes = Vec::new();
        match self.filename == Path::new("-") {
            true => std::io::stdin().lock().read_to_end(&mut bytes).map(drop),
            false => std::fs::read(&self.filename).map(|read| bytes = read),
        }
        .map_err(unreadable)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| self.refused(vec!["it is no text in UTF-8".to_owned()]))?;
        let all = manifest::read(&text).map_err(|faults| self.refused(faults))?;
        let faults = all.iter().flat_map(|coins| {
            let found = Desired::from_resource(coins).err().unwrap_or_default();
            let of_many = match all.len() {
                1 => String::new(),
                _ => format!("{}: ", title(coins)),
            };
            found
                .into_iter()
                .map(move |fault| format!("{of_many}{fault}"))
        });
        let faults: Vec<String> = faults.collect();
        match faults.is_empty() {
            true => Ok(all),
            false => Err(self.refused(faults)),
        }
    }

    /// Sets each resource's namespace: its own, else `--namespace`, else `default`.
    pub(super) fn place(
        &self,
        all: &mut [DockerCoins],
        default: Option<&str>,
    ) -> Result<(), CliError> {
        manifest::place(all, self.namespace.as_deref(), default)
            .map_err(|faults| self.refused(faults))
    }

    /// What resolving images takes, with `--resolve`.
    pub(super) fn lookup(&self) -> Result<Option<Lookup>, CliError> {
        let lookup = || self.lookup.read(&self.registries, false);
        self.resolve.then(lookup).transpose()
    }

    /// The file's name for messages.
    fn name(&self) -> String {
        match self.filename == Path::new("-") {
            true => "the standard input".to_owned(),
            false => self.filename.display().to_string(),
        }
    }

    fn refused(&self, faults: Vec<String>) -> CliError {
        let name = self.name();
        let lines = faults.iter().map(|fault| format!("{name}: {fault}"));
        CliError::Refused(lines.collect::<Vec<_>>().join("\n"))
    }
}

/// The desired state of a resource from [`ManifestArgs::read`].
pub(super) fn desired(coins: &DockerCoins) -> Desired {
    Desired::from_resource(coins).expect("it was read without faults")
}

/// The resource's name for messages, such as `DockerCoins demo/dockercoins`.
pub(super) fn title(coins: &DockerCoins) -> String {
    let namespace = coins.namespace().map(|namespace| format!("{namespace}/"));
    format!(
        "DockerCoins {}{}",
        namespace.unwrap_or_default(),
        coins.name_any()
    )
}

/// The images that would run.
pub(super) struct Found {
    /// The images of the Deployments.
    pub(super) set: ImageSet,
    /// The components whose images are not pinned for want of `--resolve`.
    by_tag: Vec<String>,
}

impl Found {
    /// Prints which images are not pinned.
    pub(super) fn tell(&self, coins: &DockerCoins) {
        if !self.by_tag.is_empty() {
            eprintln!(
                "dockercoins-operator: {}: by tag, where the operator would name a digest: {}. --resolve asks their registries",
                title(coins),
                self.by_tag.join(", ")
            );
        }
    }
}

/// The images that the operator would run: pinned by `status`, or resolved with `--resolve`, else by tag.
///
/// # Errors
/// The images of policy Required that can't be resolved.
pub(super) async fn images(
    coins: &DockerCoins,
    desired: &Desired,
    status: &DockerCoinsStatus,
    lookup: Option<&Lookup>,
) -> Result<Found, CliError> {
    let now = Timestamp::now();
    let answers = match lookup.and_then(|lookup| Some((lookup, lookup.resolver.as_ref()?))) {
        None => Resolutions::new(),
        Some((lookup, resolver)) => {
            let requested = coins.annotations().get(REQUESTED_AT);
            let is_due =
                requested.is_some() && requested != status.last_handled_requested_at.as_ref();
            let asked = images::to_resolve(desired, status, is_due, now)
                .into_iter()
                .map(|(component, reference)| async move {
                    let answer = ask(desired, reference, lookup, resolver).await;
                    (component, answer.map_err(Into::into))
                });
            join_all(asked).await.into_iter().collect()
        }
    };
    let found = images::select_images(desired, status, &answers, now);
    let failed = |is_required| {
        found
            .iter()
            .filter(move |(_, image)| image.source.is_required() == is_required)
            .filter_map(|(component, image)| Some((component, image.failure.as_deref()?)))
            .map(|(component, error)| format!("{component}: {}", with_flag_hint(error)))
    };
    let required: Vec<String> = failed(true).collect();
    if !required.is_empty() {
        return Err(CliError::Unresolved(format!(
            "{}: the policy Required can't be met, and nothing new would be deployed:\n{}",
            title(coins),
            required.join("\n")
        )));
    }
    for told in failed(false) {
        eprintln!("dockercoins-operator: {}: {told}", title(coins));
    }
    let by_tag = found
        .iter()
        .filter(|(_, image)| lookup.is_none() && image.is_unpinned());
    let by_tag = by_tag.map(|(component, _)| component.to_string()).collect();
    let run = |component| {
        let image = found.components[component].as_ref()?;
        let by_tag = || image.requested.to_string();
        Some(image.image.clone().unwrap_or_else(by_tag))
    };
    Ok(Found {
        by_tag,
        set: PerComponent::from_fn(run),
    })
}

/// Resolves one image. Endpoint and certificate authority only apply to the host of `spec.registry.prefix`.
async fn ask(
    desired: &Desired,
    reference: &Reference,
    lookup: &Lookup,
    resolver: &Resolver,
) -> Result<Resolution, ResolveError> {
    let is_of_prefix = reference.host() == desired.registry_host;
    let of_file = lookup.of_file();
    let mut request = Request {
        reference,
        endpoint: lookup
            .endpoint
            .as_ref()
            .filter(|_| is_of_prefix)
            .or(desired.endpoint_for(reference)),
        keyring: &of_file,
        certificate_authority: lookup.authority.as_deref().filter(|_| is_of_prefix),
    };
    let at_hand = lookup.keyring(&request).await;
    request.keyring = &at_hand;
    let resolved = resolver.resolve(&request).await?;
    print_plugin_failures(&resolved);
    Ok(resolved.digest.into())
}
