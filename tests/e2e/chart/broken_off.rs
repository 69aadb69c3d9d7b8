//! Upgrades that are interrupted: the API server goes away, or a quota is full.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::json;
use tempfile::NamedTempFile;

use super::helm::{CHART, IMAGE, Release, helm, no_crd};
use crate::support::namespace::client;
use crate::support::{Namespace, until, variable};

/// What stands between Helm and the API server, and goes away after so many bytes of requests.
struct Gate {
    kubeconfig: NamedTempFile,
    passed: Arc<AtomicUsize>,
}

impl Gate {
    fn closing_after(bytes: usize) -> Self {
        let config = std::fs::read_to_string(variable("KUBECONFIG")).unwrap();
        let server = config
            .lines()
            .find_map(|line| line.trim().strip_prefix("server: https://"));
        let server = server.unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let kubeconfig = NamedTempFile::new().unwrap();
        std::fs::write(kubeconfig.path(), config.replace(&server, &here)).unwrap();
        let passed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&passed);
        std::thread::spawn(move || {
            let open = Arc::new(Mutex::new(Vec::new()));
            for stream in listener.incoming() {
                let (stream, count, open) =
                    (stream.unwrap(), Arc::clone(&count), Arc::clone(&open));
                if count.load(Ordering::Relaxed) > bytes {
                    continue;
                }
                let server = TcpStream::connect(&server).unwrap();
                let ends = [stream.try_clone().unwrap(), server.try_clone().unwrap()];
                open.lock().unwrap().extend(ends);
                let back = (server.try_clone().unwrap(), stream.try_clone().unwrap());
                std::thread::spawn(move || pass(back.0, back.1, |_| true));
                std::thread::spawn(move || {
                    pass(stream, server, |read| {
                        count.fetch_add(read, Ordering::Relaxed) + read <= bytes
                    });
                    if count.load(Ordering::Relaxed) > bytes {
                        for end in open.lock().unwrap().drain(..) {
                            end.shutdown(Shutdown::Both).ok();
                        }
                    }
                });
            }
        });
        Self { kubeconfig, passed }
    }
}

/// Passes bytes on, until there are none or `may` says no.
fn pass(mut from: TcpStream, mut to: TcpStream, mut may: impl FnMut(usize) -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || !may(read) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}

/// `helm upgrade` to so many resources at a time, by way of a kubeconfig.
fn upgrade(release: &Release, concurrency: &str, kubeconfig: &str) -> Result<(), String> {
    let set = format!("concurrency={concurrency}");
    let more = ["--set", IMAGE, "--set", &set, "--kubeconfig", kubeconfig];
    let said = helm(&release.arguments("upgrade", CHART, &more));
    if said.success { Ok(()) } else { Err(said.err) }
}

async fn has_concurrency(namespace: &Namespace, concurrency: &str) -> bool {
    let operator: Deployment = namespace.get("dockercoins-operator").await;
    let pod = operator.spec.template.spec.unwrap();
    let wanted = format!("--concurrency={concurrency}");
    pod.containers[0].args.as_ref().unwrap().contains(&wanted)
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn broken_upgrade_is_repaired_as_documented() {
    let client = client().await;
    no_crd(&client).await;
    let namespace = Namespace::of(client, "cut").await;
    let release = Release::new("dockercoins-operator", &namespace.name);
    release.ok("install", &[]);
    let straight = variable("KUBECONFIG");
    let whole = Gate::closing_after(usize::MAX);
    upgrade(&release, "9", whole.kubeconfig.path().to_str().unwrap()).unwrap();
    let bytes = whole.passed.load(Ordering::Relaxed);

    let mut broken_off = 0;
    let mut pending = 0;
    for eighth in 0..8 {
        let gate = Gate::closing_after(bytes * eighth / 8);
        let concurrency = (10 + eighth).to_string();
        let first = upgrade(
            &release,
            &concurrency,
            gate.kubeconfig.path().to_str().unwrap(),
        );
        let Err(told) = first else { continue };
        broken_off += 1;
        eprintln!("cut after {eighth}/8 of {bytes} bytes: {told}");
        if let Err(told) = upgrade(&release, &concurrency, &straight) {
            // What Helm says where it was to write last how it ended, and could not.
            assert!(told.contains("another operation"), "{told}");
            pending += 1;
            release.manage("rollback", &[]);
            upgrade(&release, &concurrency, &straight).unwrap();
        }
        assert_eq!(release.state(), "deployed");
        assert!(has_concurrency(&namespace, &concurrency).await);
    }
    eprintln!("{broken_off} of 8 broken off, {pending} of them pending");
    assert!(broken_off >= 4 && pending >= 1, "{broken_off}, {pending}");
}

#[tokio::test]
#[ignore = "needs a cluster: make test"]
async fn upgrade_without_room_changes_nothing() {
    let client = client().await;
    no_crd(&client).await;
    let namespace = Namespace::of(client, "full").await;
    let release = Release::new("dockercoins-operator", &namespace.name);
    release.ok("install", &[]);
    // Helm keeps each revision in a Secret.
    let quota = json!({ "metadata": { "name": "full" }, "spec": { "hard": { "secrets": "1" } } });
    namespace.make::<ResourceQuota>(quota).await;
    // What admission knows of a quota follows what is stored.
    let one_more = ["create", "secret", "generic", "more", "--dry-run=server"];
    until("no secret more is let in", async || {
        let told = namespace.try_kubectl(&one_more, "").await;
        match told.err.contains("exceeded quota: full") {
            true => Ok(()),
            false => Err(format!("{}{}", told.out, told.err)),
        }
    })
    .await;
    let straight = variable("KUBECONFIG");

    let told = upgrade(&release, "9", &straight).unwrap_err();
    assert!(told.contains("exceeded quota: full"), "{told}");
    assert_eq!(release.state(), "deployed");
    assert!(has_concurrency(&namespace, "8").await);

    namespace.delete::<ResourceQuota>("full").await;
    until("it is done", async || upgrade(&release, "9", &straight)).await;
    assert!(has_concurrency(&namespace, "9").await);
}
