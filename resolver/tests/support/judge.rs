//! Runs the Go program in `tests/judges/live`, which answers as Docker and the kubelet do, and
//! generates its inputs.

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most differences that are printed.
const SHOWN_MAX: usize = 20;

/// The program's answers in order. `subject` is `names` or `keyring`.
pub fn judged<A: DeserializeOwned>(subject: &str, questions: &[impl Serialize]) -> Vec<A> {
    let program = std::env::var_os("JUDGE").unwrap_or_else(|| {
        panic!("JUDGE must say where the judge is: run make test, or set it to what local/tool judge prints")
    });
    let mut process = Command::new(program)
        .arg(subject)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = BufWriter::new(process.stdin.take().unwrap());
    let output = BufReader::new(process.stdout.take().unwrap());
    let lines: Vec<String> = questions
        .iter()
        .map(|question| serde_json::to_string(question).unwrap())
        .collect();
    // It answers while it is asked: both pipes would fill up otherwise.
    let asking = std::thread::spawn(move || {
        for line in lines {
            writeln!(input, "{line}").unwrap();
        }
    });
    let answers: Vec<A> = output
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    asking.join().unwrap();
    assert!(process.wait().unwrap().success());
    assert_eq!(answers.len(), questions.len());
    answers
}

/// The same values of a kind every time.
pub fn generated<T: Debug>(how_many: usize, of: impl Strategy<Value = T>) -> Vec<T> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..how_many)
        .map(|_| of.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// Counts the cases in which we answer otherwise than Go, tells the counts, and fails if there are
/// any. `may_differ` are cases in which we mean to.
pub fn assert_same<Q: Debug, A: Debug + PartialEq>(
    subject: &str,
    cases: impl IntoIterator<Item = (Q, A, A)>,
    may_differ: impl Fn(&Q, &A, &A) -> bool,
) {
    let (mut compared, mut meant) = (0, 0);
    let mut differing = Vec::new();
    for (question, ours, go) in cases {
        compared += 1;
        if ours == go {
            continue;
        }
        match may_differ(&question, &ours, &go) {
            true => meant += 1,
            false => differing.push(format!("{question:?}\n  ours: {ours:?}\n  Go's: {go:?}")),
        }
    }
    super::tell(&format!(
        "{subject}: {compared} compared with Go, {} differ, {meant} meant to",
        differing.len()
    ));
    let shown = &differing[..differing.len().min(SHOWN_MAX)];
    assert!(differing.is_empty(), "{}", shown.join("\n"));
}
