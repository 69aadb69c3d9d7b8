//! What webui says on the wire.

mod common;

use std::net::TcpListener;

use common::{Program, Redis, ask, eventually, free_port, get};
use serde_json::{Value, json};

fn webui(redis: &str) -> (Program, String) {
    Program::serve(env!("CARGO_BIN_EXE_webui"), &[("REDIS_URL", redis)])
}

/// The answer's JSON, without the time, which is returned by itself.
fn books(address: &str) -> (u16, Value, Option<f64>) {
    let answer = get(address, "/json");
    assert_eq!(
        answer.header("content-type"),
        "application/json; charset=utf-8"
    );
    let mut json: Value = serde_json::from_slice(&answer.body).expect("the body is JSON");
    let now = json.as_object_mut().and_then(|json| json.remove("now"));
    (answer.status, json, now.and_then(|now| now.as_f64()))
}

#[test]
fn the_root_leads_to_the_page() {
    let (_webui, address) = webui("redis://127.0.0.1:1");
    let answer = get(&address, "/");
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, "/index.html")
    );
}

#[test]
fn the_page_is_one_document_that_asks_nobody_else() {
    let (_webui, address) = webui("redis://127.0.0.1:1");
    let answer = get(&address, "/index.html");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let page = answer.text();
    for part in [
        "class Graph",
        "fetch(\"json\"",
        "--ground",
        "id=\"rate\"",
        "id=\"coins\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let elsewhere = page
        .split("http")
        .skip(1)
        .filter(|rest| rest.starts_with("://") || rest.starts_with("s://"))
        .filter(|rest| !rest.starts_with("://www.w3.org/2000/svg"))
        .count();
    assert_eq!(elsewhere, 0);
    assert!(!page.contains(".js */") && !page.contains(".css */"));
}

#[test]
fn the_second_version_is_the_same_page_with_a_green_graph() {
    let green = include_str!("../src/page/green.css");
    let (_first, first) = webui("redis://127.0.0.1:1");
    let second = Program::start_with(
        env!("CARGO_BIN_EXE_webui"),
        &["--flaw=green"],
        &[("REDIS_URL", "redis://127.0.0.1:1")],
    );
    let line = second.log_line("listening on ");
    let (first, second) = (
        get(&first, "/index.html"),
        get(line.rsplit(' ').next().unwrap(), "/index.html"),
    );
    assert!(!first.text().contains(green));
    assert_eq!(second.text().replace(green, ""), first.text());
}

#[test]
fn without_redis_the_books_are_503_with_the_reason_and_no_password() {
    let port = free_port();
    let (webui, address) = webui(&format!("redis://user:s3cret@127.0.0.1:{port}"));
    let reason = format!("redis at 127.0.0.1:{port}: Connection refused (os error 111)");
    assert_eq!(books(&address), (503, json!({"error": reason}), None));
    assert_eq!(webui.log_line("redis at"), reason);
}

#[test]
fn a_redis_that_does_not_answer_gives_503_instead_of_hanging() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let redis = silent.local_addr().unwrap();
    let (_webui, address) = webui(&format!("redis://{redis}"));
    let reason = format!("redis at {redis}: no answer within 900ms");
    assert_eq!(books(&address), (503, json!({"error": reason}), None));
}

#[test]
fn other_paths_and_methods_are_refused() {
    let (_webui, address) = webui("redis://127.0.0.1:1");
    assert_eq!(get(&address, "/favicon.ico").status, 404);
    for path in ["/", "/index.html", "/json"] {
        let answer = ask(&address, "POST", path, b"");
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
    }
}

#[test]
fn a_url_that_is_not_redis_is_told_without_repeating_it() {
    let mut webui = Program::start(
        env!("CARGO_BIN_EXE_webui"),
        &[("REDIS_URL", "http://user:s3cret@redis")],
    );
    assert_eq!(webui.end().code(), Some(1));
    let line = webui.log_line("REDIS_URL");
    assert!(
        line.contains("write redis://[user:password@]host[:port][/database]"),
        "{line}"
    );
    assert!(!line.contains("s3cret"), "{line}");
}

#[test]
#[ignore = "needs redis-server; `make test` runs it"]
fn the_books_have_the_types_of_the_original() {
    let redis = Redis::start();
    let (_webui, address) = webui(&redis.url());
    assert_eq!(
        books(&address).1,
        json!({"coins": 0, "hashes": null}),
        "before the first write"
    );

    redis::pipe()
        .incr("hashes", 4)
        .hset("wallet", "0abc", b"\xff\x00")
        .exec(&mut redis.connect())
        .unwrap();
    let (status, json, now) = books(&address);
    assert_eq!((status, json), (200, json!({"coins": 1, "hashes": "4"})));
    let since_2020 = now.expect("`now` is a number") - 1_577_836_800.0;
    assert!(since_2020 > 0.0, "`now` is in seconds since 1970");
}

#[test]
#[ignore = "needs redis-server; `make test` runs it"]
fn the_books_recover_when_redis_comes_back() {
    let redis = Redis::start();
    let port = redis.port;
    let (_webui, address) = webui(&redis.url());
    assert_eq!(books(&address).0, 200);
    drop(redis);
    assert_eq!(books(&address).0, 503);
    let _redis = Redis::start_on(port);
    eventually("the books are read", || {
        (books(&address).0 == 200).then_some(())
    });
}
