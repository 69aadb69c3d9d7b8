//! Names are read as Docker reads them: the same texts are given to its own Go code.
//!
//! The texts are those of which upstream's tables of tests are made, in every combination, and
//! as many again that are put together by chance. One difference is meant: what upstream takes for
//! an image without a host is refused.

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use resolver::Reference;
use serde::Deserialize;
use support::judge::{assert_same, generated, judged};

/// How many texts are put together by chance.
const GENERATED: usize = 60_000;

/// A name with its defaults filled in, in parts and whole.
#[derive(Debug, Default, PartialEq, Deserialize)]
struct Name {
    host: String,
    repository: String,
    tag: String,
    digest: String,
    normal: String,
    familiar: String,
}

impl Name {
    fn of(reference: Reference) -> Name {
        let text = |part: Option<String>| part.unwrap_or_default();
        Name {
            host: reference.host().to_owned(),
            repository: reference.repository().to_owned(),
            tag: text(reference.tag().map(str::to_owned)),
            digest: text(reference.digest().map(ToString::to_string)),
            normal: reference.to_string(),
            familiar: reference.familiar(),
        }
    }
}

#[test]
#[ignore = "needs the judge, which needs Go; make test runs it"]
fn names_are_read_as_in_go() {
    let mut texts = combined();
    texts.extend(generated(GENERATED, near_names()));
    let texts: Vec<String> = texts.into_iter().collect();
    let go: Vec<Option<Name>> = judged("names", &texts);
    let cases = texts.into_iter().zip(go).map(|(text, go)| {
        let ours = Reference::parse(&text).ok().map(Reference::or_latest);
        (text, ours.map(Name::of), go)
    });
    let has_no_host = |_: &String, ours: &Option<Name>, go: &Option<Name>| {
        ours.is_none() && go.as_ref().is_some_and(|name| name.host.is_empty())
    };
    assert_same("names", cases, has_no_host);
}

/// Hosts, good and bad.
const HOSTS: [&str; 51] = [
    "localhost",
    "docker.io",
    "index.docker.io",
    "registry-1.docker.io",
    "DOCKER.IO",
    "docker.io:443",
    "foo.com",
    "foo.com:5000",
    "foo.com:",
    "foo.com:08",
    "foo:bar",
    "[::1]",
    "[::1]:5000",
    "[fe80::1%25en0]",
    "[::1",
    "::1",
    "[g::1]",
    "[2001:DB8::1]:443",
    "ex_ample.com",
    "a--b.com",
    "-a.com",
    "a-.com",
    "a..com",
    ".com",
    "com.",
    "Foo",
    "fOO",
    "foo",
    "foo_bar.com",
    "xn--n3h.com",
    "123.1",
    "localhost:5000",
    "LOCALHOST",
    "a__b.c",
    "é.com",
    "É",
    "[]",
    "[:]:1",
    "x.y:99999999",
    "host:0",
    " foo.com",
    "foo.com\n",
    "1",
    "a-b",
    "-",
    "my:port",
    "A.b:1",
    "l_h:5000",
    "[::1]x:1",
    "[::1]:",
    "[1:2]:3:4",
];

/// What stands before a tag or a digest, good and bad; some texts are too long to be written out.
fn paths() -> Vec<String> {
    let hex = hex(64);
    let written = [
        "alpine",
        "library/alpine",
        "a/b/c",
        "Foo/bar",
        "foo/Bar",
        "a..b",
        "a.b",
        "a_b",
        "a__b",
        "a___b",
        "a--b",
        "a---b",
        "a-.b",
        "a.-b",
        "_a",
        "a_",
        "-a",
        "a-",
        ".a",
        "a.",
        "",
        "/",
        "a//b",
        "a/",
        "/a",
        "é",
        "a b",
        "docker.io",
        "localhost",
        "index.docker.io/x",
        "a\n",
        "a\t",
        "0/0",
        "a/b_c/d-e/f.g",
        "aa/asdf$$^/aa",
        "sha256",
        "a@b",
        "%41",
    ];
    let long = [
        "x".repeat(247),
        "x".repeat(248),
        "x".repeat(255),
        "x".repeat(256),
        format!("library/{}", "x".repeat(247)),
        format!("{hex}a"),
        hex.to_uppercase(),
        hex,
    ];
    written.map(str::to_owned).into_iter().chain(long).collect()
}

/// What may stand behind a path, good and bad.
fn tags() -> Vec<String> {
    let written = [
        "", ":", ":latest", ":v1.0", ":_x", ":-x", ":.x", ":A_b.c-d", ":é", ":a b", ":a/b",
        ":5000", ":x:y", ":0", ":a\n", ":٣", ":a+b",
    ];
    let long = [128, 129].map(|length| format!(":{}", "x".repeat(length)));
    written.map(str::to_owned).into_iter().chain(long).collect()
}

fn digests() -> Vec<String> {
    let short = hex(64);
    vec![
        String::new(),
        "@".to_owned(),
        "@sha256".to_owned(),
        format!("@sha256:{short}"),
        format!("@sha384:{}", hex(96)),
        format!("@sha512:{}", hex(128)),
        format!("@sha256:{}", short.to_uppercase()),
        format!("@SHA256:{short}"),
        format!("@sha256:{}", hex(63)),
        format!("@sha256:{}", hex(65)),
        format!("@sha512:{short}"),
        format!("@md5:{}", hex(32)),
        format!("@tarsum.v1+sha256:{short}"),
        format!("@sha256:{short}@sha256:{short}"),
        format!("@@sha256:{short}"),
    ]
}

fn hex(length: usize) -> String {
    "0123456789abcdef".chars().cycle().take(length).collect()
}

/// Hosts with paths, and paths with tags and digests.
fn combined() -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    let (paths, tags, digests) = (paths(), tags(), digests());
    for path in paths.iter().map(String::as_str).chain(HOSTS) {
        texts.extend(HOSTS.iter().map(|host| format!("{host}/{path}")));
        for tag in &tags {
            texts.extend(digests.iter().map(|digest| format!("{path}{tag}{digest}")));
        }
    }
    texts
}

/// Names of those parts, with a letter put in or taken out in half of them; and short texts of
/// the letters that mean something.
fn near_names() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just(String::new()),
        prop::sample::select(&HOSTS[..]).prop_map(|host| format!("{host}/")),
    ];
    let whole = (
        host,
        prop::sample::select(paths()),
        prop::sample::select(tags()),
        prop::sample::select(digests()),
    )
        .prop_map(|(host, path, tag, digest)| format!("{host}{path}{tag}{digest}"));
    let changed = (
        whole.clone(),
        any::<prop::sample::Index>(),
        prop::option::of(any::<char>()),
    )
        .prop_map(|(text, at, letter)| {
            let mut letters: Vec<char> = text.chars().collect();
            match letter {
                Some(letter) => letters.insert(at.index(letters.len() + 1), letter),
                None if letters.is_empty() => {}
                None => drop(letters.remove(at.index(letters.len()))),
            }
            letters.into_iter().collect()
        });
    prop_oneof![
        whole,
        changed,
        "[ab0.:/@A_-]{0,9}",
        "[ab0AZ.:/@_%\\[\\] \n\técl-]{0,14}",
    ]
}
