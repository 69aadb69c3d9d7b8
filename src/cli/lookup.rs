//! How a person's own commands ask registries: by which logins, at which address, with whose certificate.

use std::path::PathBuf;
use std::sync::Arc;

use crate::dockercoins::error::flag_of;
use clap::Args;
use resolver::{Endpoint, Keyring, Request, ResolveError, Resolved, Resolver};

use super::docker_config::DockerConfig;
use super::{CliError, RegistryArgs};

/// What a command that asks registries takes.
#[derive(Debug, Args)]
pub(super) struct LookupArgs {
    /// The logins: a file as `docker login` writes it, or as a pull secret holds it. The credential helpers that it
    /// names are run where a registry is asked. Default: that of the user, where a registry is asked.
    #[arg(long, value_name = "FILE")]
    docker_config: Option<PathBuf>,

    /// Where the images are asked for, instead of at their own hosts, such as http://registry:5000; of a
    /// resource, those on its prefix's host.
    #[arg(long, value_name = "URL", value_parser = Endpoint::parse)]
    endpoint: Option<Endpoint>,

    /// A certificate authority in PEM that is trusted for the images' own hosts, or the endpoint;
    /// of a resource, for its prefix's host.
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<PathBuf>,
}

/// Who asks: all that was read for it.
pub(super) struct Lookup {
    /// The logins, if there are any to be looked at.
    pub(super) logins: Option<DockerConfig>,
    /// Who asks; none where no registry is.
    pub(super) resolver: Option<Resolver>,
    /// The certificate authority of the command line, in PEM.
    pub(super) authority: Option<Vec<u8>>,
    /// The address of the command line.
    pub(super) endpoint: Option<Endpoint>,
}

impl LookupArgs {
    /// Reads what it takes to ask, or `offline`, what may be said without asking.
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
    /// The logins of the file alone.
    pub(super) fn of_file(&self) -> Arc<Keyring> {
        self.logins
            .as_ref()
            .map_or_else(Arc::default, DockerConfig::of_file)
    }

    /// The logins at hand where this is asked: a program of the user's may keep them.
    pub(super) async fn keyring(&self, request: &Request<'_>) -> Arc<Keyring> {
        match (&self.logins, request.registry()) {
            (Some(logins), Some(registry)) => logins.at(&registry).await,
            _ => self.of_file(),
        }
    }
}

/// Tells of the plugins that failed, though there is an answer.
pub(super) fn print_plugin_failures(resolved: &Resolved) {
    for failure in &resolved.plugins {
        eprintln!("dockercoins-operator: {failure}");
    }
}

/// Why there is no digest, and the flag that would help.
pub(super) fn with_flag_hint(error: &ResolveError) -> String {
    let flag = flag_of(&error.failure).map(|flag| format!(". The flag for that is {flag}"));
    format!("{error}{}", flag.unwrap_or_default())
}
