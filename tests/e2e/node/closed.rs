//! `networkPolicy.enabled`, tested by connections between pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;

use super::*;

/// Where a component listens.
const DOORS: [(&str, u16); 4] = [("hasher", 80), ("redis", 6379), ("rng", 80), ("webui", 80)];

/// Who knocks: a pod of this name, with this label `app`, here or in another namespace.
const CALLERS: [(&str, Option<&str>, bool); 7] = [
    ("a-hasher", Some("hasher"), true),
    ("a-redis", Some("redis"), true),
    ("a-rng", Some("rng"), true),
    ("a-webui", Some("webui"), true),
    ("a-worker", Some("worker"), true),
    ("a-stranger", None, true),
    ("a-worker-elsewhere", Some("worker"), false),
];

/// Who reaches which components.
type Reached = BTreeMap<&'static str, Vec<&'static str>>;

/// A pod that does nothing, until it is told to knock. It never gets ready, so that no Service counts it as its own.
fn caller(name: &str, app: Option<&str>) -> Value {
    let labels = app.map_or(json!({}), |app| json!({ "app": app }));
    json!({
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "caller",
                "image": format!("{}/library/redis:7", variable("REGISTRY")),
                "args": ["--port", "7777", "--save", ""],
                "readinessProbe": { "exec": { "command": ["/no-such-program"] } },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                    "runAsNonRoot": true,
                    "runAsUser": 999,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
            }],
        },
    })
}

/// Knocks at each door from each caller. Whoever is let in hears Redis, or an HTTP server that doesn't understand.
async fn reached(mine: &Mine, elsewhere: &Namespace) -> Result<Reached, String> {
    let mut knocks = Vec::new();
    for (component, port) in DOORS {
        let pods = mine.pods(component).await;
        let pod = pods
            .iter()
            .find(|pod| pod.meta().owner_references.is_some());
        let address = pod.unwrap().status.clone().unwrap().pod_ip.unwrap();
        knocks.push(format!(
            "echo {component} $(redis-cli -h {address} -p {port} ping 2>&1)"
        ));
    }
    let knocks = knocks.join("; ");
    let mut reached = Reached::new();
    for (caller, _, here) in CALLERS {
        let namespace = if here { &mine.namespace } else { elsewhere };
        let knocks = ["exec", caller, "--", "sh", "-c", &knocks];
        let said = namespace.try_kubectl(&knocks, "").await.ok()?;
        let mut open = Vec::new();
        for (component, _) in DOORS {
            let line = said.lines().find_map(|line| line.strip_prefix(component));
            match line.unwrap_or_default().trim() {
                "PONG" => open.push(component),
                line if line.contains("got \"H\"") => open.push(component),
                line if line.contains("Connection refused") => (),
                line => return Err(format!("{caller} at {component}: {line:?}")),
            }
        }
        reached.insert(caller, open);
    }
    Ok(reached)
}

async fn until_reached(mine: &Mine, elsewhere: &Namespace, what: &str, wanted: &Reached) {
    until(what, async || {
        let reached = reached(mine, elsewhere).await?;
        if reached == *wanted {
            return Ok(());
        }
        Err(format!("{reached:#?}"))
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a node: make test"]
async fn network_policies_admit_only_the_callers_they_name() {
    let add_on = tokio::process::Command::new("local/add-on")
        .args(["--name", &variable("INSTANCE"), "network-policies"])
        .output()
        .await
        .unwrap();
    assert!(add_on.status.success(), "{add_on:?}");
    let mine = Mine::open("closed", json!({ "worker": { "replicas": 1 } })).await;
    let elsewhere = Namespace::new("elsewhere").await;
    // No pod is let in before.
    elsewhere
        .until(
            "default",
            "it has an account for pods",
            |_: &ServiceAccount| true,
        )
        .await;
    for (name, app, here) in CALLERS {
        let namespace = if here { &mine.namespace } else { &elsewhere };
        namespace.make::<Pod>(caller(name, app)).await;
    }
    for (name, _, here) in CALLERS {
        let namespace = if here { &mine.namespace } else { &elsewhere };
        namespace
            .until(name, "a caller runs", |pod: &Pod| {
                pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running")
            })
            .await;
    }

    let everywhere = DOORS.map(|(component, _)| component).to_vec();
    let open = CALLERS.map(|(caller, ..)| (caller, everywhere.clone()));
    let open = Reached::from(open);
    until_reached(&mine, &elsewhere, "all doors are open", &open).await;

    mine.change(json!({ "networkPolicy": { "enabled": true } }))
        .await;
    let page_only = || vec!["webui"];
    let wanted = Reached::from([
        ("a-hasher", page_only()),
        ("a-redis", page_only()),
        ("a-rng", page_only()),
        ("a-stranger", page_only()),
        ("a-webui", vec!["redis", "webui"]),
        ("a-worker", everywhere.clone()),
        ("a-worker-elsewhere", page_only()),
    ]);
    until_reached(
        &mine,
        &elsewhere,
        "only those with business are let in",
        &wanted,
    )
    .await;
    // The kubelet's probes come from the node, and so does the API server.
    let coins = mine.more_coins_than(0).await.coins;
    mine.more_coins_than(coins).await;

    mine.change(json!({ "networkPolicy": null })).await;
    until_reached(&mine, &elsewhere, "the doors are open again", &open).await;
}
