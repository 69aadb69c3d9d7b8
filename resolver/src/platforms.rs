//! Reads the platforms of an image from an index, a manifest or a config.
//!
//! Names are as in Docker: `linux/amd64`, `linux/arm/v7`. Attestations (`unknown/unknown`) are
//! omitted.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::names::Digest;

/// The most platforms of one index.
const PLATFORMS_MAX: usize = 64;

/// The longest platform name, in bytes.
const NAME_MAX: usize = 128;

/// The platforms in a manifest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Platforms {
    /// The platforms of an index.
    Listed(Vec<String>),
    /// The digest of the config that names the platform.
    InConfig(Digest),
    /// Not specified.
    Unknown,
}

/// An index or a manifest.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    manifests: Vec<Entry>,
    config: Option<Descriptor>,
}

#[derive(Deserialize)]
struct Entry {
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

/// A platform of an index or a config.
#[derive(Deserialize)]
struct Platform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

impl Platform {
    fn name(&self) -> Option<String> {
        let is_named = |part: &&String| !part.is_empty() && *part != "unknown";
        let os = self.os.as_ref().filter(is_named)?;
        let architecture = self.architecture.as_ref().filter(is_named)?;
        let mut name = format!("{os}/{architecture}");
        if let Some(variant) = self.variant.as_ref().filter(is_named) {
            name = format!("{name}/{variant}");
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        (name.len() <= NAME_MAX && name.bytes().all(is_plain)).then_some(name)
    }
}

/// Reads the body of an index or manifest.
pub(crate) fn from_manifest(body: &[u8]) -> Platforms {
    let Ok(manifest) = serde_json::from_slice::<Manifest>(body) else {
        return Platforms::Unknown;
    };
    let listed: BTreeSet<String> = manifest
        .manifests
        .iter()
        .filter_map(|entry| entry.platform.as_ref()?.name())
        .take(PLATFORMS_MAX)
        .collect();
    match manifest.config {
        _ if !listed.is_empty() => Platforms::Listed(listed.into_iter().collect()),
        Some(config) => match Digest::parse(&config.digest) {
            Ok(digest) => Platforms::InConfig(digest),
            Err(_) => Platforms::Unknown,
        },
        None => Platforms::Unknown,
    }
}

/// Reads the body of a config.
pub(crate) fn from_config(body: &[u8]) -> Vec<String> {
    let platform = serde_json::from_slice::<Platform>(body).ok();
    platform
        .and_then(|platform| platform.name())
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(names: &[&str]) -> Platforms {
        Platforms::Listed(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn index_platforms_are_unique_without_attestations() {
        let platform = |os: &str, architecture: &str, variant: Option<&str>| json!({ "digest": "…", "platform": { "os": os, "architecture": architecture, "variant": variant } });
        let index = json!({ "manifests": [
            platform("linux", "arm64", Some("v8")),
            platform("linux", "amd64", None),
            platform("windows", "amd64", None),
            platform("linux", "amd64", None),
            platform("unknown", "unknown", None),
            { "digest": "…" },
        ] });
        assert_eq!(
            from_manifest(index.to_string().as_bytes()),
            listed(&["linux/amd64", "linux/arm64/v8", "windows/amd64"])
        );
    }

    #[test]
    fn manifest_points_to_its_config() {
        let digest = Digest::of(b"config");
        let manifest = json!({ "config": { "digest": digest.to_string() }, "layers": [] });
        assert_eq!(
            from_manifest(manifest.to_string().as_bytes()),
            Platforms::InConfig(digest)
        );
        let config = json!({ "os": "linux", "architecture": "arm", "variant": "v7", "rootfs": {} });
        assert_eq!(from_config(config.to_string().as_bytes()), ["linux/arm/v7"]);
    }

    #[test]
    fn other_json_has_no_platforms() {
        let odd = json!({ "os": "li nux", "architecture": "amd64" });
        assert_eq!(
            from_config(odd.to_string().as_bytes()),
            Vec::<String>::new()
        );
        assert_eq!(from_config(b"[]"), Vec::<String>::new());
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"manifests":{}}"#,
            r#"{"config":{"digest":"x"}}"#,
        ] {
            assert_eq!(from_manifest(body.as_bytes()), Platforms::Unknown, "{body}");
        }
    }

    #[test]
    fn number_of_platforms_is_bounded() {
        let entries: Vec<_> = (0..10_000)
            .map(|i| json!({ "platform": { "os": "linux", "architecture": format!("a{i}") } }))
            .collect();
        let index = json!({ "manifests": entries });
        match from_manifest(index.to_string().as_bytes()) {
            Platforms::Listed(platforms) => assert_eq!(platforms.len(), PLATFORMS_MAX),
            other => panic!("{other:?}"),
        }
    }
}
