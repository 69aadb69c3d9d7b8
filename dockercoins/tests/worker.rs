//! What worker does with rng, hasher and Redis.

mod common;

use std::{
    collections::HashMap,
    net::TcpListener,
    time::{Duration, Instant},
};

use common::{Program, Redis, eventually, free_port};
use sha2::{Digest, Sha256};

fn worker(rng: &str, hasher: &str, redis: &str) -> Program {
    Program::start(
        env!("CARGO_BIN_EXE_worker"),
        &[
            ("RNG_URL", &format!("http://{rng}")),
            ("HASHER_URL", &format!("http://{hasher}")),
            ("REDIS_URL", redis),
        ],
    )
}

fn refused() -> String {
    format!("127.0.0.1:{}", free_port())
}

#[test]
#[ignore = "needs redis-server; `make test` runs it"]
fn hashes_are_counted_and_coins_kept_with_the_bytes_that_gave_them() {
    let redis = Redis::start();
    let (_rng, rng) = Program::serve(env!("CARGO_BIN_EXE_rng"), &[]);
    let (_hasher, hasher) = Program::serve(env!("CARGO_BIN_EXE_hasher"), &[]);
    let workers: Vec<_> = (0..4)
        .map(|_| worker(&rng, &hasher, &redis.url()))
        .collect();

    let mut connection = redis.connect();
    let wallet: HashMap<String, Vec<u8>> = eventually("a coin is found", || {
        let wallet: HashMap<_, _> = redis::cmd("HGETALL")
            .arg("wallet")
            .query(&mut connection)
            .unwrap();
        (!wallet.is_empty()).then_some(wallet)
    });
    for (digest, bytes) in wallet {
        assert!(digest.starts_with('0'));
        assert_eq!(bytes.len(), 32);
        let sha256: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest, sha256);
    }
    eventually("hashes are counted", || {
        let hashes: Option<u64> = redis::cmd("GET")
            .arg("hashes")
            .query(&mut connection)
            .unwrap();
        (hashes >= Some(1)).then_some(())
    });
    for mut worker in workers {
        assert_eq!(worker.stop().1, Some(0));
    }
}

#[test]
#[ignore = "needs redis-server; `make test` runs it"]
fn the_second_version_takes_two_seconds_for_its_own_part_of_the_work() {
    let redis = Redis::start();
    let (_rng, rng) = Program::serve(env!("CARGO_BIN_EXE_rng"), &[]);
    let (_hasher, hasher) = Program::serve(env!("CARGO_BIN_EXE_hasher"), &[]);
    let (rng, hasher) = (format!("http://{rng}"), format!("http://{hasher}"));
    let began = Instant::now();
    let slow = Program::start_with(
        env!("CARGO_BIN_EXE_worker"),
        &["--flaw=slow"],
        &[
            ("RNG_URL", &rng),
            ("HASHER_URL", &hasher),
            ("REDIS_URL", &redis.url()),
        ],
    );
    slow.log_line("0 units of work done");
    slow.log_line("1 units of work done");
    // Longer than the first version could take with an idle rng and hasher; how much longer is the machine's affair.
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[test]
#[ignore = "needs redis-server; `make test` runs it"]
fn a_peer_that_is_away_is_named() {
    let redis = Redis::start();
    let away = refused();
    let (_rng, rng) = Program::serve(env!("CARGO_BIN_EXE_rng"), &[]);
    for (worker, name) in [
        (worker(&away, &away, &redis.url()), "rng"),
        (worker(&rng, &away, &redis.url()), "hasher"),
    ] {
        assert_eq!(
            worker.log_line("trying again"),
            format!(
                "{name} at {away}: can't connect: Connection refused (os error 111); \
                 trying again in 10 s"
            )
        );
    }
}

#[test]
#[ignore = "needs redis-server; `make test` runs it"]
fn an_answer_that_makes_no_sense_is_an_error_that_says_what_came() {
    let redis = Redis::start();
    let (_rng, rng) = Program::serve(env!("CARGO_BIN_EXE_rng"), &[]);
    let (_hasher, hasher) = Program::serve(env!("CARGO_BIN_EXE_hasher"), &[]);
    // Each where the other belongs: hasher has no /32, and rng takes no POST.
    for (worker, reason) in [
        (
            worker(&hasher, &hasher, &redis.url()),
            format!("rng at {hasher}: answered 404 Not Found; trying again in 10 s"),
        ),
        (
            worker(&rng, &rng, &redis.url()),
            format!("hasher at {rng}: answered 405 Method Not Allowed; trying again in 10 s"),
        ),
    ] {
        assert_eq!(worker.log_line("trying again"), reason);
    }
}

#[test]
fn a_redis_that_is_away_is_told_before_any_work_and_sigterm_ends_the_wait() {
    let away = refused();
    let mut worker = worker(&away, &away, &format!("redis://:s3cret@{away}"));
    assert_eq!(
        worker.log_line("trying again"),
        format!("redis at {away}: Connection refused (os error 111); trying again in 10 s")
    );
    let (took, code) = worker.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(4), "took {took:?}");
}

#[test]
fn sigterm_ends_a_question_that_is_not_answered() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let mut worker = worker("rng", "hasher", &format!("redis://{address}"));
    // It has connected, and waits for an answer.
    let _connection = silent.accept().unwrap();
    let (took, code) = worker.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(4), "took {took:?}");
}

#[test]
fn a_setting_that_is_no_peer_is_told_without_repeating_it() {
    let mut worker = worker("user:s3cret@rng", "hasher", "redis://redis");
    assert_eq!(worker.end().code(), Some(1));
    assert_eq!(
        worker.log_line("RNG_URL"),
        "RNG_URL is not the URL of a peer: write http://host or http://host:port"
    );
}
