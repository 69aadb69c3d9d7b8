//! Pull secrets are read, and logins matched, as the kubelet does it: the same secrets and images
//! are given to its own Go code.
//!
//! Not asked about are documents that are no Unicode, or that go beyond what any JSON reader has
//! to take (numbers that no float holds, nesting deeper than a hundred).

mod support;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use proptest::prelude::*;
use resolver::{Credential, Format, Keyring};
use serde::{Deserialize, Serialize};
use serde_json::json;
use support::judge::{assert_same, generated, judged};
use support::tell;

/// How many keyrings are compared; each is asked for several images.
const GENERATED: usize = 20_000;

/// Pull secrets, and the images that logins are wanted for.
#[derive(Clone, Debug, Serialize)]
struct Question {
    secrets: Vec<Secret>,
    images: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Secret {
    /// Whether it is of the older type, `kubernetes.io/dockercfg`.
    old: bool,
    payload: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Answer {
    secrets: Vec<Read>,
    tried: Vec<Vec<Login>>,
}

/// What became of a secret.
#[derive(Debug, PartialEq, Deserialize)]
struct Read {
    refused: bool,
    skipped: Vec<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Login {
    username: String,
    password: String,
}

#[test]
#[ignore = "needs the judge, which needs Go; make test runs it"]
fn logins_are_read_and_matched_as_in_go() {
    let questions = generated(GENERATED, question());
    let go: Vec<Answer> = judged("keyring", &questions);
    let tried = go.iter().flat_map(|answer| &answer.tried);
    let (found, missing): (Vec<_>, Vec<_>) = tried.partition(|logins| !logins.is_empty());
    let (found, missing) = (found.len(), missing.len());
    tell(&format!(
        "keyrings: {found} images with logins, {missing} without"
    ));
    assert!(found.min(missing) > GENERATED / 2, "they compare little");
    let cases = questions.into_iter().zip(go).map(|(question, go)| {
        let ours = answer(&question, &go);
        (question, ours, go)
    });
    assert_same("keyrings", cases, |_, _, _| false);
}

/// Our answer. Go's is needed since a password of ours shows nowhere: it can only be compared.
fn answer(question: &Question, go: &Answer) -> Answer {
    let mut keyring = Keyring::new();
    let secrets = question
        .secrets
        .iter()
        .map(|secret| {
            let format = match secret.old {
                true => Format::DockerCfg,
                false => Format::DockerConfigJson,
            };
            match keyring.add("secret", secret.payload.as_bytes(), format) {
                Ok(skipped) => Read {
                    refused: false,
                    skipped: skipped.into_iter().map(|skipped| skipped.key).collect(),
                },
                Err(_) => Read {
                    refused: true,
                    skipped: Vec::new(),
                },
            }
        })
        .collect();
    let tried = question.images.iter().zip(&go.tried).map(|(image, go)| {
        let found = keyring.lookup(image);
        let go = go.iter().map(Some).chain(std::iter::repeat(None));
        found
            .into_iter()
            .zip(go)
            .map(|(ours, go)| Login {
                username: ours.username().to_owned(),
                password: match go {
                    Some(go) if is_no_text(ours) || ours == &like(ours, image, go) => {
                        go.password.clone()
                    }
                    _ => "<another>".to_owned(),
                },
            })
            .collect()
    });
    Answer {
        secrets,
        tried: tried.collect(),
    }
}

/// Whether its key can't be written again. Passwords under such keys are not compared.
fn is_no_text(credential: &Credential) -> bool {
    credential.key().contains('\u{fffd}')
}

/// The credential that ours would be with Go's name and password: from a keyring with nothing
/// else in it, in which it stands under the same key.
fn like(ours: &Credential, image: &str, go: &Login) -> Credential {
    let (host, path) = ours
        .key()
        .split_at(ours.key().find('/').unwrap_or(ours.key().len()));
    let host = host.replace('%', "%25");
    let path: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
    // A key's path is decoded, and loses one version at its head: so this one has one to lose.
    let written = match path.is_empty() {
        true => host,
        false => format!("{host}/v1{}", path.replacen("%2F", "/", 1)),
    };
    let payload = json!({ written: { "username": go.username, "password": go.password } });
    let mut keyring = Keyring::new();
    keyring
        .add("secret", payload.to_string().as_bytes(), Format::DockerCfg)
        .unwrap();
    match keyring.lookup(image)[..] {
        [like] => like.clone(),
        _ => panic!("{payload} has no login for {image}, and {ours:?} is one"),
    }
}

fn question() -> impl Strategy<Value = Question> {
    let secrets = prop::collection::vec(secret(), 0..4);
    let images = prop::collection::vec(image(), 1..6);
    (secrets, images).prop_map(|(secrets, images)| Question { secrets, images })
}

fn secret() -> impl Strategy<Value = Secret> {
    let auths = prop_oneof![
        12 => prop::collection::vec((key().prop_map(quoted), entry()), 0..5).prop_map(object),
        1 => Just("null".to_owned()),
        1 => prop::sample::select(vec!["[]", "\"x\"", "1", "true", "{\"a\":{}"]).prop_map(str::to_owned),
    ];
    let name = prop_oneof![
        10 => Just("auths"),
        1 => prop::sample::select(vec!["Auths", "AUTHS", "authſ", "auth", "credsStore"]),
    ];
    let member = (name.prop_map(quoted), auths.clone());
    let headers = prop::sample::select(vec![
        "{}",
        "null",
        "{\"User-Agent\":\"x\"}",
        "{\"X\":null}",
        "{\"X\":1}",
        "[]",
        "\"x\"",
    ]);
    let with_headers = (member.clone(), headers).prop_map(|(member, headers)| {
        object(vec![
            member,
            ("\"HttpHeaders\"".to_owned(), headers.to_owned()),
        ])
    });
    let new = prop_oneof![
        10 => member.clone().prop_map(|member| object(vec![member])),
        2 => prop::collection::vec(member, 0..4).prop_map(object),
        1 => with_headers,
        1 => prop::sample::select(vec!["{}", "null", "[]", " {} ", "{} x", "\"x\"", "7", "{"]).prop_map(str::to_owned),
    ];
    prop_oneof![
        4 => new.prop_map(|payload| Secret { old: false, payload }),
        1 => auths.prop_map(|payload| Secret { old: true, payload }),
    ]
}

/// One entry, as JSON.
fn entry() -> impl Strategy<Value = String> {
    let login = || ("[a-z]{1,3}", "[a-z:é ]{0,4}");
    let fields = || {
        let name = prop::sample::select(vec![
            "username",
            "password",
            "Username",
            "PASSWORD",
            "uſername",
            "email",
            "auth",
            "extra",
        ]);
        let value = prop_oneof![
            8 => "[a-z]{0,3}".prop_map(quoted),
            1 => prop::sample::select(vec!["null", "5", "[1]", "{}", "true", "\"\""]).prop_map(str::to_owned),
        ];
        prop::collection::vec((name.prop_map(quoted), value), 0..5).prop_map(object)
    };
    let with_auth = |auth: String| object(vec![("\"auth\"".to_owned(), quoted(auth))]);
    prop_oneof![
        4 => login().prop_map(|(username, password)| object(vec![
            ("\"username\"".to_owned(), quoted(username)),
            ("\"password\"".to_owned(), quoted(password)),
        ])),
        4 => encoded().prop_map(with_auth),
        3 => fields(),
        1 => (encoded(), fields()).prop_map(|(auth, fields)| {
            let rest = fields.trim_start_matches('{').trim_end_matches('}').to_owned();
            let comma = if rest.is_empty() { "" } else { "," };
            format!("{{{rest}{comma}\"auth\":{}}}", quoted(auth))
        }),
        1 => prop::sample::select(vec!["null", "[]", "\"x\"", "1", "{}"]).prop_map(str::to_owned),
    ]
}

/// What stands as `auth`: base64 in its forms, of what it should be of and of other things.
fn encoded() -> impl Strategy<Value = String> {
    let bytes = prop_oneof![
        6 => "[a-z]{0,3}:[a-z:é]{0,4}".prop_map(String::into_bytes),
        1 => "[a-z]{0,4}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let form = prop::sample::select(vec!["padded", "bare", "lined", "spaced", "doubled"]);
    let right = (bytes, form).prop_map(|(bytes, form)| {
        let padded = BASE64_STANDARD.encode(&bytes);
        match form {
            "padded" => padded,
            "bare" => BASE64_STANDARD_NO_PAD.encode(&bytes),
            "lined" => padded.chars().flat_map(|letter| [letter, '\n']).collect(),
            "spaced" => format!(" {padded} "),
            _ => format!("{padded}="),
        }
    });
    prop_oneof![8 => right, 1 => "[A-Za-z0-9+/=_-]{0,8}", 1 => "[!é=\r\n A]{0,4}"]
}

/// Where a login is kept for.
fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "quay.io",
        "quay.io/core",
        "quay.io/coreos",
        "https://quay.io",
        "https://quay.io/v2/",
        "https://quay.io/v1/coreos",
        "quay.io/v1",
        "quay.io/v2",
        "quay.io/v1/",
        "*.io",
        "*.*",
        "q*y.io",
        "*",
        "qu?y.io",
        "*.docker.io",
        "index.docker.io",
        "https://index.docker.io/v1/",
        "https://index.docker.io/v1",
        "index.docker.io/org",
        "docker.io",
        "docker.io/library",
        "docker.io/",
        "registry-1.docker.io",
        "http://registry:5000",
        "registry:5000",
        "registry",
        "localhost:5000",
        "localhost",
        "[::1]:5000",
        "[::1]",
        "*:5000",
        "registry:*",
        "user@quay.io",
        "user:p@quay.io",
        "quay.io?x",
        "quay.io#f",
        "quay.io/a%20b",
        "quay.io/%zz",
        "qu%61y.io",
        "[q]uay.io",
        "q[u]ay.io",
        "a b.io",
        "",
        "/",
        "https://",
        "https:///x",
        "quay.io:443",
        "quay.io:",
        "quay.io:0x",
        "HTTPS://quay.io",
        "Quay.io",
        "ftp://quay.io",
        "quay.io//core",
        "quay.io/\n",
        "é.io",
        "*.é",
        "a.b.c:1:2",
        "::1",
        "a\\b.io",
        "*a*b*.io",
        "quay.io/v2/v2/",
        "1.2.3.4:5000",
        "*.2.3.4:5000",
        "quay.io/core%6fs",
        "quay.io/%2525",
        "quay.io/%25",
        "[fe80::1%25en0]:1",
        "[::ffff:1.2.3.4]:1",
        "[1.2.3.4]",
    ]);
    let piece = prop::sample::select(vec![
        "https://", "http://", "quay", ".", "io", "*", ":", "5000", "/", "core", "v1", "v2", "@",
        "?", "#", "%", "%2f", "%41", "[", "]", "::1", " ", "-", "_", "\\", "^", "é", "%e9",
        "\u{7f}", "<", "|", "\"", "+", "&", "~", "{",
    ]);
    let near = prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat());
    // So that most images find some: what is not found compares little.
    let likely = prop::sample::select(vec![
        "quay.io",
        "https://quay.io",
        "quay.io/core",
        "quay.io/coreos",
        "*.io",
        "*.*",
        "index.docker.io",
        "https://index.docker.io/v1/",
        "docker.io",
        "docker.io/library",
        "registry:5000",
        "localhost:5000",
        "*:5000",
    ]);
    prop_oneof![
        5 => likely.prop_map(str::to_owned),
        3 => known.prop_map(str::to_owned),
        2 => near,
    ]
}

