//! What each registry calls a push. Pure.
//!
//! A dialect answers `None` for what is not its shape; what is, and says no push, is an empty answer.

use http::Uri;
use resolver::Reference;
use serde_json::Value;

use super::{DOCKER_HUB, PUSHED_MAX, Pushed};

/// What one event says was pushed. `kind` is the type that its envelope says, or empty.
pub(super) fn read(event: &Value, kind: &str) -> Vec<Pushed> {
    distribution(event)
        .or_else(|| docker_hub(event))
        .or_else(|| quay(event))
        .or_else(|| harbor(event, kind))
        .or_else(|| github(event))
        .or_else(|| google(event))
        .or_else(|| ecr(event))
        .or_else(|| script(event))
        .unwrap_or_default()
}

/// The text at a JSON pointer, if there is one that is not empty.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|t| !t.is_empty())
}

/// CNCF distribution, whose events come in `events`, and Azure Container Registry, which sends them alone and
/// without `target.url`.
///
/// The host is the one that the push went to. Behind a proxy that may be an inner one, while `target.url` is what
/// the registry was told to call itself: both are taken.
fn distribution(event: &Value) -> Option<Vec<Pushed>> {
    let target = event.get("target")?;
    let action = text(event, "/action")?;
    if action != "push" || !is_manifest(target) {
        return Some(Vec::new());
    }
    let url: Option<Uri> = text(target, "/url").and_then(|url| url.parse().ok());
    let hosts = [
        text(event, "/request/host"),
        url.as_ref().and_then(|url| Some(url.authority()?.as_str())),
    ];
    let told: Vec<Option<&str>> = match hosts {
        [None, None] => vec![None],
        hosts => hosts.into_iter().filter(Option::is_some).collect(),
    };
    let Some(repository) = text(target, "/repository") else {
        return Some(Vec::new());
    };
    // The images of an index are pushed by digest, one by one, before the index is, by its tag.
    let Some(tag) = text(target, "/tag") else {
        return Some(Vec::new());
    };
    Some(
        told.into_iter()
            .filter_map(|host| Pushed::named(host, repository, Some(tag)))
            .collect(),
    )
}

/// Layers are pushed, too, and mean nothing. A tag is only ever of a manifest.
fn is_manifest(target: &Value) -> bool {
    match text(target, "/mediaType") {
        Some(kind) => kind.contains(".manifest.") || kind.contains(".image.index."),
        None => {
            text(target, "/tag").is_some()
                || text(target, "/url").is_some_and(|url| url.contains("/manifests/"))
        }
    }
}

fn docker_hub(event: &Value) -> Option<Vec<Pushed>> {
    let push = event.get("push_data")?;
    let repository = text(event, "/repository/repo_name")?;
    let pushed = Pushed::named(Some(DOCKER_HUB), repository, text(push, "/tag"));
    Some(pushed.into_iter().collect())
}

/// The tags are an array, and were an object of tags and image ids once. Builds and scans have a `docker_url`,
/// too, and other fields for their tags.
fn quay(event: &Value) -> Option<Vec<Pushed>> {
    let address = text(event, "/docker_url")?;
    let tags: Vec<&str> = match event.get("updated_tags") {
        Some(Value::Array(tags)) => tags
            .iter()
            .filter_map(Value::as_str)
            .take(PUSHED_MAX)
            .collect(),
        Some(Value::Object(tags)) => tags.keys().map(String::as_str).take(PUSHED_MAX).collect(),
        _ => return Some(Vec::new()),
    };
    let (host, repository) = address.split_once('/')?;
    Some(
        tags.into_iter()
            .filter_map(|tag| Pushed::named(Some(host), repository, Some(tag)))
            .collect(),
    )
}

