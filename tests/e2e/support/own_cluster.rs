//! A test's own cluster, for tests that change the CRD.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::process::Command;

use super::rights::{Permission, RELEASE, Rights};
use super::variable;

/// A cluster without a node, which ends when this is dropped.
pub struct OwnCluster {
    name: String,
}

impl OwnCluster {
    /// Starts one.
    pub async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("own-{}-{number}", std::process::id());
        let cluster = Self { name };
        let up = Command::new(program("up"))
            .args(["--name", &cluster.name, "--no-node"])
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert!(
            up.status.success(),
            "{}",
            String::from_utf8_lossy(&up.stderr)
        );
        cluster
    }

    /// Its administrator's kubeconfig.
    pub fn kubeconfig(&self) -> String {
        format!(
            "{}/.local/{}/kubeconfig",
            env!("CARGO_MANIFEST_DIR"),
            self.name
        )
    }

    /// The kubeconfig of an operator by the chart's roles, but for this permission.
    pub fn account(&self, lacks: Option<&str>) -> String {
        let mut rights = Rights::of_chart(&[]);
        // For replicas, of which there is one.
        rights.within.remove(RELEASE);
        let is_granted = |permission: &Permission| Some(permission.to_string().as_str()) != lacks;
        rights.everywhere.retain(is_granted);
        let account = rights.grant(&self.kubeconfig(), "default");
        account.to_str().unwrap().to_owned()
    }

    /// A client of its administrator's.
    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        Client::try_from(config).unwrap()
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        // What the operator did here counts too, for whoever compares it with its role.
        let log = Path::new(&self.kubeconfig()).with_file_name("log/audit.log");
        let name = format!("audit-of-{}.log", self.name);
        let kept = Path::new(&variable("AUDIT_LOG")).with_file_name(name);
        if let Err(error) = std::fs::copy(&log, kept) {
            eprintln!("{} could not be kept: {error}", log.display());
        }
        let down = std::process::Command::new(program("down"))
            .args(["--name", &self.name])
            .output();
        if !down.is_ok_and(|output| output.status.success()) {
            eprintln!("the cluster {} could not be ended", self.name);
        }
        let folder = PathBuf::from(self.kubeconfig());
        std::fs::remove_dir_all(folder.parent().expect("a file is in a folder")).ok();
    }
}

fn program(name: &str) -> String {
    format!("{}/local/{name}", env!("CARGO_MANIFEST_DIR"))
}