/// What a login is wanted for.
fn image() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "quay.io/coreos/etcd",
        "quay.io/core",
        "quay.io",
        "docker.io/library/redis",
        "docker.io/org/app",
        "index.docker.io/library/redis",
        "redis",
        "library/redis",
        "registry:5000/a/b",
        "registry/a",
        "localhost:5000/x",
        "localhost/x",
        "[::1]:5000/x",
        "[::1]/x",
        "foo.docker.io/x",
        "quay.io/v1/x",
        "quay.io/v1",
        "quay.io:443/x",
        "quay.io/a b",
        "é.io/x",
        "1.2.3.4:5000/x",
        "axbx.io/y",
        "Quay.io/coreos",
        "quay.io/%25",
        "a.b/c",
        "/x",
        "",
    ]);
    let likely = prop::sample::select(vec![
        "quay.io/coreos/etcd",
        "quay.io/a",
        "docker.io/library/redis",
        "docker.io/org/app",
        "registry:5000/a/b",
        "localhost:5000/x",
    ]);
    prop_oneof![
        4 => likely.prop_map(str::to_owned),
        3 => known.prop_map(str::to_owned),
        1 => key(),
    ]
}

fn quoted(text: impl Into<String>) -> String {
    serde_json::Value::from(text.into()).to_string()
}

/// An object of these members, in this order, a name as often as it stands.
fn object(members: Vec<(String, String)>) -> String {
    let members: Vec<String> = members
        .into_iter()
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}
