//! The permissions of the chart's role, and accounts that have exactly these.
//!
//! Every operator of the tests runs as such an account, so every test also tests the role.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{kubectl, variable};

/// The name of all that makes up an account.
const ACCOUNT: &str = "operator-under-test";

/// A permission: one verb on one kind of resource, or of one object by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Such as `apps`; empty for the core.
    pub group: String,
    /// Such as `deployments`, or `dockercoins/status`.
    pub resource: String,
    /// Such as `list`.
    pub verb: String,
    /// The one object that it is for; none is all of them.
    pub object: Option<String>,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            resource,
            verb,
            object,
        } = self;
        write!(f, "{verb} {resource}")?;
        if !group.is_empty() {
            write!(f, ".{group}")?;
        }
        match object {
            Some(object) => write!(f, " {object}"),
            None => Ok(()),
        }
    }
}

/// What someone may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// In the whole cluster.
    pub everywhere: BTreeSet<Permission>,
    /// In some namespaces.
    pub within: BTreeMap<String, BTreeSet<Permission>>,
}

/// The namespace into which the chart is rendered.
pub const RELEASE: &str = "release";

/// What `helm template` makes of the chart with these values.
pub fn rendered(values: &[&str]) -> Vec<Value> {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/dockercoins-operator");
    let helm = std::env::var_os("HELM").unwrap_or_else(|| "helm".into());
    let output = Command::new(helm)
        .args([
            "template",
            "dockercoins-operator",
            chart,
            "--namespace",
            RELEASE,
        ])
        .args(["--set", "image.repository=registry.example.com/operator"])
        .args(["--set", "crds.enabled=false"])
        .args(values.iter().flat_map(|value| ["--set", value]))
        .output()
        .expect("HELM names helm: run these tests by `make test`");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("\n---\n")
        .map(|document| serde_saphyr::from_str::<Value>(document).expect(document))
        .filter(|document| !document.is_null())
        .collect()
}

