//! What rng says on the wire.

mod common;

use std::{
    io::Write as _,
    net::TcpStream,
    time::{Duration, Instant},
};

use common::{Program, ask, get, read_answer};
use dockercoins::program::host_name;

const TEXT: &str = "text/plain; charset=utf-8";

fn rng() -> (Program, String) {
    Program::serve(env!("CARGO_BIN_EXE_rng"), &[])
}

#[test]
fn a_number_is_answered_with_that_many_random_bytes() {
    let (_rng, address) = rng();
    let answers = [get(&address, "/32"), get(&address, "/32")];
    for answer in &answers {
        assert_eq!(
            (
                answer.status,
                answer.header("content-type"),
                answer.body.len()
            ),
            (200, "application/octet-stream", 32)
        );
    }
    assert_ne!(answers[0].body, answers[1].body);
    assert_eq!(get(&address, "/0032").body.len(), 32);
    assert_eq!(get(&address, "/1000000").body.len(), 1_000_000);
}

#[test]
fn zero_is_answered_with_no_bytes() {
    let (_rng, address) = rng();
    assert_eq!(
        get(&address, "/0").essence(),
        (200, "application/octet-stream", &b""[..])
    );
}

#[test]
fn the_root_names_the_host() {
    let (_rng, address) = rng();
    let line = format!("RNG running on {}\n", host_name());
    assert_eq!(get(&address, "/").essence(), (200, TEXT, line.as_bytes()));
    assert_eq!(
        ask(&address, "HEAD", "/", b"").essence(),
        (200, TEXT, &b""[..])
    );
}

#[test]
fn a_path_that_is_no_number_is_not_found() {
    let (_rng, address) = rng();
    for path in [
        "/-1", "/+1", "/1.5", "/0x10", "/one", "/32/", "/1/2", "/%31",
    ] {
        assert_eq!(
            get(&address, path).essence(),
            (404, TEXT, &b"not found\n"[..]),
            "{path}"
        );
    }
}

#[test]
fn methods_that_do_not_read_are_refused() {
    let (_rng, address) = rng();
    for (method, path) in [("POST", "/"), ("POST", "/32"), ("DELETE", "/32")] {
        let answer = ask(&address, method, path, b"");
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
    }
}

#[test]
fn more_bytes_than_32_mib_are_refused_at_once() {
    let (_rng, address) = rng();
    for count in ["33554433", "99999999999999999999999999"] {
        let line = format!("{count} bytes are too many: ask for 33554432 at the most\n");
        assert_eq!(
            get(&address, &format!("/{count}")).essence(),
            (400, TEXT, line.as_bytes())
        );
    }
}

#[test]
fn requests_are_served_one_at_a_time_and_probes_queue_with_them() {
    let (rng, address) = rng();
    let began = Instant::now();
    let mut clients: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut client = TcpStream::connect(&address).unwrap();
            client
                .write_all(b"GET /1 HTTP/1.1\r\nHost: test\r\n\r\n")
                .unwrap();
            client
        })
        .collect();
    // Behind the ten, though it takes no time itself.
    assert_eq!(get(&address, "/").status, 200);

    for client in &mut clients {
        assert_eq!(read_answer(client).body.len(), 1);
        rng.log_line("GET /1 200");
    }
    rng.log_line("GET / 200");
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn the_second_version_ends_at_once_and_says_that_it_is_meant_to() {
    let mut rng = Program::start_with(env!("CARGO_BIN_EXE_rng"), &["--flaw=no-start"], &[]);
    assert_eq!(rng.end().code(), Some(1));
    assert_eq!(
        rng.log_line("on purpose"),
        "this version can't start, on purpose: it is for the lesson on rolling updates"
    );
}

#[test]
fn a_flaw_that_it_does_not_have_is_refused() {
    let mut rng = Program::start_with(env!("CARGO_BIN_EXE_rng"), &["--flaw=slow"], &[]);
    assert_eq!(rng.end().code(), Some(1));
    assert_eq!(
        rng.log_line("unknown"),
        "--flaw=slow is unknown: write --flaw=no-start, or nothing"
    );
}

#[test]
fn every_answer_ends_its_connection() {
    let (_rng, address) = rng();
    for path in ["/", "/1", "/x"] {
        assert_eq!(get(&address, path).header("connection"), "close");
    }
}

#[test]
fn sigterm_ends_it_at_once_with_exit_code_0() {
    let (mut rng, _) = rng();
    let (took, code) = rng.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(4), "took {took:?}");
}
