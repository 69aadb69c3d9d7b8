//! Parses the kubelet's `CredentialProviderConfig` by its own rules.
//!
//! All faults are reported with file and field, without values of arguments or variables. Beyond
//! the kubelet's rules, `tokenAttributes` and a second document in a file are rejected.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use serde_saphyr::Error as YamlError;

use crate::duration;
use crate::keyring::Location;

/// The versions of the configuration, equal in all that is read here.
const CONFIG_VERSIONS: [&str; 3] = [
    "kubelet.config.k8s.io/v1",
    "kubelet.config.k8s.io/v1beta1",
    "kubelet.config.k8s.io/v1alpha1",
];

/// The versions of the plugins' protocol.
const PLUGIN_VERSIONS: [&str; 3] = [
    "credentialprovider.kubelet.k8s.io/v1",
    "credentialprovider.kubelet.k8s.io/v1beta1",
    "credentialprovider.kubelet.k8s.io/v1alpha1",
];

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file or folder.
    pub path: PathBuf,
    /// The field, such as `providers[0].name`; empty for the whole file.
    pub field: String,
    /// The fault and the fix.
    pub problem: String,
}

impl Fault {
    pub(super) fn new(path: &Path, field: &str, problem: impl Into<String>) -> Fault {
        Fault {
            path: path.to_owned(),
            field: field.to_owned(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: ", self.path.display())?;
        if !self.field.is_empty() {
            write!(out, "{}: ", self.field)?;
        }
        out.write_str(&self.problem)
    }
}

/// The configuration of a plugin.
pub(super) struct Provider {
    /// The file, and the field of its name.
    pub(super) file: PathBuf,
    pub(super) name_field: String,
    pub(super) name: String,
    pub(super) match_images: Vec<Location>,
    pub(super) default_cache_duration: Duration,
    /// The `apiVersion` of its requests and responses.
    pub(super) version: &'static str,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
}

impl Provider {
    /// Whether it matches an image, `host/repository`.
    pub(super) fn serves(&self, image: &Location) -> bool {
        self.match_images
            .iter()
            .any(|pattern| pattern.matches(image))
    }
}

/// Parses files by path and text into one list. `at` is their folder or file, for faults of the
/// whole.
pub(super) fn read(at: &Path, files: &[(PathBuf, String)]) -> Result<Vec<Provider>, Vec<Fault>> {
    let mut providers: Vec<Provider> = Vec::new();
    let mut faults = Vec::new();
    let mut is_empty = true;
    for (file, text) in files {
        let mut reader = Reader {
            file,
            faults: &mut faults,
        };
        for (index, value) in reader.document(text).into_iter().enumerate() {
            is_empty = false;
            let Some(provider) = reader.provider(&format!("providers[{index}]"), value) else {
                continue;
            };
            match providers.iter().find(|other| other.name == provider.name) {
                Some(other) => {
                    let problem = format!(
                        "`{}` is a duplicate of {} in {}",
                        provider.name,
                        other.name_field,
                        other.file.display()
                    );
                    reader.fault(&provider.name_field, problem);
                }
                None => providers.push(provider),
            }
        }
    }
    if is_empty && faults.is_empty() {
        faults.push(Fault::new(at, "providers", "there must be at least one"));
    }
    match faults.is_empty() {
        true => Ok(providers),
        false => Err(faults),
    }
}

/// Parses one file and collects its faults.
struct Reader<'a> {
    file: &'a Path,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, field: &str, problem: impl Into<String>) {
        self.faults.push(Fault::new(self.file, field, problem));
    }

    /// The unparsed providers of a document.
    fn document(&mut self, text: &str) -> Vec<Value> {
        let value = match parse(text) {
            Ok(value) => value,
            Err(problem) => {
                self.fault("", problem);
                return Vec::new();
            }
        };
        let Some(mut fields) = self.fields("", value, &["apiVersion", "kind", "providers"]) else {
            return Vec::new();
        };
        let version = self.text("", &mut fields, "apiVersion");
        if !CONFIG_VERSIONS.contains(&version.as_str()) {
            self.fault("apiVersion", one_of(&CONFIG_VERSIONS));
        }
        if self.text("", &mut fields, "kind") != "CredentialProviderConfig" {
            self.fault("kind", "it must be `CredentialProviderConfig`");
        }
        self.list("", &mut fields, "providers")
    }

    /// `None` without a name; a provider with other faults is parsed, but never used.
    fn provider(&mut self, at: &str, value: Value) -> Option<Provider> {
        let known = [
            "name",
            "matchImages",
            "defaultCacheDuration",
            "apiVersion",
            "args",
            "env",
            "tokenAttributes",
        ];
        let mut fields = self.fields(at, value, &known)?;
        let name_field = format!("{at}.name");
        let name = self.text(at, &mut fields, "name");
        if let Some(problem) = name_problem(&name) {
            self.fault(&name_field, problem);
        }
        let match_images = self.match_images(at, &mut fields);
        let default_cache_duration = self.duration(at, &mut fields);
        let version = self.text(at, &mut fields, "apiVersion");
        let known_version = PLUGIN_VERSIONS.into_iter().find(|known| *known == version);
        if known_version.is_none() {
            self.fault(&format!("{at}.apiVersion"), one_of(&PLUGIN_VERSIONS));
        }
        let args = self.texts(at, &mut fields, "args");
        let args = args.into_iter().map(|(_, arg)| arg).collect();
        let env = self.env(at, &mut fields);
        if fields
            .remove("tokenAttributes")
            .is_some_and(|value| !value.is_null())
        {
            self.fault(
                &format!("{at}.tokenAttributes"),
                "service account tokens are not supported: remove it, and let the plugin log in as the operator, or use a pull secret",
            );
        }
        (!name.is_empty()).then(|| Provider {
            file: self.file.to_owned(),
            name_field,
            name,
            match_images,
            default_cache_duration,
            version: known_version.unwrap_or_default(),
            args,
            env,
        })
    }