impl Rights {
    /// What the chart, with these values, lets the operator do.
    pub fn of_chart(values: &[&str]) -> Self {
        let objects = rendered(values);
        let find = |kind: &Value, name: &Value, namespace: &Value| {
            let is = |object: &&Value| {
                let meta = &object["metadata"];
                (&object["kind"], &meta["name"]) == (kind, name)
                    && (kind == "ClusterRole" || &meta["namespace"] == namespace)
            };
            objects.iter().find(is).expect("a binding binds a role")
        };
        let accounts: Vec<&Value> = objects
            .iter()
            .filter(|object| object["kind"] == "ServiceAccount")
            .map(|account| &account["metadata"]["name"])
            .collect();
        let mut rights = Self::default();
        for binding in &objects {
            let is_binding =
                ["ClusterRoleBinding", "RoleBinding"].map(|kind| binding["kind"] == kind);
            let subjects = binding["subjects"].as_array().into_iter().flatten();
            let is_its = |subject: &Value| accounts.contains(&&subject["name"]);
            if !is_binding.contains(&true) || !subjects.clone().any(is_its) {
                continue;
            }
            let (role, namespace) = (&binding["roleRef"], &binding["metadata"]["namespace"]);
            let role = find(&role["kind"], &role["name"], namespace);
            let permissions = role["rules"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(permissions);
            match namespace.as_str() {
                Some(namespace) => rights
                    .within
                    .entry(namespace.to_owned())
                    .or_default()
                    .extend(permissions),
                None => rights.everywhere.extend(permissions),
            }
        }
        rights
    }

    /// All permissions, wherever they are for.
    pub fn all(&self) -> BTreeSet<Permission> {
        let within = self.within.values().flatten();
        self.everywhere.iter().chain(within).cloned().collect()
    }

    /// Lets the account of a namespace do this and nothing else, and gives a kubeconfig by which to act as it.
    ///
    /// `kubeconfig` is an administrator's, of the same cluster.
    pub fn grant(&self, kubeconfig: &str, home: &str) -> PathBuf {
        let uid = "-o=jsonpath={.metadata.uid}";
        let uid = run(kubeconfig, &["get", "namespace", home, uid], "");
        let subject = json!([{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": home }]);
        // What belongs to no namespace goes with this one.
        let owner = json!([{ "apiVersion": "v1", "kind": "Namespace", "name": home, "uid": uid }]);
        let clusterwide = json!({ "name": format!("{ACCOUNT}-{home}"), "ownerReferences": owner });
        let account = json!({ "name": ACCOUNT, "namespace": home });
        let mut objects =
            vec![json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": account })];
        objects.extend(role(
            "ClusterRole",
            &clusterwide,
            &subject,
            &self.everywhere,
        ));
        for (namespace, permissions) in &self.within {
            let meta = json!({ "name": format!("{ACCOUNT}-of-{home}"), "namespace": namespace });
            objects.extend(role("Role", &meta, &subject, permissions));
        }
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename=-",
        ];
        run(kubeconfig, &apply, &list);
        let create = [
            "create",
            "token",
            ACCOUNT,
            "--namespace",
            home,
            "--duration=24h",
        ];
        let token = run(kubeconfig, &create, "");
        let view = [
            "config",
            "view",
            "--raw",
            "--flatten",
            "--minify",
            "--output=json",
        ];
        let mut config: Value = serde_json::from_str(&run(kubeconfig, &view, "")).unwrap();
        config["users"][0]["user"] = json!({ "token": token });
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Clusters of tests' own have the same home, and are used side by side.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = folder.join(format!("kubeconfig-{home}-{}-{number}", std::process::id()));
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }
}

/// The kubeconfig of an account that may do in the whole cluster what the chart's roles allow without further values.
pub fn suite() -> &'static Path {
    static SUITE: LazyLock<PathBuf> = LazyLock::new(|| {
        let kubeconfig = variable("KUBECONFIG");
        let home =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": RELEASE } });
        run(
            &kubeconfig,
            &["apply", "--server-side", "--filename=-"],
            &home.to_string(),
        );
        Rights::of_chart(&[]).grant(&kubeconfig, RELEASE)
    });
    &SUITE
}

/// What a rule allows, one by one.
fn permissions(rule: &Value) -> Vec<Permission> {
    let all = |field: &str| -> Vec<String> {
        let values = rule[field].as_array().into_iter().flatten();
        values
            .map(|value| value.as_str().unwrap().to_owned())
            .collect()
    };
    let objects = match all("resourceNames") {
        none if none.is_empty() => vec![None],
        some => some.into_iter().map(Some).collect(),
    };
    let mut found = Vec::new();
    for group in all("apiGroups") {
        for resource in all("resources") {
            for verb in all("verbs") {
                found.extend(objects.iter().map(|object| Permission {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                    object: object.clone(),
                }));
            }
        }
    }
    found
}

/// A role and its binding.
fn role(
    kind: &str,
    meta: &Value,
    subjects: &Value,
    permissions: &BTreeSet<Permission>,
) -> [Value; 2] {
    let rule = |permission: &Permission| {
        json!({
            "apiGroups": [permission.group],
            "resources": [permission.resource],
            "resourceNames": permission.object.iter().collect::<Vec<_>>(),
            "verbs": [permission.verb],
        })
    };
    let version = "rbac.authorization.k8s.io/v1";
    let reference =
        json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": meta["name"] });
    let rules: Vec<Value> = permissions.iter().map(rule).collect();
    [
        json!({ "apiVersion": version, "kind": kind, "metadata": meta, "rules": rules }),
        json!({
            "apiVersion": version,
            "kind": format!("{kind}Binding"),
            "metadata": meta,
            "roleRef": reference,
            "subjects": subjects,
        }),
    ]
}

/// Runs kubectl as the administrator, and gives what it printed. It must succeed.
fn run(kubeconfig: &str, arguments: &[&str], stdin: &str) -> String {
    let mut process = Command::new(kubectl::program())
        .args(["--kubeconfig", kubeconfig])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl is there");
    let mut input = process.stdin.take().expect("stdin is piped");
    // One that fails early doesn't read it.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let output = process.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
