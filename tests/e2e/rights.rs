//! Compares the operator's role with the requests that operators sent.
//!
//! This runs last: the audit log of the API server then holds the requests of all tests, by the operator's user agent.
//! A request without a permission in the chart's role fails the test. So does a permission without a request, unless
//! `docs/security.md` gives the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value;

use crate::support::rights::{Permission, Rights};
use crate::support::variable;

/// The program of these tests; the tests themselves have other user agents.
const OPERATOR: &str = "dockercoins-operator/";

/// How many files of the audit log the API server keeps beside the one that it writes. Has it that many, some may be
/// gone.
const KEPT: usize = 9;

/// How the page on security begins the reason for a permission that no request shows.
const NO_REQUEST: &str = "*No request shows it.*";

/// What operators asked the API server for, each with one request as an example; and the paths that are no resources.
fn used() -> (BTreeMap<Permission, Value>, BTreeSet<String>) {
    let log = variable("AUDIT_LOG");
    let folder = Path::new(&log).parent().expect("a log is in a folder");
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let named = |path: &Path, start: &str| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(start)
    };
    let logs: Vec<_> = files.filter(|path| named(path, "audit")).collect();
    let rotated = logs.iter().filter(|path| named(path, "audit-2")).count();
    assert!(
        rotated < KEPT,
        "the audit log has outgrown what is kept of it: raise --audit-log-maxbackup"
    );
    let (mut used, mut paths) = (BTreeMap::new(), BTreeSet::new());
    for line in logs
        .iter()
        .flat_map(|log| BufReader::new(File::open(log).unwrap()).lines())
    {
        let line = line.unwrap();
        // Far cheaper than reading the JSON of every line; and the last one may be half written.
        if !line.contains(OPERATOR) {
            continue;
        }
        let Ok(request) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if !text(&request["userAgent"]).starts_with(OPERATOR) {
            continue;
        }
        let about = &request["objectRef"];
        if about.is_null() {
            paths.insert(text(&request["requestURI"]));
            continue;
        }
        let part = about["subresource"].as_str().map(|part| format!("/{part}"));
        let permission = |verb: &str| Permission {
            group: text(&about["apiGroup"]),
            resource: format!(
                "{}{}",
                text(&about["resource"]),
                part.clone().unwrap_or_default()
            ),
            verb: verb.to_owned(),
            object: about["name"].as_str().map(ToOwned::to_owned),
        };
        let mut verbs = vec![text(&request["verb"])];
        // Server-side apply is a patch, and a creation where nothing is there.
        if verbs[0] == "patch" && request["responseStatus"]["code"] == 201 {
            verbs.push("create".to_owned());
        }
        for verb in verbs {
            used.entry(permission(&verb))
                .or_insert_with(|| request.clone());
        }
    }
    (used, paths)
}

fn allows(permission: &Permission, used: &Permission) -> bool {
    let Permission {
        group,
        resource,
        verb,
        object,
    } = permission;
    (group, resource, verb) == (&used.group, &used.resource, &used.verb)
        && (object.is_none() || *object == used.object || verb == "create")
}

/// The rules that the page on security explains, each with whether a request shows it.
fn explained() -> BTreeMap<String, bool> {
    let page = std::fs::read_to_string("docs/security.md").unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut explained = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [resources, verbs, why] = cells[..] else {
            panic!("three cells, in {row}");
        };
        for resource in resources.split(", ").map(|it| it.trim_matches('`')) {
            for verb in verbs.split(", ") {
                let is_shown = !why.starts_with(NO_REQUEST);
                let before = explained.insert(format!("{verb} {resource}"), is_shown);
                assert_eq!(before, None, "{verb} {resource} is explained once");
            }
        }
    }
    explained
}

/// What the chart's roles allow, without the names of single objects.
fn allowed() -> BTreeSet<String> {
    let all = Rights::of_chart(&[]).all();
    let unnamed = all.into_iter().map(|permission| Permission {
        object: None,
        ..permission
    });
    unnamed.map(|permission| permission.to_string()).collect()
}

#[test]
#[ignore = "needs helm: make test"]
fn security_page_explains_every_permission() {
    let explained: BTreeSet<String> = explained().into_keys().collect();
    assert_eq!(explained, allowed());
}

#[test]
#[ignore = "needs helm: make test"]
fn no_permission_is_a_wildcard() {
    for values in [&[][..], &["watchNamespaces={a,b}"]] {
        for permission in Rights::of_chart(values).all() {
            let has_star = permission.to_string().contains('*');
            assert!(!has_star, "{permission}");
            assert!(
                permission.object.is_none() || permission.resource == "leases",
                "{permission}"
            );
        }
    }
}

#[test]
#[ignore = "needs helm: make test"]
fn watch_namespaces_narrow_the_role() {
    let everywhere = Rights::of_chart(&[]);
    let within = Rights::of_chart(&["watchNamespaces={a,b}"]);
    let release = crate::support::rights::RELEASE;
    let mut rest = everywhere.everywhere.clone();
    rest.retain(|permission| permission.resource != "nodes");
    assert_eq!(within.within["a"], rest);
    assert_eq!(within.within["b"], rest);
    assert_eq!(within.within.get(release), everywhere.within.get(release));
    let nodes: Vec<String> = within.everywhere.iter().map(ToString::to_string).collect();
    assert_eq!(nodes, ["list nodes"]);
    let without_nodes = Rights::of_chart(&["watchNamespaces={a,b}", "rbac.nodes=false"]);
    assert_eq!(without_nodes.everywhere, BTreeSet::new());
}

#[test]
#[ignore = "needs what all other tests leave in the audit log: make test"]
fn role_allows_exactly_what_was_used() {
    let (used, paths) = used();
    let role = Rights::of_chart(&[]).all();
    let missing: BTreeMap<String, &Value> = used
        .iter()
        .filter(|(used, _)| !role.iter().any(|permission| allows(permission, used)))
        .map(|(used, example)| (used.to_string(), example))
        .collect();
    assert!(
        missing.is_empty(),
        "the chart's role does not allow what was used: {missing:#?}"
    );

    let unused: BTreeSet<String> = role
        .iter()
        .filter(|permission| !used.keys().any(|used| allows(permission, used)))
        .map(|permission| {
            Permission {
                object: None,
                ..permission.clone()
            }
            .to_string()
        })
        .collect();
    let excused = explained().into_iter().filter(|(_, is_shown)| !is_shown);
    let excused: BTreeSet<String> = excused.map(|(permission, _)| permission).collect();
    assert_eq!(
        unused, excused,
        "what the role allows and was never used, and what is excused in docs/security.md"
    );

    // Every account may read these, by Kubernetes' own roles system:public-info-viewer and system:discovery.
    let is_public = |path: &String| {
        ["/version", "/openapi/"]
            .iter()
            .any(|public| path.starts_with(public))
    };
    let others: Vec<&String> = paths.iter().filter(|path| !is_public(path)).collect();
    assert_eq!(others, Vec::<&String>::new());
}
