//! Runs the programs, and Redis, as processes on free ports of the loopback interface, and speaks
//! plain HTTP with them, so that tests see what is on the wire.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// Longer than anything awaited takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running program of this crate. It is killed when dropped.
pub struct Program {
    child: Child,
    log: Receiver<String>,
}

impl Program {
    pub fn start(executable: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_with(executable, &[], settings)
    }

    /// Starts it with a command line.
    pub fn start_with(executable: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(executable)
            .args(arguments)
            .env("LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let (sender, log) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sender.send(line);
            }
        });
        Self { child, log }
    }

    /// Starts a program that listens; returns it, and its address.
    pub fn serve(executable: &str, settings: &[(&str, &str)]) -> (Self, String) {
        let program = Self::start(executable, settings);
        let line = program.log_line("listening on ");
        let address = line.rsplit(' ').next().expect("an address").to_owned();
        (program, address)
    }

    /// Awaits a line of the log that contains `text`; returns what follows the time and the level.
    pub fn log_line(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .log
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no line with {text:?} in the log"));
            if line.contains(text) {
                let mut parts = line.split_ascii_whitespace();
                parts.by_ref().take(2).for_each(drop);
                return parts.collect::<Vec<_>>().join(" ");
            }
        }
    }

    pub fn terminate(&self) {
        let killed = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        assert!(killed.expect("kill runs").success());
    }

    /// Awaits the program's end.
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM and awaits the end. Returns how long that took, and the exit code.
    pub fn stop(&mut self) -> (Duration, Option<i32>) {
        let began = Instant::now();
        self.terminate();
        let status = self.end();
        (began.elapsed(), status.code())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A real Redis. It is killed when dropped.
pub struct Redis {
    child: Child,
    pub port: u16,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_on(free_port())
    }

    pub fn start_on(port: u16) -> Self {
        let program = env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let child = Command::new(program)
            .args(["--bind", "127.0.0.1", "--save", "", "--port"])
            .arg(port.to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect(
                "redis-server is on the PATH, or named by REDIS_SERVER; `make test` sees to that",
            );
        let redis = Self { child, port };
        eventually("Redis answers", || {
            redis::Client::open(redis.url())
                .and_then(|client| client.get_connection())
                .ok()
        });
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> redis::Connection {
        redis::Client::open(self.url())
            .and_then(|client| client.get_connection())
            .expect("Redis answers")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on which nothing listens.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port is free")
        .port()
}

/// Awaits what `condition` returns.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// An HTTP answer as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// Status, content type and body: what the wire protocol is about.
    pub fn essence(&self) -> (u16, &str, &[u8]) {
        (self.status, self.header("content-type"), &self.body)
    }
}

/// Sends one request on a connection of its own.
pub fn ask(address: &str, method: &str, path: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the program accepts connections");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream.write_all(body).expect("the body is sent");
    read_answer(&mut stream)
}

/// Reads an answer up to the end of the connection.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer comes");
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("the answer has a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("the head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    Answer {
        status: status
            .and_then(|status| status.parse().ok())
            .expect("a status"),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: answer[end + 4..].to_vec(),
    }
}

pub fn get(address: &str, path: &str) -> Answer {
    ask(address, "GET", path, b"")
}
