//! How a person's own commands ask registries: by which logins, at which address, with whose certificate.

use std::path::PathBuf;
use std::sync::Arc;

use crate::dockercoins::error::flag_of;
use clap::Args;
use resolver::{Endpoint, Keyring, Request, ResolveError, Resolved, Resolver};

use super::logins::Logins;
use super::{CliError, Registries};

/// How to query registries.
#[derive(Debug, Args)]
pub(super) struct Asking {
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

/// Who asks: all that was read for it.
pub(super) struct Asker {
    /// The logins, if there are any to be looked at.
    pub(super) logins: Option<Logins>,
    /// Who asks; none where no registry is.
    pub(super) resolver: Option<Resolver>,
    /// The certificate authority of the command line, in PEM.
    pub(super) authority: Option<Vec<u8>>,
    /// The address of the command line.
    pub(super) endpoint: Option<Endpoint>,
}

impl Asking {
    /// Reads what it takes to ask, or `offline`, what may be said without asking.
    pub(super) fn read(&self, registries: &Registries, offline: bool) -> Result<Asker, CliError> {
        let logins = match (&self.docker_config, offline) {
            (None, true) => None,
            (named, _) => Logins::read(named.as_deref(), offline)?,
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
        Ok(Asker {
            logins,
            resolver,
            authority,
            endpoint: self.endpoint.clone(),
        })
    }
}

impl Asker {
    /// The logins of the file alone.
    pub(super) fn of_file(&self) -> Arc<Keyring> {
        self.logins
            .as_ref()
            .map_or_else(Arc::default, Logins::of_file)
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
pub(super) fn tell_of_plugins(resolved: &Resolved) {
    for failure in &resolved.plugins {
        eprintln!("dockercoins-operator: {failure}");
    }
}

/// Why there is no digest, and the flag that would help.
pub(super) fn explained(error: &ResolveError) -> String {
    let flag = flag_of(&error.failure).map(|flag| format!(". The flag for that is {flag}"));
    format!("{error}{}", flag.unwrap_or_default())
}
