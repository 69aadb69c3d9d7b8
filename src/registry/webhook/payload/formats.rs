//! The notification formats of the registries. Pure.
//!
//! Each parser returns `None` for other formats, and an empty list for events that are not pushes.

use http::Uri;
use resolver::Reference;
use serde_json::Value;

use super::{DOCKER_HUB, MAX_PUSHES, Push};

/// The pushes of one event. `kind` is the event type of the envelope, or empty.
pub(super) fn read(event: &Value, kind: &str) -> Vec<Push> {
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

/// The non-empty string at a JSON pointer.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|t| !t.is_empty())
}

/// CNCF distribution, whose events come in `events`, and Azure Container Registry, which sends them alone and
/// without `target.url`.
///
/// Two hosts are taken: `request.host`, which may be internal behind a proxy, and that of `target.url`, which is the
/// registry's configured name.
fn distribution(event: &Value) -> Option<Vec<Push>> {
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
    let named: Vec<Option<&str>> = match hosts {
        [None, None] => vec![None],
        hosts => hosts.into_iter().filter(Option::is_some).collect(),
    };
    let Some(repository) = text(target, "/repository") else {
        return Some(Vec::new());
    };
    // The manifests of an index are pushed by digest before the index is pushed by tag.
    let Some(tag) = text(target, "/tag") else {
        return Some(Vec::new());
    };
    Some(
        named
            .into_iter()
            .filter_map(|host| Push::named(host, repository, Some(tag)))
            .collect(),
    )
}

/// Pushed layers are ignored. Only manifests have tags.
fn is_manifest(target: &Value) -> bool {
    match text(target, "/mediaType") {
        Some(kind) => kind.contains(".manifest.") || kind.contains(".image.index."),
        None => {
            text(target, "/tag").is_some()
                || text(target, "/url").is_some_and(|url| url.contains("/manifests/"))
        }
    }
}

fn docker_hub(event: &Value) -> Option<Vec<Push>> {
    let push = event.get("push_data")?;
    let repository = text(event, "/repository/repo_name")?;
    let pushed = Push::named(Some(DOCKER_HUB), repository, text(push, "/tag"));
    Some(pushed.into_iter().collect())
}

/// `updated_tags` is an array; older versions send an object of tags and image ids. Builds and scans lack the field.
fn quay(event: &Value) -> Option<Vec<Push>> {
    let address = text(event, "/docker_url")?;
    let tags: Vec<&str> = match event.get("updated_tags") {
        Some(Value::Array(tags)) => tags
            .iter()
            .filter_map(Value::as_str)
            .take(MAX_PUSHES)
            .collect(),
        Some(Value::Object(tags)) => tags.keys().map(String::as_str).take(MAX_PUSHES).collect(),
        _ => return Some(Vec::new()),
    };
    let (host, repository) = address.split_once('/')?;
    Some(
        tags.into_iter()
            .filter_map(|tag| Push::named(Some(host), repository, Some(tag)))
            .collect(),
    )
}

/// Harbor's own format, and its data in a CloudEvent. A push without a tag has its digest where the tag would be.
fn harbor(event: &Value, kind: &str) -> Option<Vec<Push>> {
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
            .take(MAX_PUSHES)
            .filter_map(|resource| match text(resource, "/resource_url") {
                Some(address) => Push::located(address),
                None => Push::named(None, full_name?, text(resource, "/tag")),
            })
            .collect(),
    )
}

/// GitHub's packages of type `container`. Account names may have capitals, which the registry lowers.
fn github(event: &Value) -> Option<Vec<Push>> {
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
    // The host is ghcr.io, or that of an enterprise server.
    let address = text(package, "/package_version/package_url")
        .and_then(|url| Push::located(&url.to_ascii_lowercase()));
    let (host, repository) = match address {
        Some(Push {
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
    let pushed = Push::named(Some(&host), &repository, tag);
    Some(pushed.into_iter().collect())
}

/// Artifact Registry and Container Registry: `tag` and `digest` are whole references; `tag` is optional.
fn google(event: &Value) -> Option<Vec<Push>> {
    let names = [text(event, "/tag"), text(event, "/digest")];
    let action = text(event, "/action")?;
    if names == [None, None] {
        return None;
    }
    let pushed = match action {
        "INSERT" => names.into_iter().flatten().find_map(Push::located),
        _ => None,
    };
    Some(pushed.into_iter().collect())
}

/// ECR's host consists of account and region: see [ECR's endpoints][].
///
/// [ECR's endpoints]: https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
fn ecr(event: &Value) -> Option<Vec<Push>> {
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
    let pushed = Push::named(host.as_deref(), repository, text(detail, "/image-tag"));
    Some(pushed.into_iter().collect())
}

/// An image reference, for scripts. Without a tag it means any tag.
fn script(event: &Value) -> Option<Vec<Push>> {
    let image = text(event, "/image")?;
    let pushed = Reference::parse(image).ok().and_then(|reference| {
        Push::named(
            Some(reference.host()),
            reference.repository(),
            reference.tag(),
        )
    });
    Some(pushed.into_iter().collect())
}
