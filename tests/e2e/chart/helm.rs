//! Runs Helm, and uninstalls the releases when a test ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dockercoins_operator::api::{self, DockerCoins};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams};
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::kubectl::Said;
use crate::support::{until, variable};

/// The chart.
pub const CHART: &str = "charts/dockercoins-operator";

/// An image that no test pulls.
pub const IMAGE: &str = "image.repository=registry.example.com/me/dockercoins-operator";

/// Runs Helm with the cluster that the environment names.
pub fn helm(arguments: &[&str]) -> Said {
    said(Command::new(variable("HELM")).args(arguments))
}

/// Runs Helm, which must succeed, and gives what it printed.
pub fn helm_ok(arguments: &[&str]) -> String {
    let said = helm(arguments);
    assert!(said.success, "helm {arguments:?}: {}", said.err);
    said.out
}

/// Runs Helm, which must refuse, and gives what it says of why.
pub fn refused(arguments: &[&str]) -> String {
    let said = helm(arguments);
    assert!(!said.success, "helm {arguments:?} did it:\n{}", said.out);
    said.err
}

/// What a program said.
pub fn said(command: &mut Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Said {
        success: status.success(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A release, which is uninstalled when this is dropped.
pub struct Release {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

impl Release {
    /// One that is not installed yet.
    pub fn new(name: &str, namespace: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    /// The arguments of `helm VERB` for this release and the chart at a path.
    pub fn arguments<'a>(
        &'a self,
        verb: &'a str,
        chart: &'a str,
        more: &[&'a str],
    ) -> Vec<&'a str> {
        let mut arguments = vec![verb, &self.name, chart, "--namespace", &self.namespace];
        arguments.extend(more);
        arguments
    }

    /// Does something with the chart and an image that is not pulled; it must succeed.
    pub fn ok(&self, verb: &str, more: &[&str]) -> String {
        self.chart_ok(verb, CHART, more)
    }

    /// Does something with a chart of a test's own; it must succeed.
    pub fn chart_ok(&self, verb: &str, chart: &str, more: &[&str]) -> String {
        let more = [&["--set", IMAGE], more].concat();
        helm_ok(&self.arguments(verb, chart, &more))
    }

    /// Does something with the chart that must be refused, and gives what is said of why, without what Helm puts
    /// before and after it.
    pub fn refused(&self, verb: &str, more: &[&str]) -> String {
        let more = [&["--set", IMAGE], more].concat();
        let said = refused(&self.arguments(verb, CHART, &more));
        words(&said)
    }

    /// `helm VERB RELEASE`, which must succeed.
    pub fn manage(&self, verb: &str, more: &[&str]) -> String {
        let mut arguments = vec![verb, &self.name, "--namespace", &self.namespace];
        arguments.extend(more);
        helm_ok(&arguments)
    }

    /// Its state, such as `deployed`.
    pub fn state(&self) -> String {
        let status = self.manage("status", &["--output", "json"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        status["info"]["status"].as_str().unwrap().to_owned()
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        // It may never have been installed, or be gone.
        let Self { name, namespace } = self;
        helm(&[
            "uninstall",
            name,
            "--namespace",
            namespace,
            "--ignore-not-found",
        ]);
    }
}

/// What a template says when it refuses.
pub fn words(said: &str) -> String {
    let after = said.split_once("templates/deployment.yaml:1:4): ");
    let after = after.map_or(said, |(_, after)| after);
    let words = after.split("\nUse --debug flag").next();
    words.unwrap_or_default().trim().to_owned()
}

/// The chart with another CRD, in a folder of its own.
pub struct OtherChart {
    folder: TempDir,
}

impl OtherChart {
    /// The chart with the CRD as `edit` makes it.
    pub fn with_crd(edit: impl FnOnce(&mut Value)) -> Self {
        let folder = TempDir::new().unwrap();
        copy(Path::new(CHART), folder.path());
        let mut crd = serde_json::to_value(api::crd()).unwrap();
        edit(&mut crd);
        // A comment before it, as in the chart's own.
        let text = format!(
            "# A CRD of a test's.\n{}",
            serde_saphyr::to_string(&crd).unwrap()
        );
        std::fs::write(folder.path().join("files/crd.yaml"), text).unwrap();
        Self { folder }
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Takes a field out of a CRD's schema, by its path in the resource, such as `spec/suspend`.
pub fn without_field(crd: &mut Value, path: &str) {
    let mut schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let (parents, field) = path.rsplit_once('/').unwrap();
    for step in parents.split('/') {
        schema = match step {
            "[]" => &mut schema["items"],
            name => &mut schema["properties"][name],
        };
    }
    let removed = schema["properties"].as_object_mut().unwrap().remove(field);
    assert!(removed.is_some(), "the CRD has no {path}");
}

/// Takes the CRD out of the cluster, and with it whatever of it is left from other tests.
pub async fn no_crd(client: &Client) {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = api::crd().name_any();
    until("the CRD is gone", async || {
        match crds.delete(&name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Err("it is going".to_owned()),
        }
    })
    .await;
}

/// The CRD in the cluster.
pub async fn crd(client: &Client) -> CustomResourceDefinition {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    crds.get(&api::crd().name_any()).await.unwrap()
}

/// Waits until the cluster serves DockerCoins.
pub async fn until_served(client: &Client) {
    let coins: Api<DockerCoins> = Api::all(client.clone());
    until("DockerCoins are served", async || {
        coins.list(&ListParams::default().limit(1)).await.map(drop)
    })
    .await;
}
