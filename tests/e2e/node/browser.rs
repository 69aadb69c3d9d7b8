//! A page in headless Chromium, driven over two pipes by the DevTools protocol.
//!
//! Chromium reads commands from file descriptor 3 and answers on 4, as JSON texts that end with NUL. This needs no port
//! and no WebSocket.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::variable;

/// How long Chromium may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A page, open in a browser that ends when this is dropped.
pub struct Browser {
    process: Child,
    folder: PathBuf,
    commands: File,
    answers: Receiver<Value>,
    session: Value,
    sent: u64,
}

impl Browser {
    /// Opens a page.
    pub fn open(url: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("browser-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let pipes = [folder.join("commands"), folder.join("answers")];
        assert!(
            Command::new("mkfifo")
                .args(&pipes)
                .status()
                .unwrap()
                .success()
        );
        let process = start(&folder, &pipes);
        // Each end of a pipe opens when the other does, in the shell's order.
        let commands = File::options().write(true).open(&pipes[0]).unwrap();
        let answers = listen(File::open(&pipes[1]).unwrap());
        let mut browser = Self {
            process,
            folder,
            commands,
            answers,
            session: Value::Null,
            sent: 0,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].clone();
        let size = json!({ "width": 1280, "height": 690, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", size);
        browser.call("Page.navigate", json!({ "url": url }));
        browser
    }

    /// What a JavaScript expression is in the page; null where it fails.
    pub fn value(&mut self, expression: &str) -> Value {
        let evaluate = json!({ "expression": expression, "returnByValue": true });
        self.call("Runtime.evaluate", evaluate)["result"]["value"].clone()
    }

    /// Takes a picture of the page, and says where it is.
    pub fn screenshot(&mut self) -> PathBuf {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let png =
            base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page.png");
        std::fs::write(&path, png.unwrap()).unwrap();
        path
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut command = json!({ "id": self.sent, "method": method, "params": params });
        if self.session.is_string() {
            command["sessionId"] = self.session.clone();
        }
        self.commands
            .write_all(format!("{command}\0").as_bytes())
            .unwrap();
        loop {
            let answer = self.answers.recv_timeout(PATIENCE);
            let mut answer = answer
                .unwrap_or_else(|_| panic!("Chromium does not answer {method}: {}", self.log()));
            if answer["id"] == self.sent {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

fn start(folder: &Path, pipes: &[PathBuf; 2]) -> Child {
    Command::new("sh")
        .args(["-c", r#"exec 3<"$1" 4>"$2"; shift 2; exec "$@""#, "sh"])
        .args(pipes)
        .arg(variable("CHROMIUM"))
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg("about:blank")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.join("log")).unwrap())
        .spawn()
        .unwrap()
}

/// Reads answers in the background, so that waiting for one can end.
fn listen(answers: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for text in BufReader::new(answers).split(0).map_while(Result::ok) {
            let Ok(answer) = serde_json::from_slice(&text) else {
                continue;
            };
            if sender.send(answer).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
