//! Reads DockerCoins manifests.
//!
//! Unknown fields and other kinds are errors; `status` and server-set metadata are dropped. CEL rules need an API server
//! and are not checked; [`crate::dockercoins::desired`] validates the rest.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use crate::api::{DockerCoins, DockerCoinsSpec, Known};

/// Reads the resources of YAML documents or JSON, in order. Empty documents are skipped.
///
/// # Errors
/// Every fault, with its document and field, or its line and column.
pub fn read(text: &str) -> Result<Vec<DockerCoins>, Vec<String>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| vec![placed(&error)])?;
    let written = || documents.iter().filter(|document| !document.is_null());
    if written().next().is_none() {
        return Err(vec![
            "there is no DockerCoins in it: write one, as in examples/dockercoins.yaml".to_owned(),
        ]);
    }
    let known = Known::default();
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    for (i, document) in written().enumerate() {
        match coins(document, &known) {
            Ok(coins) => all.push(coins),
            Err(found) => {
                let of_many = |fault| match written().nth(1) {
                    Some(_) => format!("document {}: {fault}", i + 1),
                    None => fault,
                };
                faults.extend(found.into_iter().map(of_many));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(all),
        false => Err(faults),
    }
}

/// Sets each resource's namespace: its own, else `asked`, else `default`.
///
/// # Errors
/// If a resource names another namespace than `asked`, as in kubectl, or if two resources share a namespace.
pub fn place(
    all: &mut [DockerCoins],
    asked: Option<&str>,
    default: Option<&str>,
) -> Result<(), Vec<String>> {
    let mut faults = Vec::new();
    let mut taken: BTreeMap<Option<String>, String> = BTreeMap::new();
    for coins in all {
        let name = coins.name_any();
        let named = coins.namespace();
        if let (Some(named), Some(asked)) = (&named, asked)
            && named != asked
        {
            faults.push(format!(
                "DockerCoins {name} is for the namespace {named}, and --namespace is {asked}: leave one of them out, or write the same"
            ));
        }
        let namespace = named.or(asked.or(default).map(str::to_owned));
        coins.metadata.namespace.clone_from(&namespace);
        if let Some(other) = taken.get(&namespace) {
            let of = namespace.map(|namespace| format!(" {namespace}"));
            faults.push(format!(
                "DockerCoins {other} and {name} are for the same namespace{}, in which one fits, since the worker looks for rng, hasher and redis by these names: write a metadata.namespace of its own into each",
                of.unwrap_or_default()
            ));
        } else {
            taken.insert(namespace, name);
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults),
    }
}

/// Reads one document.
fn coins(document: &Value, known: &Known) -> Result<DockerCoins, Vec<String>> {
    let (api_version, kind) = (DockerCoins::api_version(&()), DockerCoins::kind(&()));
    let text = |field: &str| document[field].as_str().unwrap_or_default();
    if (text("apiVersion"), text("kind")) != (&*api_version, &*kind) {
        let what = match (document.is_object(), text("kind"), text("apiVersion")) {
            (false, ..) => "no object".to_owned(),
            (true, "", _) => "an object without a kind".to_owned(),
            (true, kind, "") => format!("a {kind} without an apiVersion"),
            (true, kind, version) => format!("a {kind} of {version}"),
        };
        return Err(vec![format!(
            "it is {what}, and only a {kind} of {api_version} can be read from here: take it out of the file"
        )]);
    }
    let unknown = unknown(document, known);
    if !unknown.is_empty() {
        let told = |field| format!("{field}: there is no such field: see `kubectl explain coins`");
        return Err(unknown.into_iter().map(told).collect());
    }
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.remove("status");
    }
    // The API server drops nulls, too.
    without_nulls(&mut document);
    let Some(parts) = document["spec"].as_object() else {
        let told = "spec: it is no object: write the settings there, or {} for none";
        return Err(vec![told.to_owned()]);
    };
    // Each part by itself, so that an error says where it is.
    let wrong = parts.iter().filter_map(|(part, below)| {
        let alone = serde_json::from_value::<DockerCoinsSpec>(json!({ part: below }));
        Some(format!("spec.{part}: {}", alone.err()?))
    });
    let wrong: Vec<String> = wrong.collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut coins: DockerCoins =
        serde_json::from_value(document).map_err(|error| vec![error.to_string()])?;
    let written = std::mem::take(&mut coins.metadata);
    if written.name.as_deref().unwrap_or_default().is_empty() {
        return Err(vec![
            "metadata.name: it has none: write one, such as dockercoins".to_owned(),
        ]);
    }
    coins.metadata = ObjectMeta {
        name: written.name,
        namespace: written.namespace.filter(|name| !name.is_empty()),
        labels: written.labels,
        annotations: written.annotations,
        ..ObjectMeta::default()
    };
    Ok(coins)
}

/// The unknown fields of the resource and of its metadata.
fn unknown(document: &Value, known: &Known) -> BTreeSet<String> {
    let mut unknown = known.unknown_in(document);
    let metadata = &document["metadata"];
    if let Ok(read) = serde_json::from_value::<ObjectMeta>(metadata.clone()) {
        let read = serde_json::to_value(read).expect("metadata is JSON");
        let fields = metadata.as_object().into_iter().flatten();
        let lost = fields.filter(|(field, value)| !value.is_null() && read.get(field).is_none());
        unknown.extend(lost.map(|(field, _)| format!("metadata.{field}")));
    }
    unknown
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// The parser's message, with line and column.
fn placed(error: &serde_saphyr::Error) -> String {
    let said = error
        .without_snippet()
        .render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let said = said.lines().next().unwrap_or_default();
    let Some(at) = error.location() else {
        return said.to_owned();
    };
    let at = format!("line {}, column {}", at.line(), at.column());
    let said = said.strip_suffix(&format!(" at {at}")).unwrap_or(said);
    format!("{at}: {said}")
}

#[cfg(test)]
mod tests;
