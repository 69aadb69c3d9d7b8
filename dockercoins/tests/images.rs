//! Pushing the images to a real registry that asks for a login.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// `coins:s3cret` in base64, as a docker configuration has it.
const LOGIN: &str = "Y29pbnM6czNjcmV0";

struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(format!("{ROOT}/local/registry"))
            .arg("--dir")
            .arg(directory)
            .env("REGISTRY_LOGIN", "coins:s3cret")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("local/registry runs");
        let mut address = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped"))
            .read_line(&mut address)
            .expect("local/registry tells its address");
        let address = address.trim().to_owned();
        // It tells its address before it listens there.
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = TcpStream::connect(&address) {
            assert!(Instant::now() < deadline, "{address}: {error}");
            sleep(Duration::from_millis(20));
        }
        Self { child, address }
    }

    fn push(&self, configuration: &Path, tag: &str) -> (Option<i32>, String, String) {
        let output = Command::new(format!("{ROOT}/dockercoins/push-images"))
            .args([&format!("{}/mine", self.address), tag])
            .env("DOCKER_CONFIG", configuration)
            .output()
            .expect("push-images runs");
        let text = |bytes| String::from_utf8(bytes).expect("it prints text");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn log_in(&self, configuration: &Path) {
        let login = json!({"auths": {&self.address: {"auth": LOGIN}}});
        fs::write(configuration.join("config.json"), login.to_string()).expect("it can be written");
    }

    /// What crane prints about `{address}/mine/{image}`, as JSON.
    fn inspect(&self, configuration: &Path, command: &str, image: &str) -> Value {
        let crane = std::env::var_os("CRANE").map_or_else(
            || {
                let output = Command::new(format!("{ROOT}/local/tool"))
                    .arg("crane")
                    .output();
                let path = String::from_utf8(output.expect("local/tool runs").stdout);
                PathBuf::from(path.expect("a path").trim())
            },
            PathBuf::from,
        );
        let output = Command::new(crane)
            .args([command, &format!("{}/mine/{image}", self.address)])
            .env("DOCKER_CONFIG", configuration)
            .output()
            .expect("crane runs");
        serde_json::from_slice(&output.stdout).expect("crane prints JSON")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of each line that push-images prints: the image, the digest, and whether it was pushed.
fn summary(printed: &str) -> Vec<(String, String, String)> {
    printed
        .lines()
        .map(|line| {
            let (reference, rest) = line.split_once('@').expect("a digest");
            let image = reference.rsplit('/').next().expect("a name");
            let parts: Vec<&str> = rest.split("  ").collect();
            (image.to_owned(), parts[0].to_owned(), parts[2].to_owned())
        })
        .collect()
}

#[test]
#[ignore = "builds the images; needs a registry and crane: `make test` runs it"]
fn images_are_pushed_where_a_login_is_asked_alike_from_the_same_source_and_flawed_only_as_v0_2() {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
    let _ = fs::remove_dir_all(&scratch);
    let configuration = scratch.join("docker");
    fs::create_dir_all(&configuration).unwrap();
    let registry = Registry::start(&scratch.join("registry"));

    let (code, printed, error) = registry.push(&configuration, "v0.1");
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    let advice = format!(
        "registry {}: it wants a login that may push there",
        registry.address
    );
    assert!(error.contains(&advice), "{error}");

    registry.log_in(&configuration);
    let (code, printed, error) = registry.push(&configuration, "v0.1");
    assert_eq!(code, Some(0), "{error}");
    let first = summary(&printed);
    let images = ["hasher:v0.1", "rng:v0.1", "webui:v0.1", "worker:v0.1"];
    assert_eq!(
        first
            .iter()
            .map(|(image, _, state)| (image.as_str(), state.as_str()))
            .collect::<Vec<_>>(),
        images.map(|image| (image, "pushed"))
    );

    let (code, printed, error) = registry.push(&configuration, "v0.1");
    assert_eq!(code, Some(0), "{error}");
    for (before, after) in first.iter().zip(summary(&printed)) {
        assert_eq!(
            after,
            (
                before.0.clone(),
                before.1.clone(),
                "there already".to_owned()
            )
        );
    }

    let (code, _, error) = registry.push(&configuration, "v0.2");
    assert_eq!(code, Some(0), "{error}");
    let commands = ["hasher", "rng", "webui", "worker"].map(|component| {
        let config = registry.inspect(&configuration, "config", &format!("{component}:v0.2"));
        config["config"]["Cmd"].clone()
    });
    let flawed = [
        json!(null),
        json!(["--flaw=no-start"]),
        json!(["--flaw=green"]),
        json!(["--flaw=slow"]),
    ];
    assert_eq!(commands, flawed, "the course's second versions");

    let index = registry.inspect(&configuration, "manifest", "rng:v0.1");
    assert_eq!(
        index["mediaType"], "application/vnd.oci.image.index.v1+json",
        "what a tag names is an index"
    );
    let config = registry.inspect(&configuration, "config", "rng:v0.1");
    assert_eq!(
        config["config"],
        json!({
            "User": "65534:65534",
            "ExposedPorts": {"80/tcp": {}},
            "Entrypoint": ["/rng"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "DockerCoins rng",
                "org.opencontainers.image.version": "v0.1",
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        })
    );
}

#[test]
fn a_registry_or_a_tag_that_is_none_is_refused_with_advice() {
    for (registry, tag, advice) in [
        (
            "https://registry",
            "v0.1",
            "'https://registry' is no place for images: write host:port/path",
        ),
        (
            "registry/path:v1/x",
            "v0.1",
            "'registry/path:v1/x' is no place for images",
        ),
        ("", "v0.1", "'' is no place for images"),
        ("registry", "-v", "'-v' is no tag: write up to 128 letters"),
        (
            "registry",
            &"x".repeat(129),
            "is no tag: write up to 128 letters",
        ),
    ] {
        let output = Command::new(format!("{ROOT}/dockercoins/push-images"))
            .args([registry, tag])
            .output()
            .expect("push-images runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(error.contains(advice), "{error}");
    }
}
