//! Runs real registry servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use resolver::Digest;
use serde_json::json;

/// The media type of an OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of an OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of Docker's manifest list.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The media type of Docker's image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A registry server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The distribution project's second generation, which is Debian's `docker-registry`.
    Registry2,
    /// The distribution project's third generation.
    Registry3,
    /// olareg, which keeps OCI layouts.
    Olareg,
    /// The registry in crane, which keeps manifests in memory.
    Crane,
}

impl Program {
    /// Its environment variable, and its name for `local/tool` and in `PATH`.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Program::Registry2 => ("DOCKER_REGISTRY", "docker-registry"),
            Program::Registry3 => ("REGISTRY3", "registry3"),
            Program::Olareg => ("OLAREG", "olareg"),
            Program::Crane => ("CRANE", "crane"),
        }
    }

    /// A command that runs it without telemetry.
    fn command(self) -> Command {
        let (variable, tool) = self.names();
        let path = std::env::var_os(variable).unwrap_or_else(|| tool.into());
        let mut command = Command::new(path);
        command.env("OTEL_TRACES_EXPORTER", "none");
        command
    }

    fn does_not_start(self, error: std::io::Error) -> ! {
        let (variable, tool) = self.names();
        panic!(
            "{self:?} does not start ({error}): run make test, or set {variable} to what `local/tool {tool}` prints"
        )
    }

    /// Its version.
    pub fn version(self) -> String {
        let arguments: &[&str] = match self {
            Program::Registry2 | Program::Registry3 => &["--version"],
            Program::Olareg => &["version", "--format", "{{.Debug.Main.Version}}"],
            Program::Crane => &["version"],
        };
        let output = self
            .command()
            .args(arguments)
            .output()
            .unwrap_or_else(|error| self.does_not_start(error));
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.split_whitespace().next_back().unwrap().to_owned()
    }
}

/// A server's certificate and its key, each a file in PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

/// The settings of a registry; the default is anonymous access by plain HTTP.
#[derive(Clone, Copy, Default)]
pub struct Settings<'a> {
    /// Further YAML of distribution's configuration.
    pub distribution: &'a str,
    /// Its TLS certificate.
    pub tls: Option<&'a Certificate>,
    /// The file of client certificate authorities, in PEM; requires a client certificate.
    pub clients: Option<&'a Path>,
}

/// A running registry; it ends when this is dropped.
pub struct Registry {
    /// Host and port: `127.0.0.1:PORT`.
    pub host: String,
    process: Child,
}

impl Registry {
    /// Starts one on a free port, with its images in a folder of `storage`: another one that is
    /// started on it later has the same images, but crane's.
    pub async fn start(program: Program, storage: &Path, settings: Settings<'_>) -> Registry {
        let images = storage.join("images");
        let mut command = program.command();
        match program {
            Program::Registry2 | Program::Registry3 => {
                let path = storage.join("registry.yml");
                fs::write(&path, configuration(&images, settings)).unwrap();
                command.arg("serve").arg(path);
            }
            Program::Olareg => {
                let knows = settings.distribution.is_empty() && settings.clients.is_none();
                assert!(knows, "olareg has no such setting");
                command
                    .args(["serve", "--addr", "127.0.0.1", "--port", "0", "--dir"])
                    .arg(images);
                if let Some(tls) = settings.tls {
                    command.arg("--tls-cert").arg(&tls.certificate);
                    command.arg("--tls-key").arg(&tls.key);
                }
            }
            Program::Crane => {
                assert!(settings.distribution.is_empty() && settings.tls.is_none());
                command.args(["registry", "serve", "--address", "127.0.0.1:0"]);
            }
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| program.does_not_start(error));
        let mut registry = Registry {
            host: String::new(),
            process,
        };
        registry.host = format!("127.0.0.1:{}", registry.port(program).await);
        registry
    }

