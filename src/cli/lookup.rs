//! The flags of commands that resolve images: credentials, endpoint and certificate authority.

use std::path::PathBuf;
use std::sync::Arc;

use crate::dockercoins::error::flag_of;
use clap::Args;
use resolver::{Endpoint, Keyring, Request, ResolveError, Resolved, Resolver};

use super::docker_config::DockerConfig;
use super::{CliError, RegistryArgs};

/// How to query registries.
#[derive(Debug, Args)]
pub(super) struct LookupArgs {
    /// A file with registry credentials, as `docker login` writes it or a pull secret contains it. Its credential
    /// helpers are run if a registry is queried. Default: the user's own file, if a registry is queried.
    #[arg(long, value_name = "FILE")]
    docker_config: Option<PathBuf>,

    /// The URL to query instead of the images' own hosts, such as http://registry:5000. For a resource, applies to
    /// images on the host of its prefix.
    #[arg(long, value_name = "URL", value_parser = Endpoint::parse)]
    endpoint: Option<Endpoint>,

    /// A PEM file with certificate authorities to trust for the images' hosts, or for --endpoint. For a resource,
    /// applies to the host of its prefix.
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<PathBuf>,
}

/// What resolving an image takes, as read from the flags.
pub(super) struct Lookup {
    /// Docker's configuration file, if there is one.
    pub(super) logins: Option<DockerConfig>,
    /// The resolver; `None` offline.
    pub(super) resolver: Option<Resolver>,
    /// `--certificate-authority`, in PEM.
    pub(super) authority: Option<Vec<u8>>,
    /// `--endpoint`.
    pub(super) endpoint: Option<Endpoint>,
}

impl LookupArgs {
    /// Reads the files that the flags name. `offline` needs no resolver.
    pub(super) fn read(
        &self,
        registries: &RegistryArgs,
        offline: bool,
    ) -> Result<Lookup, CliError> {
        let logins = match (&self.docker_config, offline) {
            (None, true) => None,
            (named, _) => DockerConfig::read(named.as_deref(), offline)?,
        };
        let authority = match &self.certificate_authority {
            Some(file) => Some(std::fs::read(file).map_err(|error| {
                CliError::File(format!("--certificate-authority {}", file.display()), error)
            })?),
            None => None,
        };
        let resolver = match offline {
            true => None,
            false => Some(registries.resolver(None)?),
        };
        Ok(Lookup {
            logins,
            resolver,
            authority,
            endpoint: self.endpoint.clone(),
        })
    }
}

impl Lookup {
    /// The credentials in the file, without credential helpers.
    pub(super) fn of_file(&self) -> Arc<Keyring> {
        self.logins
            .as_ref()
            .map_or_else(Arc::default, DockerConfig::of_file)
    }

    /// The credentials for a request, including those of a credential helper.
    pub(super) async fn keyring(&self, request: &Request<'_>) -> Arc<Keyring> {
        match (&self.logins, request.registry()) {
            (Some(logins), Some(registry)) => logins.at(&registry).await,
            _ => self.of_file(),
        }
    }
}

/// Prints the credential plugins that failed although the image was resolved.
pub(super) fn print_plugin_failures(resolved: &Resolved) {
    for failure in &resolved.plugins {
        eprintln!("dockercoins-operator: {failure}");
    }
}

/// The error, with the flag that would help.
pub(super) fn with_flag_hint(error: &ResolveError) -> String {
    let flag = flag_of(&error.failure).map(|flag| format!(". The flag for that is {flag}"));
    format!("{error}{}", flag.unwrap_or_default())
}
