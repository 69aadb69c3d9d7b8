//! Invariants under generated responses: no panic, bounded errors, no credential in an error,
//! although servers echo them.
//!
//! Each case is a script for a registry and its token server on one address: statuses, headers and
//! bodies close to valid ones, with the credential and the token anywhere in them.

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use resolver::Digest;
use support::server::{Answer, Server, header, reply};
use support::{ask, key, keyring, resolver, with_identity_token};

/// The number of scripts; each takes a few local requests.
const CASES: u32 = 1_000;

/// The longest error: the image, a few addresses, a message of 300 characters, and fixed text.
const ERROR_MAX: usize = 2500;

/// Placeholders of values that are known when a script runs.
const PASSWORD: &str = "{password}";
const ESCAPED: &str = "{escaped}";
const SENT: &str = "{sent}";
const TOKEN: &str = "{token}";
const SHOWN: &str = "{shown}";
const ADDRESS: &str = "{address}";

/// A response.
#[derive(Clone, Debug)]
struct Reply {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// The responses by request.
#[derive(Clone, Debug)]
struct Script {
    username: String,
    password: String,
    /// Whether `password` is an identity token.
    is_identity: bool,
    token: String,
    /// Without an authorization.
    nameless: Reply,
    head: Reply,
    get: Reply,
    front_door: Reply,
    token_server: Reply,
    elsewhere: Reply,
}

impl Script {
    fn reply_to(&self, request: &str) -> &Reply {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path {
            "/v2/" => &self.front_door,
            _ if path.starts_with("/token") => &self.token_server,
            _ if !path.starts_with("/v2/team/app/manifests/") => &self.elsewhere,
            _ if header(request, "authorization").is_none() => &self.nameless,
            _ if request.starts_with("HEAD ") => &self.head,
            _ => &self.get,
        }
    }

    /// The credential as sent.
    fn sent(&self) -> String {
        match self.is_identity {
            true => encoded(&self.password),
            false => BASE64_STANDARD.encode(format!("{}:{}", self.username, self.password)),
        }
    }

    fn play(&self, request: &str) -> Answer {
        let Reply {
            status,
            headers,
            body,
        } = self.reply_to(request);
        let form = request.split_once("\r\n\r\n").map(|(_, form)| form);
        let shown = header(request, "authorization")
            .or(form)
            .unwrap_or_default();
        let address = format!("http://{}", header(request, "host").unwrap_or_default());
        let filled = |text: &str| {
            text.replace(PASSWORD, &self.password)
                .replace(ESCAPED, &escaped(&self.password))
                .replace(SENT, &self.sent())
                .replace(TOKEN, &self.token)
                .replace(SHOWN, shown)
                .replace(ADDRESS, &address)
        };
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, filled(value).replace(['\r', '\n'], " ")))
            .collect();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        reply(request, status, &headers, &filled(body))
    }
}

#[test]
fn no_response_panics_or_leaks_a_credential() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let script: Arc<Mutex<Option<Script>>> = Arc::default();
    let played = script.clone();
    let server = runtime.block_on(Server::start(move |request| {
        played.lock().unwrap().as_ref().unwrap().play(request)
    }));
    let resolver = resolver();
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let held = TestRunner::new(config).run(&any_script(), |case| {
        *script.lock().unwrap() = Some(case.clone());
        let at = key(&server.address);
        let logins = match case.is_identity {
            true => with_identity_token(at, &case.password),
            false => keyring(&[("regcred", at, &case.username, &case.password)]),
        };
        let outcome = runtime.block_on(ask(&resolver, &server.address, &logins));
        let told = match &outcome {
            Ok(resolved) => format!("{resolved:?}"),
            Err(error) => format!("{error}\n{error:?}"),
        };
        let escaped = escaped(&case.password);
        for secret in [&case.password, &escaped, &case.sent(), &case.token] {
            prop_assert!(!told.contains(secret), "{secret:?} is in {told}");
        }
        if let Err(error) = outcome {
            prop_assert!(error.to_string().len() <= ERROR_MAX, "{error}");
            prop_assert!(
                !error.to_string().chars().any(char::is_control),
                "{error:?}"
            );
            let wait = error.retry_after().unwrap_or_default();
            prop_assert!(wait <= Duration::from_secs(24 * 60 * 60));
        }
        Ok(())
    });
    held.unwrap();
}

fn any_script() -> impl Strategy<Value = Script> {
    let login = (
        any::<bool>(),
        "[a-z]{1,6}",
        "pw-[ -~äß\u{200b}]{4,20}",
        "tk-[A-Za-z0-9._~+/=-]{8,40}",
    );
    let replies = (
        any_reply("401 Unauthorized"),
        any_reply("200 OK"),
        any_reply("200 OK"),
        any_reply("401 Unauthorized"),
        any_reply("200 OK"),
        any_reply("200 OK"),
    );
    (login, replies).prop_map(|((is_identity, username, password, token), replies)| {
        let (nameless, head, get, front_door, token_server, elsewhere) = replies;
        Script {
            username,
            password,
            is_identity,
            token,
            nameless,
            head,
            get,
            front_door,
            token_server,
            elsewhere,
        }
    })
}

/// A response, half of the time with this status.
fn any_reply(likely: &'static str) -> impl Strategy<Value = Reply> {
    let status = prop_oneof![
        10 => Just(likely),
        10 => prop::sample::select(vec![
            "100 Continue", "200 OK", "204 No Content", "301 Moved", "304 Not Modified", "307 Temporary Redirect",
            "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "429 Too Many",
            "500 Broken", "503 Away", "999 Odd",
        ]),
    ];
    (
        status,
        prop::collection::vec(any_header(), 0..6),
        any_body(),
    )
        .prop_map(|(status, headers, body)| Reply {
            status,
            headers,
            body,
        })
}

