//! Tests of the operator's image, as `make image` builds and pushes it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// No tag that anyone else uses: the bill of materials is written to a file by its name.
const TAG: &str = "tests-image";

/// A registry on this machine, as long as it is held.
struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(format!("{ROOT}/local/registry"))
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut host = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut host).unwrap();
        let host = host.trim().to_owned();
        // It tells its address before it listens there.
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = TcpStream::connect(&host) {
            assert!(Instant::now() < deadline, "{host}: {error}");
            sleep(Duration::from_millis(20));
        }
        Self { process, host }
    }

    /// What crane says of an image of this registry.
    fn crane(&self, command: &str, image: &str) -> Vec<u8> {
        let crane = std::env::var_os("CRANE").map_or_else(
            || {
                let path = succeeded(Command::new(format!("{ROOT}/local/tool")).arg("crane"));
                PathBuf::from(String::from_utf8(path.stdout).unwrap().trim())
            },
            PathBuf::from,
        );
        let image = format!("{}/{image}", self.host);
        succeeded(Command::new(crane).args([command, &image])).stdout
    }

    fn crane_json(&self, command: &str, image: &str) -> Value {
        serde_json::from_slice(&self.crane(command, image)).unwrap()
    }

    /// Builds and pushes. Gives the lines that are printed.
    fn push_image(&self) -> Vec<String> {
        let place = format!("{}/mine", self.host);
        let output = succeeded(Command::new(format!("{ROOT}/scripts/image")).args([&place, TAG]));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    output
}

#[test]
#[ignore = "builds the image; needs a registry and crane: `make test` runs it"]
fn image_is_one_static_program_with_an_sbom() {
    let scratch = tempfile::tempdir().unwrap();
    let registry = Registry::start(&scratch.path().join("registry"));
    let image = format!("mine/dockercoins-operator:{TAG}");

    let first = registry.push_image();
    assert_eq!(first.len(), 2, "{first:?}");
    assert!(first[0].ends_with("  pushed"), "{first:?}");
    let digest = registry.crane("digest", &image);
    let digest = String::from_utf8(digest).unwrap().trim().to_owned();
    assert!(first[0].starts_with(&format!("{}/{image}@{digest}  ", registry.host)));

    let second = registry.push_image();
    assert_eq!(second[0], first[0].replace("  pushed", "  there already"));
    assert_eq!(second[1], first[1], "the bill has the same digest too");

    let config = registry.crane_json("config", &image);
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(
        config["config"]["Entrypoint"],
        json!(["/dockercoins-operator"])
    );
    let index = registry.crane_json("manifest", &image);
    assert_eq!(index["annotations"], config["config"]["Labels"]);
    assert_eq!(
        index["annotations"]["org.opencontainers.image.version"],
        env!("CARGO_PKG_VERSION")
    );

    let root = scratch.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let archive = scratch.path().join("image.tar");
    std::fs::write(&archive, registry.crane("export", &image)).unwrap();
    succeeded(
        Command::new("tar")
            .args(["--extract", "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(&root),
    );
    let files = succeeded(
        Command::new("find")
            .args([".", "-type", "f"])
            .current_dir(&root),
    )
    .stdout;
    let files = String::from_utf8(files).unwrap();
    let mut files: Vec<&str> = files.lines().collect();
    files.sort_unstable();
    assert_eq!(
        files,
        [
            "./dockercoins-operator",
            "./etc/ssl/certs/ca-certificates.crt"
        ]
    );
    // With nothing else in its root, not even a loader: what runs here needs no library.
    let version = succeeded(
        Command::new("chroot")
            .arg(&root)
            .args(["/dockercoins-operator", "--version"]),
    );
    let expected = concat!("dockercoins-operator ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);

    bill_is_attached(&registry, &digest);
}

/// Where registries without the referrers API have the list of what refers to a digest.
fn bill_is_attached(registry: &Registry, digest: &str) {
    let referrers = format!("mine/dockercoins-operator:{}", digest.replace(':', "-"));
    let listed = registry.crane_json("manifest", &referrers);
    let [attachment] = listed["manifests"].as_array().unwrap().as_slice() else {
        panic!("{listed}");
    };
    let attachment = attachment["digest"].as_str().unwrap();
    let manifest = registry.crane_json(
        "manifest",
        &format!("mine/dockercoins-operator@{attachment}"),
    );
    assert_eq!(manifest["subject"]["digest"], digest);
    assert_eq!(manifest["artifactType"], "application/vnd.cyclonedx+json");
    let blob = manifest["layers"][0]["digest"].as_str().unwrap();
    let bill = registry.crane_json("blob", &format!("mine/dockercoins-operator@{blob}"));
    let written = std::fs::read(format!("{ROOT}/dist/dockercoins-operator-{TAG}.cdx.json"));
    let written: Value = serde_json::from_slice(&written.unwrap()).unwrap();
    assert_eq!(bill, written);
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let names: Vec<&str> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|component| component["name"].as_str())
        .collect();
    for name in [
        "kube",
        "rustls",
        "dockercoins-resolver",
        "glibc",
        "authorities",
    ] {
        assert!(names.contains(&name), "{name} is missing: {names:?}");
    }
    assert!(!names.contains(&"tempfile"), "only tests need it");
    assert!(
        !bill.to_string().contains(ROOT),
        "it names no path of this machine"
    );
}
