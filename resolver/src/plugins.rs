//! Logins from the kubelet's credential provider plugins: programs that are asked for an image
//! and answer with logins, such as those for ECR, ACR and Artifact Registry.
//!
//! The judge of every rule is Kubernetes' own `pkg/credentialprovider/plugin`. As there:
//! - every plugin that one of its `matchImages` names is asked, and all their logins count
//!   together: the lexically greatest key first, under one key the earlier plugin's first;
//! - their logins come after those of the pull secrets, also where a secret's matched;
//! - a plugin that fails takes nothing from the others.
//!
//! Otherwise than there, they run at the same time, a failure is told to the caller, a service
//! account's token is never handed out, and a run is bounded in all that it may take.
//!
//! `config`, `duration` and `answer` decide; `kept` and `provider` keep answers and share runs;
//! `run` runs a program.

mod answer;
mod config;
mod kept;
mod provider;
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

/// How long a plugin may take, as in the kubelet.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the name of a folder's file ends in, to be read.
const ENDINGS: [&str; 3] = [".json", ".yaml", ".yml"];

/// The plugins of a configuration. Cheap to clone; clones share answers and runs.
///
/// It is read once. Who changes it starts again, as with the kubelet.
#[derive(Clone)]
pub struct Plugins {
    providers: Arc<[Arc<Provider>]>,
    deadline: Duration,
}

/// Why the plugins cannot be used: every fault that was found.
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

/// A plugin that was asked and gave no login, or one that cannot be used; the others serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential provider {plugin} failed for {image}: {what}")]
pub struct PluginFailure {
    /// Its name in the configuration.
    pub plugin: String,
    /// What it was asked for: `host/repository`.
    pub image: String,
    /// What happened, and what to do about it. Never holds an answer; may hold the beginning of
    /// what the plugin wrote to its standard error.
    pub what: String,
}

impl Plugins {
    /// Reads a `CredentialProviderConfig` of `kubelet.config.k8s.io`, of a file or of all
    /// `*.json`, `*.yaml` and `*.yml` files of a folder in the order of their names, and looks
    /// for the plugins' programs in `bin_dir`. Blocks for as long as that takes.
    ///
    /// # Errors
    /// A [`PluginsError`] with all that is wrong in the files, or else with all programs that
    /// are missing or may not be executed.
    pub fn open(config: &Path, bin_dir: &Path) -> Result<Plugins, PluginsError> {
        let configured = read_files(config)
            .and_then(|files| config::read(config, &files))
            .map_err(|faults| PluginsError { faults })?;
        if !fs::metadata(bin_dir).is_ok_and(|found| found.is_dir()) {
            let problem = "it is no folder, and should be that of the plugins' programs";
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

    /// The same plugins, with other than a minute for each run.
    pub fn with_deadline(self, deadline: Duration) -> Plugins {
        Plugins { deadline, ..self }
    }

    /// Asks every plugin that is for `image`, which is what [`Keyring::lookup`] is asked:
    /// `host[:port]/repository`, without tag and digest. Gives the logins that match it in the
    /// order in which they are tried, after those of the keyring, and what failed.
    ///
    /// The [source](Credential::source) of such a login is `credential provider NAME`.
    ///
    /// It takes no longer than one run where few ask at once; further runs of one plugin wait
    /// for their turn. Dropping the future ends what is run for it alone.
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
            let failure = |what| PluginFailure {
                plugin: plugin.clone(),
                image: image.to_owned(),
                what,
            };
            let logins = match outcome {
                Ok(logins) => logins,
                Err(what) => {
                    failures.push(failure(what));
                    continue;
                }
            };
            let source = format!("credential provider {plugin}");
            for login in logins.iter() {
                let proof = Proof::Password(login.password.clone());
                let added = keyring.add_login(&source, &login.key, login.username.clone(), proof);
                if let Err(problem) = added {
                    failures.push(failure(format!(
                        "a login of its answer is skipped: {problem}"
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

/// The files of a configuration by their paths, with their texts.
fn read_files(config: &Path) -> Result<Vec<(PathBuf, String)>, Vec<Fault>> {
    let unreadable = |path: &Path, error: &io::Error| {
        Fault::new(path, "", format!("it cannot be read: {error}"))
    };
    let paths = match files_of(config) {
        Ok(paths) => paths,
        Err(error) => return Err(vec![unreadable(config, &error)]),
    };
    if paths.is_empty() {
        let problem = format!("it has no file that ends in {}", ENDINGS.join(", "));
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

/// The file itself, or those of a folder. Folders within it are passed over, but not links, of
/// which a mounted ConfigMap is made.
fn files_of(config: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(config)?.is_dir() {
        return Ok(vec![config.to_owned()]);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(config)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_read = ENDINGS
            .iter()
            .any(|ending| name.as_encoded_bytes().ends_with(ending.as_bytes()));
        if is_read && !entry.file_type()?.is_dir() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// What is wrong with a program's file.
fn program_problem(program: &Path) -> Option<String> {
    let program_name = program.display();
    match fs::metadata(program) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!(
            "its program {program_name} is not there; put it in the folder of plugins, or remove the provider"
        )),
        Err(error) => Some(format!(
            "its program {program_name} cannot be looked at: {error}"
        )),
        Ok(found) if !found.is_file() => Some(format!("its program {program_name} is not a file")),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Some(format!(
            "its program {program_name} may not be executed; make it executable"
        )),
        Ok(_) => None,
    }
}