    fn match_images(&mut self, at: &str, fields: &mut Map<String, Value>) -> Vec<Location> {
        let written = self.texts(at, fields, "matchImages");
        if written.is_empty() {
            self.fault(
                &format!("{at}.matchImages"),
                "there must be at least one, such as `*.dkr.ecr.*.amazonaws.com`",
            );
        }
        let mut patterns = Vec::new();
        for (field, text) in written {
            match Location::parse(text.as_bytes()) {
                Ok(pattern) => patterns.push(pattern),
                Err(_) => self.fault(
                    &field,
                    format!("{text:?} is not an image pattern: write `host[:port][/path]`, with `*` for any part of a host label"),
                ),
            }
        }
        patterns
    }

    fn duration(&mut self, at: &str, fields: &mut Map<String, Value>) -> Duration {
        let field = format!("{at}.defaultCacheDuration");
        let problem = match fields.get("defaultCacheDuration") {
            None | Some(Value::Null) => {
                "it is required: write the default cache duration, such as `12h`, or `0s` for no caching"
            }
            Some(Value::String(text)) => match duration::parse(text).map(u64::try_from) {
                Some(Ok(nanos)) => return Duration::from_nanos(nanos),
                Some(Err(_)) => "it is negative: write `0s` for no caching",
                None => "it is not a duration: write it with its unit, such as `12h` or `1h30m`",
            },
            Some(_) => "it must be a string: write it with its unit, such as `12h` or `1h30m`",
        };
        self.fault(&field, problem);
        Duration::ZERO
    }

    /// The later of equal names wins, as in the kubelet.
    fn env(&mut self, at: &str, fields: &mut Map<String, Value>) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for (index, value) in self.list(at, fields, "env").into_iter().enumerate() {
            let at = format!("{at}.env[{index}]");
            if let Some(mut fields) = self.fields(&at, value, &["name", "value"]) {
                let name = self.text(&at, &mut fields, "name");
                let value = self.text(&at, &mut fields, "value");
                env.insert(name, value);
            }
        }
        env
    }

    /// The fields of an object; unknown ones are faults, `null` is empty.
    fn fields(&mut self, at: &str, value: Value, known: &[&str]) -> Option<Map<String, Value>> {
        let fields = match value {
            Value::Object(fields) => fields,
            Value::Null => Map::new(),
            _ => {
                self.fault(at, "it must be an object");
                return None;
            }
        };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let problem = format!("unknown field; the known ones are: {}", known.join(", "));
            self.fault(&join(at, &format!("{name:?}")), problem);
        }
        Some(fields)
    }

    /// An optional string, empty by default.
    fn text(&mut self, at: &str, fields: &mut Map<String, Value>, name: &str) -> String {
        match fields.remove(name) {
            Some(value) => self.read_text(&join(at, name), value),
            None => String::new(),
        }
    }

    fn read_text(&mut self, field: &str, value: Value) -> String {
        match value {
            Value::String(text) => return text,
            Value::Null => {}
            _ => self.fault(field, "it must be a string: write it in quotes"),
        }
        String::new()
    }

    fn list(&mut self, at: &str, fields: &mut Map<String, Value>, name: &str) -> Vec<Value> {
        match fields.remove(name) {
            Some(Value::Array(values)) => return values,
            None | Some(Value::Null) => {}
            Some(_) => self.fault(&join(at, name), "it must be a list"),
        }
        Vec::new()
    }

    /// A list of strings with their fields.
    fn texts(
        &mut self,
        at: &str,
        fields: &mut Map<String, Value>,
        name: &str,
    ) -> Vec<(String, String)> {
        self.list(at, fields, name)
            .into_iter()
            .enumerate()
            .map(|(index, value)| {
                let field = format!("{}[{index}]", join(at, name));
                let text = self.read_text(&field, value);
                (field, text)
            })
            .collect()
    }
}

/// Parses one YAML or JSON document. Errors do not quote it: it may contain values of variables.
fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = match error.location() {
            Some(location) => format!(" (line {}, column {})", location.line(), location.column()),
            None => String::new(),
        };
        match error.without_snippet() {
            YamlError::MultipleDocuments { .. } => format!(
                "it has more than one document{place}: write one document per file, and name their folder"
            ),
            YamlError::DuplicateMappingKey { .. } => {
                format!("it has a duplicate field{place}: remove one")
            }
            _ => format!("it is neither YAML nor JSON{place}"),
        }
    })
}

/// The fault of a plugin's name, which is a program in the plugin folder.
fn name_problem(name: &str) -> Option<String> {
    let problem = match name {
        "" => "it is required: write the name of the plugin's program".to_owned(),
        "." | ".." => format!("`{name}` is not a program's name"),
        _ if name.contains(['/', ' ', '\0']) => {
            format!(
                "{name:?} has a slash or a space: write the name of a program in the plugin folder"
            )
        }
        _ => return None,
    };
    Some(problem)
}

fn one_of(values: &[&str]) -> String {
    format!("it must be one of: {}", values.join(", "))
}

fn join(at: &str, name: &str) -> String {
    match at {
        "" => name.to_owned(),
        _ => format!("{at}.{name}"),
    }
}
