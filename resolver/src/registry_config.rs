//! The `certs.d` folder with the configuration of registry hosts.
//!
//! It is checked on every query, and read again if a relevant file has changed. A fault affects
//! only its registry.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::endpoint::Endpoint;
use crate::hosts::{self, Host};
use crate::lock::lock;
use crate::trust::Trust;

/// The most cached registries.
const REGISTRIES_MAX: usize = 1024;

/// The largest accepted file, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// The folder, with a cache.
pub(crate) struct RegistryConfig {
    root: PathBuf,
    cache: Mutex<HashMap<String, CachedHosts>>,
}

/// A host with its TLS files read.
#[derive(Clone)]
pub(crate) struct ConfiguredHost {
    pub(crate) host: Host,
    pub(crate) trust: Trust,
}

/// A registry's hosts; `None` if it has no configuration. The error is a message.
type HostsResult = Result<Option<Arc<[ConfiguredHost]>>, String>;

/// The cached hosts, with the versions of the files they come from.
struct CachedHosts {
    seen: Vec<(PathBuf, Option<FileVersion>)>,
    found: HostsResult,
}

/// Changes whenever the file does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    node: u64,
    length: u64,
    changed: (i64, i64),
}

impl RegistryConfig {
    /// Opens the folder.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub(crate) fn open(root: &Path) -> io::Result<RegistryConfig> {
        fs::read_dir(root)?;
        Ok(RegistryConfig {
            root: root.to_owned(),
            cache: Mutex::default(),
        })
    }

    /// The hosts of a registry; `own` is its own endpoint.
    pub(crate) fn hosts(&self, registry: &str, own: &Endpoint) -> HostsResult {
        let mut cache = lock(&self.cache);
        if let Some(cached) = cache.get(registry)
            && cached
                .seen
                .iter()
                .all(|(path, seen)| file_version(path).is_ok_and(|now| now == *seen))
        {
            return cached.found.clone();
        }
        let mut reader = ConfigReader::default();
        let found = reader.hosts(&self.root, registry, own);
        if cache.len() >= REGISTRIES_MAX {
            cache.clear();
        }
        let cached = CachedHosts {
            seen: reader.seen,
            found: found.clone(),
        };
        cache.insert(registry.to_owned(), cached);
        found
    }
}

/// Reads the files. Each version is recorded before its file is read, so that a concurrent change
/// is noticed the next time.
#[derive(Default)]
struct ConfigReader {
    seen: Vec<(PathBuf, Option<FileVersion>)>,
}

impl ConfigReader {
    fn hosts(&mut self, root: &Path, registry: &str, own: &Endpoint) -> HostsResult {
        for name in hosts::folders(registry) {
            let folder = root.join(name);
            if self.exists(&folder)? {
                return self.read_folder(&folder, own).map(Some);
            }
        }
        Ok(None)
    }

    fn read_folder(
        &mut self,
        folder: &Path,
        own: &Endpoint,
    ) -> Result<Arc<[ConfiguredHost]>, String> {
        let file = folder.join(hosts::FILE);
        let text = match self.exists(&file)? {
            true => self.read(&file)?,
            false => Vec::new(),
        };
        let hosts = if text.is_empty() {
            vec![hosts::from_certificates(folder, &file_names(folder)?, own)]
        } else {
            let text = str::from_utf8(&text)
                .map_err(|_| format!("{}: it is not text in UTF-8", file.display()))?;
            hosts::parse(&file, text, own).map_err(|error| error.to_string())?
        };
        hosts
            .into_iter()
            .map(|host| self.with_files(host))
            .collect()
    }

    fn with_files(&mut self, host: Host) -> Result<ConfiguredHost, String> {
        let mut trust = Trust::default();
        if host.settings.skip_verify {
            trust.skip_verification();
        }
        for path in &host.settings.authorities {
            let text = self.read(path)?;
            trust
                .add_authorities(&text)
                .map_err(|problem| format!("{}: {problem}", path.display()))?;
        }
        for pair in &host.settings.clients {
            let certificate = self.read(&pair.certificate)?;
            let key = match &pair.key {
                Some(key) => self.read(key)?,
                None => certificate.clone(),
            };
            let named = pair.key.as_ref().unwrap_or(&pair.certificate);
            trust
                .add_client(&certificate, &key)
                .map_err(|problem| format!("{}: {problem}", named.display()))?;
        }
        Ok(ConfiguredHost { host, trust })
    }

    fn exists(&mut self, path: &Path) -> Result<bool, String> {
        let file_version = file_version(path);
        // An unreadable file is recorded as absent, and so read again.
        let seen = file_version.as_ref().ok().copied().flatten();
        self.seen.push((path.to_owned(), seen));
        let found = file_version.map_err(|error| unreadable(path, &error))?;
        Ok(found.is_some())
    }

    fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        self.exists(path)?;
        let failed = |error| unreadable(path, &error);
        if fs::metadata(path).map_err(failed)?.len() > FILE_MAX {
            return Err(format!(
                "{}: it is longer than {FILE_MAX} bytes",
                path.display()
            ));
        }
        fs::read(path).map_err(failed)
    }
}

fn file_names(folder: &Path) -> Result<Vec<String>, String> {
    let failed = |error| unreadable(folder, &error);
    let mut file_names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Names that are not UTF-8 have none of the known extensions.
        if !entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            file_names.push(name);
        }
    }
    Ok(file_names)
}

fn file_version(path: &Path) -> io::Result<Option<FileVersion>> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some(FileVersion {
            device: data.dev(),
            node: data.ino(),
            length: data.len(),
            changed: (data.ctime(), data.ctime_nsec()),
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{}: it cannot be read: {error}", path.display())
}
