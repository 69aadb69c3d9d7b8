//! The folder with what an administrator has written about registries' hosts: `certs.d`.
//!
//! It is looked at whenever a registry is asked, and read again when one of the files that matter
//! has changed, so that an edit needs no restart. What is broken stands in the way of the one
//! registry that it is about.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::endpoint::Endpoint;
use crate::hosts::{self, Host};
use crate::trust::Trust;

/// The most registries whose hosts are kept.
const KEPT_MAX: usize = 1024;

/// The most bytes of a file.
const FILE_MAX: u64 = 1 << 20;

/// The folder.
pub(crate) struct RegistryConfig {
    root: PathBuf,
    kept: Mutex<HashMap<String, Known>>,
}

/// A host, and what its files hold.
#[derive(Clone)]
pub(crate) struct Configured {
    pub(crate) host: Host,
    pub(crate) trust: Trust,
}

/// A registry's hosts; `None` where nothing is written about it. The error is for people.
type Found = Result<Option<Arc<[Configured]>>, String>;

/// What was found, and how the files were that it was found in.
struct Known {
    seen: Vec<(PathBuf, Option<Stamp>)>,
    found: Found,
}

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    node: u64,
    length: u64,
    changed: (i64, i64),
}

impl RegistryConfig {
    /// The folder at a path.
    ///
    /// # Errors
    /// Where it can't be listed.
    pub(crate) fn open(root: &Path) -> io::Result<RegistryConfig> {
        fs::read_dir(root)?;
        Ok(RegistryConfig {
            root: root.to_owned(),
            kept: Mutex::default(),
        })
    }

    /// The hosts of a registry, by its name and by where it is asked itself.
    pub(crate) fn hosts(&self, registry: &str, own: &Endpoint) -> Found {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(registry)
            && known
                .seen
                .iter()
                .all(|(path, seen)| stamp(path).is_ok_and(|now| now == *seen))
        {
            return known.found.clone();
        }
        let mut look = Look::default();
        let found = look.hosts(&self.root, registry, own);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let known = Known {
            seen: look.seen,
            found: found.clone(),
        };
        kept.insert(registry.to_owned(), known);
        found
    }
}

/// One look at the files. What is looked at is noted before it is read, so that a change in
/// between is seen the next time.
#[derive(Default)]
struct Look {
    seen: Vec<(PathBuf, Option<Stamp>)>,
}

impl Look {
    fn hosts(&mut self, root: &Path, registry: &str, own: &Endpoint) -> Found {
        for name in hosts::folders(registry) {
            let folder = root.join(name);
            if self.is_there(&folder)? {
                return self.of_folder(&folder, own).map(Some);
            }
        }
        Ok(None)
    }

    fn of_folder(&mut self, folder: &Path, own: &Endpoint) -> Result<Arc<[Configured]>, String> {
        let file = folder.join(hosts::FILE);
        let text = match self.is_there(&file)? {
            true => self.read(&file)?,
            false => Vec::new(),
        };
        let hosts = if text.is_empty() {
            vec![hosts::of_certificates(folder, &names(folder)?, own)]
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

    fn with_files(&mut self, host: Host) -> Result<Configured, String> {
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
        Ok(Configured { host, trust })
    }

    fn is_there(&mut self, path: &Path) -> Result<bool, String> {
        let stamp = stamp(path);
        // What can't even be looked at is noted as absent: as long as it can't, it is tried again.
        let seen = stamp.as_ref().ok().copied().flatten();
        self.seen.push((path.to_owned(), seen));
        let found = stamp.map_err(|error| unreadable(path, &error))?;
        Ok(found.is_some())
    }

    fn read(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        self.is_there(path)?;
        let told = |error| unreadable(path, &error);
        if fs::metadata(path).map_err(told)?.len() > FILE_MAX {
            return Err(format!(
                "{}: it is longer than {FILE_MAX} bytes",
                path.display()
            ));
        }
        fs::read(path).map_err(told)
    }
}

fn names(folder: &Path) -> Result<Vec<String>, String> {
    let told = |error| unreadable(folder, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(told)? {
        let entry = entry.map_err(told)?;
        // A name that is not UTF-8 has none of the endings that count.
        if !entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    Ok(names)
}

fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some(Stamp {
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
    format!("{}: it can't be read: {error}", path.display())
}