fn any_header() -> impl Strategy<Value = (&'static str, String)> {
    let digest = prop_oneof![
        3 => Just(Digest::of(MANIFEST.as_bytes()).to_string()),
        1 => Just(Digest::of(b"another").to_string()),
        1 => prop::sample::select(vec!["", "sha256:", "sha256:0", "md5:0"]).prop_map(str::to_owned),
        1 => any_text(),
    ];
    let media_type = prop_oneof![
        3 => prop::sample::select(vec![
            "application/vnd.oci.image.index.v1+json",
            "APPLICATION/vnd.oci.image.manifest.v1+json; charset=utf-8",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "text/html",
        ]).prop_map(str::to_owned),
        1 => any_text(),
    ];
    let wait = prop_oneof![
        prop::sample::select(vec![
            "0",
            "-1",
            "120",
            "18446744073709551615",
            "99999999999999999999999",
            "1e9",
            "soon",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Friday, 31-Dec-99 23:59:59 GMT",
        ])
        .prop_map(str::to_owned),
        any_text(),
    ];
    prop_oneof![
        2 => digest.prop_map(|value| ("Docker-Content-Digest", value)),
        2 => media_type.prop_map(|value| ("Content-Type", value)),
        2 => any_challenge().prop_map(|value| ("WWW-Authenticate", value)),
        2 => any_address().prop_map(|value| ("Location", value)),
        1 => wait.prop_map(|value| ("Retry-After", value)),
        1 => any_text().prop_map(|value| ("RateLimit-Remaining", format!("9;w={value}"))),
        1 => any_address().prop_map(|value| ("Link", format!("<{value}>; rel=\"next\""))),
    ]
}

fn any_challenge() -> impl Strategy<Value = String> {
    let parameter = prop_oneof![
        any_address().prop_map(|realm| format!("realm=\"{realm}\"")),
        any_text().prop_map(|service| format!("service=\"{service}\"")),
        any_text().prop_map(|scope| format!("scope={scope}")),
    ];
    let bearer = prop::collection::vec(parameter, 0..4)
        .prop_map(|parameters| format!("Bearer {}", parameters.join(",")));
    prop_oneof![
        3 => Just(format!("Bearer realm=\"{ADDRESS}/token\",service=\"x\"")),
        3 => Just("Basic realm=\"x\"".to_owned()),
        3 => bearer,
        1 => any_text(),
    ]
}

/// Redirect targets; no host name among them resolves.
fn any_address() -> impl Strategy<Value = String> {
    let below = prop::sample::select(vec![
        "/token",
        "/elsewhere",
        "/v2/",
        "/v2/team/app/manifests/v1",
        "/",
        "",
        "?a=b",
        "#c",
    ]);
    let server = prop::sample::select(vec![
        ADDRESS,
        "",
        "http://127.0.0.1:1",
        "https://127.0.0.1:1",
        "//127.0.0.1:1",
        "http://169.254.169.254",
        "https://[::1]:1",
        "http://u:p@127.0.0.1:1",
        "ftp://127.0.0.1",
        "http://",
        "https://127.0.0.1:99999",
        "http://a_b",
        "HTTP://127.0.0.1:1",
        "http://2130706433:1",
    ]);
    let long = "[a-z]{300}".prop_map(|label| format!("http://{}.invalid/x", label.repeat(50)));
    prop_oneof![
        6 => (server, below).prop_map(|(server, below)| format!("{server}{below}")),
        2 => (Just(ADDRESS), any_text()).prop_map(|(server, text)| format!("{server}/{text}")),
        1 => long,
        1 => any_text(),
    ]
}

const MANIFEST: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

fn any_body() -> impl Strategy<Value = String> {
    let document = (any_text(), any_text()).prop_map(|(code, message)| {
        let (code, message) = (quoted(&code), quoted(&message));
        format!(r#"{{"errors":[{{"code":{code},"message":{message},"detail":null}}]}}"#)
    });
    let token = (any_text(), any::<i64>()).prop_map(|(token, life)| {
        format!(
            r#"{{"token":{},"access_token":"{TOKEN}","expires_in":{life}}}"#,
            quoted(&token)
        )
    });
    let other = prop::sample::select(vec![
        "",
        "{",
        "[]",
        "null",
        "7",
        "{\"token\":7}",
        "{\"token\":\"\"}",
        "{\"errors\":7}",
        "{\"errors\":[7,null]}",
        "{\"details\":\"{shown}\"}",
        "{\"error\":\"{escaped}\"}",
        "<html>{password}",
        "{\"error\":\"{escaped}\"} and more",
        "\u{feff}{}",
    ]);
    prop_oneof![
        3 => Just(MANIFEST.to_owned()),
        3 => Just(format!(r#"{{"token":"{TOKEN}","expires_in":300}}"#)),
        3 => document,
        2 => token,
        2 => other.prop_map(str::to_owned),
        2 => any_text(),
        1 => (any_text(), 0..200_000usize).prop_map(|(text, length)| format!("{}{text}", "x".repeat(length))),
    ]
}

/// Text with the sent values in it: the whole token only after it was sent.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        2 => "[a-z0-9]{0,6}",
        1 => "[ -~\u{0}-\u{1f}äß\u{200b}\u{202e}]{0,4}",
        1 => Just(PASSWORD.to_owned()),
        1 => Just(SENT.to_owned()),
        1 => Just(SHOWN.to_owned()),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// A JSON string with the sent values escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace(PASSWORD, ESCAPED))
}

/// Encoded for a form.
fn encoded(text: &str) -> String {
    const NOT_PLAIN: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(text, NOT_PLAIN).to_string()
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