    /// The port that it took, as soon as it listens. It is left to the server which: one that is
    /// looked for beforehand may be another's by the time that it is taken.
    async fn port(&mut self, program: Program) -> u16 {
        let listens = async {
            loop {
                if let Some(port) = listening_port(self.process.id()) {
                    return port;
                }
                assert_eq!(
                    self.process.try_wait().unwrap(),
                    None,
                    "{program:?} ended at once"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listens)
            .await
            .unwrap_or_else(|_| panic!("{program:?} does not listen within 20 s"))
    }

    /// Pushes an index with one image under a tag, to a registry that asks for no login. Gives
    /// the index's digest. Images with different `content` have different digests.
    pub async fn push(&self, repository: &str, tag: &str, content: &str) -> Digest {
        self.push_as(OCI_INDEX, repository, tag, content).await
    }

    /// The same as a manifest of one of the four types: what is no index is the image itself.
    pub async fn push_as(
        &self,
        media_type: &str,
        repository: &str,
        tag: &str,
        content: &str,
    ) -> Digest {
        let (image_type, config_type) = match media_type {
            DOCKER_INDEX | DOCKER_MANIFEST => (
                DOCKER_MANIFEST,
                "application/vnd.docker.container.image.v1+json",
            ),
            _ => (OCI_MANIFEST, "application/vnd.oci.image.config.v1+json"),
        };
        let config = json!({ "architecture": "amd64", "os": "linux", "author": content });
        let config = config.to_string();
        self.push_blob(repository, config.as_bytes()).await;
        let image = json!({
            "schemaVersion": 2,
            "mediaType": image_type,
            "config": descriptor(config_type, &config),
            "layers": [],
        })
        .to_string();
        if media_type == image_type {
            return self.put_manifest(repository, tag, media_type, &image).await;
        }
        let name = Digest::of(image.as_bytes()).to_string();
        self.put_manifest(repository, &name, image_type, &image)
            .await;
        let mut described = descriptor(image_type, &image);
        described["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": [described],
        })
        .to_string();
        self.put_manifest(repository, tag, media_type, &index).await
    }

    async fn push_blob(&self, repository: &str, blob: &[u8]) {
        let start = format!("/v2/{repository}/blobs/uploads/");
        let (status, headers) = self
            .send(Method::POST, &start, "application/octet-stream", b"")
            .await;
        assert_eq!(status, StatusCode::ACCEPTED);
        let location = headers["location"].to_str().unwrap();
        let joint = if location.contains('?') { '&' } else { '?' };
        let end = format!("{location}{joint}digest={}", Digest::of(blob));
        let (status, _) = self
            .send(Method::PUT, &end, "application/octet-stream", blob)
            .await;
        assert_eq!(status, StatusCode::CREATED);
    }

    async fn put_manifest(
        &self,
        repository: &str,
        name: &str,
        media_type: &str,
        manifest: &str,
    ) -> Digest {
        let at = format!("/v2/{repository}/manifests/{name}");
        let (status, _) = self
            .send(Method::PUT, &at, media_type, manifest.as_bytes())
            .await;
        assert_eq!(status, StatusCode::CREATED, "PUT {at} as {media_type}");
        Digest::of(manifest.as_bytes())
    }

    /// What a HEAD for a manifest is answered with, by a registry that asks for no login.
    pub async fn head(&self, repository: &str, tag: &str) -> (StatusCode, HeaderMap) {
        let at = format!("/v2/{repository}/manifests/{tag}");
        self.send(Method::HEAD, &at, "", b"").await
    }

    /// Sends a request to a path of it, or to a whole address; gives status and headers.
    async fn send(
        &self,
        method: Method,
        at: &str,
        content_type: &str,
        body: &[u8],
    ) -> (StatusCode, HeaderMap) {
        let address = match at.starts_with('/') {
            true => format!("http://{}{at}", self.host),
            false => at.to_owned(),
        };
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut request = Request::builder()
            .method(method)
            .uri(address)
            .header("content-type", content_type);
        for media_type in [OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST] {
            request = request.header("accept", media_type);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        body.collect().await.unwrap();
        (parts.status, parts.headers)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The port on which a process listens by IPv4, as Linux tells it: servers do not all say.
fn listening_port(process: u32) -> Option<u16> {
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .ok()?
        .filter_map(|file| {
            let target = fs::read_link(file.ok()?.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            Some(inode.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // What it is bound to, its state, and which socket it is; 0A is listening.
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let is_its_own = *state == "0A" && sockets.iter().any(|socket| socket == inode);
        let (_, port) = local.split_once(':').filter(|_| is_its_own)?;
        u16::from_str_radix(port, 16).ok()
    })
}

/// Distribution's configuration file.
fn configuration(images: &Path, settings: Settings<'_>) -> String {
    let tls = settings.tls.map_or_else(String::new, |tls| {
        format!(
            "  tls:\n    certificate: {}\n    key: {}\n{}",
            tls.certificate.display(),
            tls.key.display(),
            settings.clients.map_or_else(String::new, |clients| {
                format!("    clientcas:\n      - {}\n", clients.display())
            })
        )
    });
    format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n{tls}{}\n",
        images.display(),
        settings.distribution
    )
}

fn descriptor(media_type: &str, content: &str) -> serde_json::Value {
    json!({
        "mediaType": media_type,
        "digest": Digest::of(content.as_bytes()).to_string(),
        "size": content.len(),
    })
}
