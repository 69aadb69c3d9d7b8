//! For which platforms there is an image: what an index, a manifest and an image's configuration say. Pure.
//!
//! Names are as Docker writes them: `linux/amd64`, `linux/arm/v7`. What no node could run, such as the
//! attestations that build tools put beside images as `unknown/unknown`, is left out.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::names::Digest;

/// The most platforms that are believed of one index.
const PLATFORMS_MAX: usize = 64;

/// The longest name that is believed, in bytes.
const NAME_MAX: usize = 128;

/// What a manifest says of its platforms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Platforms {
    /// It is an index, and these are what it has images for.
    Listed(Vec<String>),
    /// It is one image's, whose configuration says it: the digest of that.
    InConfig(Digest),
    /// It doesn't say.
    Unknown,
}

/// An index, or one image's manifest.
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

/// A platform, in an index or as an image's configuration has it.
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

/// What the body of a manifest says.
pub(crate) fn of_manifest(body: &[u8]) -> Platforms {
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

/// What the body of an image's configuration says.
pub(crate) fn of_config(body: &[u8]) -> Vec<String> {
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
    fn an_index_names_its_platforms_once_each_and_attestations_are_none() {
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
            of_manifest(index.to_string().as_bytes()),
            listed(&["linux/amd64", "linux/arm64/v8", "windows/amd64"])
        );
    }

    #[test]
    fn an_image_s_own_manifest_points_to_its_configuration() {
        let digest = Digest::of(b"config");
        let manifest = json!({ "config": { "digest": digest.to_string() }, "layers": [] });
        assert_eq!(
            of_manifest(manifest.to_string().as_bytes()),
            Platforms::InConfig(digest)
        );
        let config = json!({ "os": "linux", "architecture": "arm", "variant": "v7", "rootfs": {} });
        assert_eq!(of_config(config.to_string().as_bytes()), ["linux/arm/v7"]);
    }

    #[test]
    fn what_is_no_manifest_says_nothing() {
        let odd = json!({ "os": "li nux", "architecture": "amd64" });
        assert_eq!(of_config(odd.to_string().as_bytes()), Vec::<String>::new());
        assert_eq!(of_config(b"[]"), Vec::<String>::new());
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"manifests":{}}"#,
            r#"{"config":{"digest":"x"}}"#,
        ] {
            assert_eq!(of_manifest(body.as_bytes()), Platforms::Unknown, "{body}");
        }
    }

    #[test]
    fn of_ten_thousand_platforms_only_some_are_believed() {
        let entries: Vec<_> = (0..10_000)
            .map(|i| json!({ "platform": { "os": "linux", "architecture": format!("a{i}") } }))
            .collect();
        let index = json!({ "manifests": entries });
        match of_manifest(index.to_string().as_bytes()) {
            Platforms::Listed(platforms) => assert_eq!(platforms.len(), PLATFORMS_MAX),
            other => panic!("{other:?}"),
        }
    }
}
