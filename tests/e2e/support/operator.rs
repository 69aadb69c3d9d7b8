//! The operator as a process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Namespace, rights, until};

/// A running operator, which is killed when this is dropped. Its log is printed if the test fails.
pub struct Operator {
    process: Child,
    log: PathBuf,
}

impl Operator {
    /// Starts one for a namespace. It may ask registries on this machine.
    pub fn start(namespace: &Namespace) -> Self {
        Self::start_with(&[namespace], &["--allow-registry-network", "127.0.0.0/8"])
    }

    /// Starts one for some namespaces, with these options. It may do what the chart lets it do, and nothing else.
    pub fn start_with(namespaces: &[&Namespace], options: &[&str]) -> Self {
        Self::start_as(rights::suite(), namespaces, options)
    }

    /// Starts one for some namespaces, as whoever this kubeconfig says, with these options.
    pub fn start_as(kubeconfig: &Path, namespaces: &[&Namespace], options: &[&str]) -> Self {
        let kubeconfig = kubeconfig.to_str().unwrap();
        Self::start_in(&[("KUBECONFIG", kubeconfig)], namespaces, options)
    }

    /// Starts one for all namespaces of another cluster.
    pub fn start_at(kubeconfig: &str) -> Self {
        let options = ["--allow-registry-network", "127.0.0.0/8"];
        Self::start_as(Path::new(kubeconfig), &[], &options)
    }

    /// Starts one with these variables in its environment, such as the kubeconfig that it goes by.
    pub fn start_in(
        variables: &[(&str, &str)],
        namespaces: &[&Namespace],
        options: &[&str],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockercoins-operator"));
        command.args([
            "run",
            "--log-format",
            "text",
            "--log-level",
            "info,dockercoins_operator=debug",
        ]);
        for namespace in namespaces {
            command.args(["--namespace", &namespace.name]);
        }
        command.env("KUBECONFIG", rights::suite());
        Self::spawn(command.args(options).envs(variables.iter().copied()))
    }

    /// Starts one of several replicas for a namespace: as a pod of this name, by this kubeconfig, with these options.
    pub fn start_replica(
        namespace: &Namespace,
        pod: &str,
        kubeconfig: &Path,
        options: &[&str],
    ) -> Self {
        let usual = [
            "--allow-registry-network",
            "127.0.0.0/8",
            "--leader-elect",
            "--lease-namespace",
            &namespace.name,
        ];
        let variables = [
            ("KUBECONFIG", kubeconfig.to_str().unwrap()),
            ("POD_NAME", pod),
        ];
        Self::start_in(&variables, &[namespace], &[&usual, options].concat())
    }

    /// Starts one by a command that becomes it.
    pub fn spawn(command: &mut Command) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let log = folder.join(format!("operator-{}-{number}.log", std::process::id()));
        let process = command
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { process, log }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has logged something.
    pub async fn until_logged(&self, text: &str) {
        until(&format!("the operator logs {text:?}"), async || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(log) }
        })
        .await;
    }

    /// Sends SIGTERM and waits for its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.end().await
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let signal = format!("-{name}");
        let sent = Command::new("kill").args([&signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it ends by itself.
    pub async fn end(&mut self) -> ExitStatus {
        until("the operator has ended", async || {
            self.process.try_wait().unwrap().ok_or("it runs")
        })
        .await
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        self.process.kill().ok();
        self.process.wait().ok();
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        if std::thread::panicking() {
            eprintln!("the operator's log:\n{log}");
        }
        std::fs::remove_file(&self.log).ok();
        if !std::thread::panicking() {
            assert!(
                !log.contains("panicked at"),
                "the operator panicked:\n{log}"
            );
        }
    }
}
