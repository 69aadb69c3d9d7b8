//! Credentials from the kubelet's credential provider plugins, such as those for ECR, ACR and
//! Artifact Registry.
//!
//! The rules are those of Kubernetes' `pkg/credentialprovider/plugin`:
//! - every plugin with a matching `matchImages` is run, and their credentials are merged: the
//!   lexically greatest key first, under one key the earlier plugin's first;
//! - they come after those of the pull secrets, even if one matched;
//! - a failed plugin does not affect the others.
//!
//! Unlike in the kubelet, plugins run concurrently, failures are reported to the caller, service
//! account tokens are not supported, and every run is bounded.

mod cache;
mod config;
mod provider;
mod response;
mod run;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

pub use config::Fault;

use crate::keyring::{Credential, Keyring, Location, Proof};
use provider::Provider;

/// The timeout of a run, as in the kubelet.
const DEADLINE: Duration = Duration::from_secs(60);

/// The extensions of configuration files in a folder.
const EXTENSIONS: [&str; 3] = [".json", ".yaml", ".yml"];

/// The plugins of a configuration, which is read once, as in the kubelet. Cheap to clone; clones
/// share the cache and running plugins.
#[derive(Clone)]
pub struct Plugins {
    providers: Arc<[Arc<Provider>]>,
    deadline: Duration,
}

/// All faults of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginsError {
    /// At least one, in the order of files and fields.
    pub faults: Vec<Fault>,
}

impl std::error::Error for PluginsError {}

impl fmt::Display for PluginsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the credential providers cannot be used")?;
        for (index, fault) in self.faults.iter().enumerate() {
            out.write_str(if index == 0 { ": " } else { "; " })?;
            fault.fmt(out)?;
        }
        Ok(())
    }
}

/// A plugin that failed, or an unusable credential of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential provider {plugin} failed for {image}: {problem}")]
pub struct PluginFailure {
    /// The plugin's name.
    pub plugin: String,
    /// The image: `host/repository`.
    pub image: String,
    /// The fault and the fix. Never contains an answer; may quote the plugin's standard error.
    pub problem: String,
}

impl Plugins {
    /// Reads a `CredentialProviderConfig` of `kubelet.config.k8s.io` from a file, or from the
    /// `*.json`, `*.yaml` and `*.yml` files of a folder by name, and checks the programs in
    /// `bin_dir`. Blocks.
    ///
    /// # Errors
    /// A [`PluginsError`] with all faults of the files, or else of the programs.
    pub fn open(config: &Path, bin_dir: &Path) -> Result<Plugins, PluginsError> {
        let configured = read_files(config)
            .and_then(|files| config::read(config, &files))
            .map_err(|faults| PluginsError { faults })?;
        if !fs::metadata(bin_dir).is_ok_and(|found| found.is_dir()) {
            let problem = "it is not a folder: name the folder of the plugins' programs";
            let faults = vec![Fault::new(bin_dir, "", problem)];
            return Err(PluginsError { faults });
        }
        let mut faults = Vec::new();
        let mut providers = Vec::new();
        for provider in configured {
            let program = bin_dir.join(&provider.name);
            match program_problem(&program) {
                Some(problem) => {
                    faults.push(Fault::new(&provider.file, &provider.name_field, problem))
                }
                None => providers.push(Arc::new(Provider::new(provider, program))),
            }
        }
        match faults.is_empty() {
            true => Ok(Plugins {
                providers: providers.into(),
                deadline: DEADLINE,
            }),
            false => Err(PluginsError { faults }),
        }
    }

    /// Sets the timeout of a run.
    pub fn with_deadline(self, deadline: Duration) -> Plugins {
        Plugins { deadline, ..self }
    }

    /// Runs every plugin that matches `image` (`host[:port]/repository`). Returns the matching
    /// credentials in the order of attempts, and the failures.
    ///
    /// The [source](Credential::source) of a credential is `credential provider NAME`. Dropping the
    /// future ends runs that nobody else waits for.
    pub async fn lookup(&self, image: &str) -> (Vec<Credential>, Vec<PluginFailure>) {
        let Ok(location) = Location::parse(image.as_bytes()) else {
            return (Vec::new(), Vec::new());
        };
        let asked = self
            .providers
            .iter()
            .filter(|provider| provider.config.serves(&location))
            .map(|provider| async move { (provider, provider.logins(image, self.deadline).await) });
        let mut keyring = Keyring::new();
        let mut failures = Vec::new();
        for (provider, outcome) in join_all(asked).await {
            let plugin = &provider.config.name;
            let failure = |problem| PluginFailure {
                plugin: plugin.clone(),
                image: image.to_owned(),
                problem,
            };
            let logins = match outcome {
                Ok(logins) => logins,
                Err(problem) => {
                    failures.push(failure(problem));
                    continue;
                }
            };
            let source = format!("credential provider {plugin}");
            for login in logins.iter() {
                let proof = Proof::Password(login.password.clone());
                let added = keyring.add_login(&source, &login.key, login.username.clone(), proof);
                if let Err(problem) = added {
                    failures.push(failure(format!(
                        "an entry of its answer is skipped: {problem}"
                    )));
                }
            }
        }
        let credentials = keyring.lookup(image).into_iter().cloned().collect();
        (credentials, failures)
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.providers.iter().map(|provider| &provider.config.name);
        out.debug_list().entries(names).finish()
    }
}

/// The paths and texts of a configuration's files.
fn read_files(config: &Path) -> Result<Vec<(PathBuf, String)>, Vec<Fault>> {
    let unreadable = |path: &Path, error: &io::Error| {
        Fault::new(path, "", format!("it cannot be read: {error}"))
    };
    let paths = match files_of(config) {
        Ok(paths) => paths,
        Err(error) => return Err(vec![unreadable(config, &error)]),
    };
    if paths.is_empty() {
        let problem = format!("it has no file that ends in {}", EXTENSIONS.join(", "));
        return Err(vec![Fault::new(config, "", problem)]);
    }
    let mut files = Vec::new();
    let mut faults = Vec::new();
    for path in paths {
        match fs::read_to_string(&path) {
            Ok(text) => files.push((path, text)),
            Err(error) => faults.push(unreadable(&path, &error)),
        }
    }
    match faults.is_empty() {
        true => Ok(files),
        false => Err(faults),
    }
}

/// The file itself, or the folder's files. Subfolders are skipped; links are not: ConfigMap mounts
/// consist of them.
fn files_of(config: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(config)?.is_dir() {
        return Ok(vec![config.to_owned()]);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(config)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_read = EXTENSIONS
            .iter()
            .any(|extension| name.as_encoded_bytes().ends_with(extension.as_bytes()));
        if is_read && !entry.file_type()?.is_dir() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The fault of a program's file.
fn program_problem(program: &Path) -> Option<String> {
    let program_name = program.display();
    match fs::metadata(program) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!(
            "its program {program_name} does not exist: install it in the plugin folder, or remove the provider"
        )),
        Err(error) => Some(format!(
            "its program {program_name} cannot be read: {error}"
        )),
        Ok(found) if !found.is_file() => Some(format!("its program {program_name} is not a file")),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Some(format!(
            "its program {program_name} is not executable: make it executable"
        )),
        Ok(_) => None,
    }
}
