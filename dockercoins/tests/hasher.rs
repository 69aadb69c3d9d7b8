//! What hasher says on the wire.

mod common;

use std::{
    io::Write,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use common::{Program, ask, get, read_answer};
use dockercoins::program::host_name;

const TEXT: &str = "text/plain; charset=utf-8";
// FIPS 180-2, appendix B.1 and B.3; and the SHA-256 of nothing.
const ABC: &[u8] = b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const MILLION: &[u8] = b"cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
const NOTHING: &[u8] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn hasher() -> (Program, String) {
    Program::serve(env!("CARGO_BIN_EXE_hasher"), &[])
}

#[test]
fn a_body_is_answered_with_its_sha256_in_hexadecimal() {
    let (_hasher, address) = hasher();
    for (body, digest) in [
        (&b"abc"[..], ABC),
        (&[b'a'; 1_000_000], MILLION),
        (b"", NOTHING),
    ] {
        assert_eq!(
            ask(&address, "POST", "/", body).essence(),
            (200, "text/plain", digest)
        );
    }
}

#[test]
fn a_chunked_body_is_hashed_as_one() {
    let (_hasher, address) = hasher();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
              1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        )
        .unwrap();
    assert_eq!(read_answer(&mut stream).essence(), (200, "text/plain", ABC));
}

#[test]
fn many_are_hashed_at_one_time() {
    let (_hasher, address) = hasher();
    let began = Instant::now();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || ask(&address, "POST", "/", b"abc").body)
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().expect("the client gets an answer"), ABC);
    }
    // One after the other they take five seconds.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "took {took:?}");
}

#[test]
fn the_root_names_the_host() {
    let (_hasher, address) = hasher();
    let line = format!("HASHER running on {}\n", host_name());
    assert_eq!(get(&address, "/").essence(), (200, TEXT, line.as_bytes()));
}

#[test]
fn other_paths_and_methods_are_refused() {
    let (_hasher, address) = hasher();
    assert_eq!(
        ask(&address, "POST", "/x", b"").essence(),
        (404, TEXT, &b"not found\n"[..])
    );
    let answer = ask(&address, "PUT", "/", b"");
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, "GET, HEAD, POST")
    );
}

#[test]
fn a_request_under_way_is_answered_before_sigterm_ends_it() {
    let (mut hasher, address) = hasher();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nab")
        .unwrap();
    // Answered after the first request was accepted; without it, an idle program would be gone.
    assert_eq!(get(&address, "/").status, 200);
    hasher.terminate();
    hasher.log_line("SIGTERM: stopping");
    stream.write_all(b"c").unwrap();
    assert_eq!(read_answer(&mut stream).essence(), (200, "text/plain", ABC));
    assert_eq!(hasher.end().code(), Some(0));
}

#[test]
fn a_request_that_stalls_does_not_hold_up_sigterm() {
    let (mut hasher, address) = hasher();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nab")
        .unwrap();
    // Answered after the stalled one was accepted.
    assert_eq!(get(&address, "/").status, 200);
    let (took, code) = hasher.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(3), "took {took:?}");
    hasher.log_line("gave up on requests");
}

#[test]
fn an_address_that_can_not_be_listened_on_is_told() {
    let (_hasher, address) = hasher();
    let mut second = Program::start(env!("CARGO_BIN_EXE_hasher"), &[("LISTEN", &address)]);
    assert_eq!(second.end().code(), Some(1));
    assert_eq!(
        second.log_line("can't listen"),
        format!(
            "can't listen on {address}: Address already in use (os error 98); \
             give another address in LISTEN, such as [::]:8080"
        )
    );
}