/// Harbor's own format, and its data in a CloudEvent. A push without a tag has its digest where the tag would be.
fn harbor(event: &Value, kind: &str) -> Option<Vec<Pushed>> {
    let data = match text(event, "/type") {
        Some("PUSH_ARTIFACT") => event.get("event_data")?,
        _ if kind == "harbor.artifact.pushed" => event,
        _ => return None,
    };
    let full_name = text(data, "/repository/repo_full_name");
    let resources = data.get("resources")?.as_array()?;
    Some(
        resources
            .iter()
            .take(PUSHED_MAX)
            .filter_map(|resource| match text(resource, "/resource_url") {
                Some(address) => Pushed::located(address),
                None => Pushed::named(None, full_name?, text(resource, "/tag")),
            })
            .collect(),
    )
}

/// GitHub's packages are of many kinds. Accounts may have capitals in their names, which images may not: the
/// registry lowers them.
fn github(event: &Value) -> Option<Vec<Pushed>> {
    let package = event
        .get("package")
        .or_else(|| event.get("registry_package"))
        .filter(|package| package.is_object())?;
    let is_container =
        text(package, "/package_type").is_some_and(|kind| kind.eq_ignore_ascii_case("container"));
    let is_push = matches!(text(event, "/action"), Some("published" | "updated"));
    if !is_container || !is_push {
        return Some(Vec::new());
    }
    let tag = text(package, "/package_version/container_metadata/tag/name");
    // Its host is GitHub's, or an enterprise's own.
    let address = text(package, "/package_version/package_url")
        .and_then(|url| Pushed::located(&url.to_ascii_lowercase()));
    let (host, repository) = match address {
        Some(Pushed {
            host: Some(host),
            repository,
            ..
        }) => (host, repository),
        _ => {
            let owner = text(package, "/owner/login").or_else(|| text(package, "/namespace"))?;
            let name = text(package, "/name")?;
            (
                "ghcr.io".to_owned(),
                format!("{owner}/{name}").to_ascii_lowercase(),
            )
        }
    };
    let pushed = Pushed::named(Some(&host), &repository, tag);
    Some(pushed.into_iter().collect())
}

/// Artifact Registry, and Container Registry before it: both names are whole references, and the tag's is missing
/// where none was set.
fn google(event: &Value) -> Option<Vec<Pushed>> {
    let names = [text(event, "/tag"), text(event, "/digest")];
    let action = text(event, "/action")?;
    if names == [None, None] {
        return None;
    }
    let pushed = match action {
        "INSERT" => names.into_iter().flatten().find_map(Pushed::located),
        _ => None,
    };
    Some(pushed.into_iter().collect())
}

/// ECR's host is made of account and region, as [ECR's endpoints][] have it.
///
/// [ECR's endpoints]: https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
fn ecr(event: &Value) -> Option<Vec<Pushed>> {
    if text(event, "/detail-type")? != "ECR Image Action" {
        return None;
    }
    let detail = event.get("detail")?;
    let is_push =
        text(detail, "/result") == Some("SUCCESS") && text(detail, "/action-type") == Some("PUSH");
    if !is_push {
        return Some(Vec::new());
    }
    let host = match (text(event, "/account"), text(event, "/region")) {
        (Some(account), Some(region)) => {
            let domain = match region.starts_with("cn-") {
                true => "amazonaws.com.cn",
                false => "amazonaws.com",
            };
            Some(format!("{account}.dkr.ecr.{region}.{domain}"))
        }
        _ => None,
    };
    let repository = text(detail, "/repository-name")?;
    let pushed = Pushed::named(host.as_deref(), repository, text(detail, "/image-tag"));
    Some(pushed.into_iter().collect())
}

/// A reference as people write it. One without a tag means any.
fn script(event: &Value) -> Option<Vec<Pushed>> {
    let image = text(event, "/image")?;
    let pushed = Reference::parse(image).ok().and_then(|reference| {
        Pushed::named(
            Some(reference.host()),
            reference.repository(),
            reference.tag(),
        )
    });
    Some(pushed.into_iter().collect())
}
