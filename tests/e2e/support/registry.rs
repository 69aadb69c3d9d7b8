//! Registries and the images in them.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use resolver::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::namespace::merged;
use super::{COMPONENTS, until, variable};

/// The user that a registry with a login knows.
pub const USER: &str = "learner";
/// That user's password.
pub const PASSWORD: &str = "let-me-in";
/// Both, as they stand in a request's Authorization.
const BASIC: &str = "Basic bGVhcm5lcjpsZXQtbWUtaW4=";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A registry on this machine.
pub struct Registry {
    /// Host and port.
    pub host: String,
    process: Option<Child>,
    folder: Option<TempDir>,
    has_login: bool,
    options: Vec<String>,
}

impl Registry {
    /// The one that belongs to the cluster.
    pub fn of_the_cluster() -> Self {
        Self {
            host: variable("REGISTRY"),
            process: None,
            folder: None,
            has_login: false,
            options: Vec::new(),
        }
    }

    /// What answers at an address, whatever it is.
    pub fn at(address: &str) -> Self {
        let (_, host) = address.split_once("://").expect("an address has a scheme");
        Self {
            host: host.to_owned(),
            process: None,
            folder: None,
            has_login: false,
            options: Vec::new(),
        }
    }

    /// A registry of the test's own, which asks for no login.
    pub async fn start() -> Self {
        Self::start_as(false, &[]).await
    }

    /// A registry of the test's own, with options of `local/registry`.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_as(false, options).await
    }

    /// Sets the options with which it is brought up again.
    pub fn set_options(&mut self, options: &[&str]) {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
    }

    /// A registry of the test's own, which lets no one in but [`USER`].
    pub async fn start_with_login() -> Self {
        Self::start_as(true, &[]).await
    }

    async fn start_as(has_login: bool, options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let host = free_address();
        let mut registry = Self {
            host,
            process: None,
            folder: Some(folder),
            has_login,
            options: Vec::new(),
        };
        registry.set_options(options);
        registry.bring_up().await;
        registry
    }

    /// Starts it where it was, with what it had.
    pub async fn bring_up(&mut self) {
        let folder = self.folder();
        let (_, port) = self.host.rsplit_once(':').expect("a host and a port");
        let log = File::options()
            .create(true)
            .append(true)
            .open(log(folder))
            .unwrap();
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/local/registry"));
        command
            .arg("--dir")
            .arg(folder)
            .args(["--port", port, "--log-requests"])
            .args(&self.options);
        if self.has_login {
            command.env("REGISTRY_LOGIN", format!("{USER}:{PASSWORD}"));
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let host = &self.host;
        until("the registry listens", async || {
            tokio::net::TcpStream::connect(host).await.map(drop)
        })
        .await;
    }

    /// Ends it. What it has stays for when it is brought up again.
    pub fn shut_down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// How many requests for manifests it has had since it was first started.
    pub fn questions(&self) -> usize {
        let log = std::fs::read_to_string(log(self.folder())).unwrap();
        log.lines()
            .filter(|line| line.contains("/manifests/") && !line.contains("\"PUT "))
            .count()
    }

    /// The images under a path of the registry.
    pub fn images(&self, path: &str) -> Images {
        Images {
            host: self.host.clone(),
            path: path.to_owned(),
            has_login: self.has_login,
        }
    }

    fn folder(&self) -> &Path {
        self.folder
            .as_ref()
            .expect("the registry is the test's own")
            .path()
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.join("requests.log")
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// A host and port of this machine at which nothing listens. The tests that run side by side are not given the
/// same one.
pub fn free_address() -> String {
    static GIVEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        if GIVEN.lock().unwrap().insert(address.clone()) {
            return address;
        }
    }
}

/// The five images under a path of a registry.
#[derive(Clone)]
pub struct Images {
    host: String,
    path: String,
    has_login: bool,
}

impl Images {
    /// The registry's host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What stands before the components' names.
    pub fn prefix(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    /// The spec of a DockerCoins that runs these images, or would if there were a node for it.
    pub fn spec(&self) -> Value {
        json!({
            "registry": { "prefix": self.prefix() },
            "redis": { "image": self.name("redis", "v0.1") },
            "nodeSelector": { "dockercoins.dev/test": "no-such-node" },
        })
    }

    /// The same, with these settings laid over it.
    pub fn spec_with(&self, settings: Value) -> Value {
        merged(self.spec(), settings)
    }

    /// A component's image by its tag.
    pub fn name(&self, component: &str, tag: &str) -> String {
        format!("{}/{component}:{tag}", self.prefix())
    }

    /// A component's image by tag and digest.
    pub fn pinned(&self, component: &str, tag: &str, digest: &Digest) -> String {
        format!("{}@{digest}", self.name(component, tag))
    }

    /// Pushes all five with the tag `v0.1`.
    pub async fn push_all(&self) {
        self.push_tag("v0.1").await;
    }

    /// Pushes all five with a tag.
    pub async fn push_tag(&self, tag: &str) {
        for component in COMPONENTS {
            self.push(component, tag, tag).await;
        }
    }

    /// Pushes an image for two platforms, and gives the digest of its index. Other `content`, other digest.
    pub async fn push(&self, component: &str, tag: &str, content: &str) -> Digest {
        let mut manifests = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let config = json!({ "architecture": architecture, "os": "linux", "author": format!("{component} {content}") });
            let config = config.to_string();
            self.put_blob(component, &config).await;
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(CONFIG, &config),
                "layers": [],
            })
            .to_string();
            let digest = Digest::of(manifest.as_bytes()).to_string();
            self.put_manifest(component, &digest, MANIFEST, &manifest)
                .await;
            let platform = json!({ "platform": { "architecture": architecture, "os": "linux" } });
            manifests.push(merged(descriptor(MANIFEST, &manifest), platform));
        }
        let index =
            json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string();
        self.put_manifest(component, tag, INDEX, &index).await;
        Digest::of(index.as_bytes())
    }

    async fn put_blob(&self, component: &str, blob: &str) {
        let start = format!(
            "http://{}/v2/{}/{component}/blobs/uploads/",
            self.host, self.path
        );
        let (status, location) = self
            .send("POST", &start, "application/octet-stream", "")
            .await;
        assert_eq!(status, 202, "POST {start}");
        let joint = if location.contains('?') { '&' } else { '?' };
        let end = format!("{location}{joint}digest={}", Digest::of(blob.as_bytes()));
        let (status, _) = self
            .send("PUT", &end, "application/octet-stream", blob)
            .await;
        assert_eq!(status, 201, "PUT {end}");
    }

    async fn put_manifest(&self, component: &str, name: &str, type_: &str, manifest: &str) {
        let address = format!(
            "http://{}/v2/{}/{component}/manifests/{name}",
            self.host, self.path
        );
        let (status, _) = self.send("PUT", &address, type_, manifest).await;
        assert_eq!(status, 201, "PUT {address}");
    }

    /// Sends a request, and gives the status and where the answer points.
    async fn send(&self, method: &str, address: &str, type_: &str, body: &str) -> (u16, String) {
        let mut request = http::Request::builder()
            .method(method)
            .uri(address)
            .header("content-type", type_);
        if self.has_login {
            request = request.header("authorization", BASIC);
        }
        let request = request.body(body.to_owned()).unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.unwrap();
        let location = response
            .headers()
            .get("location")
            .map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        (status, location.unwrap_or_default())
    }
}

fn descriptor(type_: &str, content: &str) -> Value {
    json!({ "mediaType": type_, "digest": Digest::of(content.as_bytes()).to_string(), "size": content.len() })
}
