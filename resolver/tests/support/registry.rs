//! Debian's `docker-registry`, run for a test on this machine: from the path, or from where
//! `DOCKER_REGISTRY` says.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use resolver::Digest;

/// A running registry; it ends when this is dropped.
pub struct Registry {
    /// Host and port: `127.0.0.1:PORT`.
    pub host: String,
    process: Child,
}

impl Registry {
    /// Starts one on a free port, with its images in `storage`. `settings` is what its
    /// configuration has beside storage and port, in YAML; `tls` what stands below its `http`.
    pub async fn start(storage: &Path, settings: &str, tls: &str) -> Registry {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let host = format!("127.0.0.1:{port}");
        let storage_path = storage.join("images");
        let configuration = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n{tls}\n{settings}\n",
            storage_path.display()
        );
        let path = storage.join(format!("registry-{port}.yml"));
        fs::write(&path, configuration).unwrap();
        let program =
            std::env::var_os("DOCKER_REGISTRY").unwrap_or_else(|| "docker-registry".into());
        let process = Command::new(&program)
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program:?} is to be had as Debian's package docker-registry: {error}")
            });
        let mut registry = Registry { host, process };
        registry.until_it_listens().await;
        registry
    }

    async fn until_it_listens(&mut self) {
        let listens = async {
            while tokio::net::TcpStream::connect(&self.host).await.is_err() {
                assert_eq!(
                    self.process.try_wait().unwrap(),
                    None,
                    "docker-registry ended at once"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listens)
            .await
            .expect("docker-registry listens within 20 s");
    }

    /// Pushes an index with one image under these tags, to a registry that asks for no login.
    /// Gives the index's digest. What is told apart by `content` has different digests.
    pub async fn push(&self, repository: &str, tags: &[&str], content: &str) -> Digest {
        let config = format!(r#"{{"architecture":"amd64","os":"linux","author":"{content}"}}"#);
        self.push_blob(repository, config.as_bytes()).await;
        let image = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": Digest::of(config.as_bytes()).to_string(),
                "size": config.len(),
            },
            "layers": [],
        })
        .to_string();
        let image_digest = Digest::of(image.as_bytes());
        self.put_manifest(
            repository,
            &image_digest.to_string(),
            "application/vnd.oci.image.manifest.v1+json",
            &image,
        )
        .await;
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": image_digest.to_string(),
                "size": image.len(),
                "platform": { "architecture": "amd64", "os": "linux" },
            }],
        })
        .to_string();
        for tag in tags {
            self.put_manifest(
                repository,
                tag,
                "application/vnd.oci.image.index.v1+json",
                &index,
            )
            .await;
        }
        Digest::of(index.as_bytes())
    }

    async fn push_blob(&self, repository: &str, blob: &[u8]) {
        let start = format!("http://{}/v2/{repository}/blobs/uploads/", self.host);
        let (status, location) = send(Method::POST, &start, "application/octet-stream", b"").await;
        assert_eq!(status, StatusCode::ACCEPTED);
        let joint = if location.contains('?') { '&' } else { '?' };
        let end = format!("{location}{joint}digest={}", Digest::of(blob));
        let (status, _) = send(Method::PUT, &end, "application/octet-stream", blob).await;
        assert_eq!(status, StatusCode::CREATED);
    }

    async fn put_manifest(&self, repository: &str, name: &str, media_type: &str, manifest: &str) {
        let address = format!("http://{}/v2/{repository}/manifests/{name}", self.host);
        let (status, _) = send(Method::PUT, &address, media_type, manifest.as_bytes()).await;
        assert_eq!(status, StatusCode::CREATED);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Sends a request; gives the status and where the answer points.
async fn send(
    method: Method,
    address: &str,
    content_type: &str,
    body: &[u8],
) -> (StatusCode, String) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder()
        .method(method)
        .uri(address)
        .header("content-type", content_type)
        .body(Full::new(Bytes::copy_from_slice(body)))
        .unwrap();
    let response = client.request(request).await.unwrap();
    let location = response
        .headers()
        .get("location")
        .map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    response.into_body().collect().await.unwrap();
    (status, location.unwrap_or_default())
}
