//! What `render` and `diff` share: the resources in a file, and the images that they would run.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::api::{DockerCoins, DockerCoinsStatus, REQUESTED_AT, ResolvePolicy};
use crate::cli::manifest;
use crate::dockercoins::component::Component;
use crate::dockercoins::desired::Desired;
use crate::dockercoins::images::{self, Answered, Answers};
use clap::Args;
use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use resolver::{Reference, Request, ResolveError, Resolver};

use super::lookup::{Lookup, LookupArgs, print_plugin_failures, with_flag_hint};
use super::{CliError, RegistryArgs};

/// The resources, and how their images are found.
#[derive(Debug, Args)]
#[command(mut_group("LookupArgs", |group| group.requires("resolve")), mut_group("RegistryArgs", |group| group.requires("resolve")))]
pub(super) struct ManifestArgs {
    /// The file with DockerCoins, as YAML or JSON; `-` is the standard input.
    #[arg(short, long, value_name = "FILE")]
    filename: PathBuf,

    /// The namespace of those that name none. One that names another is refused, as kubectl has it.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Ask the images' registries for their digests, as the operator would, but by your own logins.
    #[arg(long)]
    resolve: bool,

    #[command(flatten)]
    lookup: LookupArgs,

    #[command(flatten)]
    registries: RegistryArgs,
}

impl ManifestArgs {
    /// Reads the file: what it has is free of faults.
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

    /// Puts each resource into its namespace, `default` being that of those that name none, where the command line
    /// doesn't either.
    pub(super) fn place(
        &self,
        all: &mut [DockerCoins],
        default: Option<&str>,
    ) -> Result<(), CliError> {
        manifest::place(all, self.namespace.as_deref(), default)
            .map_err(|faults| self.refused(faults))
    }

    /// Who asks registries, if they are to be asked.
    pub(super) fn lookup(&self) -> Result<Option<Lookup>, CliError> {
        let lookup = || self.lookup.read(&self.registries, false);
        self.resolve.then(lookup).transpose()
    }

    /// What the file is called.
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

/// What a resource of [`ManifestArgs::read`] wants.
pub(super) fn desired(coins: &DockerCoins) -> Desired {
    Desired::from_resource(coins).expect("it was read without faults")
}

/// The resource as people name it, such as `DockerCoins demo/dockercoins`.
pub(super) fn title(coins: &DockerCoins) -> String {
    let namespace = coins.namespace().map(|namespace| format!("{namespace}/"));
    format!(
        "DockerCoins {}{}",
        namespace.unwrap_or_default(),
        coins.name_any()
    )
}

/// The images that would run, in the order of [`Component::ALL`].
pub(super) struct Found {
    /// What the Deployments would name.
    pub(super) set: [String; 5],
    /// The components whose images would be pinned, and are named by their tags.
    by_tag: Vec<String>,
}

impl Found {
    /// Tells which images are named by tags for want of an answer.
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

/// The images that the operator would run: by the digests that `status` has for their tags, by those that registries
/// give if they are asked, else by their tags.
///
/// # Errors
/// Where the policy Required can't be met by asking: each image, and why.
pub(super) async fn images(
    coins: &DockerCoins,
    desired: &Desired,
    status: &DockerCoinsStatus,
    lookup: Option<&Lookup>,
) -> Result<Found, CliError> {
    let now = Timestamp::now();
    let answers = match lookup.and_then(|lookup| Some((lookup, lookup.resolver.as_ref()?))) {
        None => Answers::new(),
        Some((lookup, resolver)) => {
            let requested = coins.annotations().get(REQUESTED_AT);
            let is_due =
                requested.is_some() && requested != status.last_handled_requested_at.as_ref();
            let asked = images::questions(desired, status, is_due, now)
                .into_iter()
                .map(|(component, reference)| async move {
                    let answer = ask(desired, reference, lookup, resolver).await;
                    (component, answer.map_err(Into::into))
                });
            join_all(asked).await.into_iter().collect()
        }
    };
    let found = images::settle(desired, status, &answers, now);
    let each = || Component::ALL.into_iter().zip(&found.components);
    let failed = |policy| {
        each()
            .filter(move |(_, image)| image.policy == policy)
            .filter_map(|(component, image)| Some((component, image.failure.as_deref()?)))
            .map(|(component, error)| format!("{component}: {}", with_flag_hint(error)))
    };
    let required: Vec<String> = failed(ResolvePolicy::Required).collect();
    if !required.is_empty() {
        return Err(CliError::Unresolved(format!(
            "{}: the policy Required can't be met, and nothing new would be deployed:\n{}",
            title(coins),
            required.join("\n")
        )));
    }
    for told in failed(ResolvePolicy::BestEffort) {
        eprintln!("dockercoins-operator: {}: {told}", title(coins));
    }
    let is_by_tag = |(_, image): &(Component, &images::Image)| {
        image.policy != ResolvePolicy::Never
            && image.answer.is_none()
            && image.asked.digest().is_none()
    };
    let by_tag = each().filter(|each| lookup.is_none() && is_by_tag(each));
    let by_tag = by_tag.map(|(component, _)| component.to_string()).collect();
    let run = |image: images::Image| image.wanted.unwrap_or_else(|| image.asked.to_string());
    Ok(Found {
        by_tag,
        set: found.components.map(run),
    })
}

/// Asks for one image. The address and the authority of the command line, as those of the resource, are for the
/// prefix's host alone.
async fn ask(
    desired: &Desired,
    reference: &Reference,
    lookup: &Lookup,
    resolver: &Resolver,
) -> Result<Answered, ResolveError> {
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
