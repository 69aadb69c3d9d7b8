use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;

fn keyring(auths: &str) -> Keyring {
    let mut keyring = Keyring::new();
    let payload = format!(r#"{{"auths":{auths}}}"#);
    assert_eq!(
        keyring.add("regcred", payload.as_bytes(), Format::DockerConfigJson),
        Ok(Vec::new())
    );
    keyring
}

/// The user names that would be tried, with a keyring of one login for each key, named by it.
fn tried(keys: &[&str], target: &str) -> Vec<String> {
    let entries: Vec<_> = keys
        .iter()
        .map(|key| format!(r#""{key}":{{"username":"{key}","password":"x"}}"#))
        .collect();
    let keyring = keyring(&format!("{{{}}}", entries.join(",")));
    keyring
        .lookup(target)
        .iter()
        .map(|credential| credential.username().to_owned())
        .collect()
}

#[test]
fn keys_match_as_in_the_kubelet() {
    let none: [&str; 0] = [];
    assert_eq!(tried(&["quay.io"], "quay.io/coreos/etcd"), ["quay.io"]);
    assert_eq!(
        tried(&["https://quay.io"], "quay.io/a"),
        ["https://quay.io"]
    );
    assert_eq!(
        tried(&["https://quay.io/v2/"], "quay.io/a"),
        ["https://quay.io/v2/"]
    );
    assert_eq!(
        tried(&["quay.io/v1"], "quay.io/a"),
        none,
        "a version without its slash is a path"
    );
    assert_eq!(
        tried(&["quay.io/v1/org"], "quay.io/org/a"),
        ["quay.io/v1/org"]
    );
    assert_eq!(
        tried(&["quay.io/core"], "quay.io/coreos/etcd"),
        ["quay.io/core"],
        "a path is a plain prefix"
    );
    assert_eq!(tried(&["quay.io/other"], "quay.io/coreos/etcd"), none);
    assert_eq!(tried(&["*.io"], "quay.io/a"), ["*.io"]);
    assert_eq!(tried(&["q*y.*"], "quay.io/a"), ["q*y.*"]);
    assert_eq!(
        tried(&["*"], "quay.io/a"),
        none,
        "labels are matched one by one"
    );
    assert_eq!(tried(&["*.docker.io"], "docker.io/library/redis"), none);
    assert_eq!(
        tried(&["registry:5000"], "registry:5000/a"),
        ["registry:5000"]
    );
    assert_eq!(
        tried(&["registry", "registry:80"], "registry:5000/a"),
        none,
        "ports must be equal"
    );
    assert_eq!(tried(&["quay.io:443"], "quay.io/a"), none);
    assert_eq!(tried(&["[::1]:5000"], "[::1]:5000/a"), ["[::1]:5000"]);
    assert_eq!(
        tried(&["[::1]"], "[::1]/a"),
        none,
        "the kubelet takes the brackets for a set"
    );
    assert_eq!(
        tried(&["user@quay.io/a?b#c"], "quay.io/abc"),
        ["user@quay.io/a?b#c"]
    );
}

#[test]
fn every_match_is_tried_the_greatest_key_first() {
    let keys = [
        "*.io",
        "quay.io",
        "quay.io/core",
        "quay.io/coreos",
        "gcr.io",
    ];
    assert_eq!(
        tried(&keys, "quay.io/coreos/etcd"),
        ["quay.io/coreos", "quay.io/core", "quay.io", "*.io"]
    );
}

#[test]
fn docker_hub_key_serves_only_if_nothing_else_matches() {
    let old = "https://index.docker.io/v1/";
    assert_eq!(tried(&[old], "docker.io/library/redis"), [old]);
    assert_eq!(
        tried(&["index.docker.io"], "docker.io/org/app"),
        ["index.docker.io"]
    );
    assert_eq!(
        tried(&[old, "docker.io"], "docker.io/org/app"),
        ["docker.io"]
    );
    assert_eq!(tried(&[old], "quay.io/a"), [] as [&str; 0]);
    assert_eq!(
        tried(
            &["index.docker.io/org", "registry-1.docker.io"],
            "docker.io/org/app"
        ),
        [] as [&str; 0]
    );
}

#[test]
fn secrets_are_tried_in_the_order_in_which_they_were_added() {
    let mut keyring = Keyring::new();
    for name in ["zebra", "ant"] {
        let payload = format!(r#"{{"quay.io":{{"username":"{name}","password":"secret"}}}}"#);
        keyring
            .add(name, payload.as_bytes(), Format::DockerCfg)
            .unwrap();
    }
    let credential = |name: &str| Credential {
        source: name.to_owned(),
        key: "quay.io".to_owned(),
        username: name.to_owned(),
        proof: Proof::Password("secret".to_owned()),
    };
    assert_eq!(
        keyring.lookup("quay.io/a"),
        [&credential("zebra"), &credential("ant")]
    );
}

#[test]
fn a_login_is_read_from_its_fields_or_from_auth() {
    let auth = |text: &str| BASE64_STANDARD.encode(text);
    let read = |entry: String| {
        let keyring = keyring(&format!(r#"{{"quay.io":{entry}}}"#));
        let [credential] = keyring.lookup("quay.io/a")[..] else {
            panic!("no login")
        };
        (
            credential.username.clone(),
            credential.proof().value().to_owned(),
        )
    };
    let pair = |username: &str, password: &str| (username.to_owned(), password.to_owned());
    assert_eq!(
        read(r#"{"username":"u","password":"p","email":"e"}"#.to_owned()),
        pair("u", "p")
    );
    assert_eq!(
        read(format!(r#"{{"auth":"{}"}}"#, auth("u:p:q"))),
        pair("u", "p:q")
    );
    assert_eq!(
        read(format!(
            r#"{{"auth":"{}"}}"#,
            auth("uu:p").trim_end_matches('=')
        )),
        pair("uu", "p")
    );
    assert_eq!(
        read(format!(
            r#"{{"username":"x","password":"y","auth":"{}"}}"#,
            auth("u:p")
        )),
        pair("u", "p")
    );
    assert_eq!(
        read(r#"{"Username":"u","PASSWORD":"p"}"#.to_owned()),
        pair("u", "p")
    );
    assert_eq!(read("null".to_owned()), pair("", ""));
}

#[test]
fn last_duplicate_member_wins_and_null_is_ignored() {
    let tried = |payload: &str| {
        let mut keyring = Keyring::new();
        let skipped = keyring
            .add("regcred", payload.as_bytes(), Format::DockerConfigJson)
            .unwrap();
        assert_eq!(skipped, []);
        let found = keyring.lookup("quay.io/a");
        let pair = |credential: &&Credential| {
            (
                credential.username.clone(),
                credential.proof().value().to_owned(),
            )
        };
        found.iter().map(pair).collect::<Vec<_>>()
    };
    let last = [("last".to_owned(), "p".to_owned())];
    let fields = [
        r#"{"username":"first","username":"last","password":"p"}"#,
        r#"{"username":"first","USERNAME":"last","password":"p"}"#,
        r#"{"Username":"first","username":"last","password":"p"}"#,
        r#"{"username":"first","u\u017fername":"last","password":"p"}"#,
        r#"{"username":"last","username":null,"password":"p"}"#,
        r#"{"username":"last","password":"p","email":null,"extra":[{}]}"#,
    ];
    for entry in fields {
        let payload = format!(r#"{{"auths":{{"quay.io":{entry}}}}}"#);
        assert_eq!(tried(&payload), last, "{payload}");
    }
    let entry = r#"{"username":"last","password":"p"}"#;
    for payload in [
        format!(r#"{{"auths":{{"quay.io":{{}},"quay.io":{entry}}}}}"#),
        format!(r#"{{"auths":{{"quay.io":{{}}}},"Auths":{{"quay.io":{entry}}}}}"#),
        format!(r#"{{"auths":{{"quay.io":{entry}}},"AUTHS":{{"a.io":{{}}}}}}"#),
        format!(r#"{{"auths":{{"quay.io/a":{{}}}},"auths":null,"auths":{{"quay.io":{entry}}}}}"#),
    ] {
        assert_eq!(tried(&payload), last, "{payload}");
    }
    for payload in [
        "null",
        "{}",
        r#"{"auths":null}"#,
        r#"{"auths":{"quay.io":{}},"auths":null}"#,
    ] {
        assert_eq!(tried(payload), [], "{payload}");
    }
}

#[test]
fn documents_and_entries_are_invalid_as_for_the_kubelet() {
    let mut keyring = Keyring::new();
    let mut add = |payload: &str| {
        keyring
            .add("regcred", payload.as_bytes(), Format::DockerConfigJson)
            .map_err(|error| error.problem)
    };
    let headers = "its `HttpHeaders` is not an object of strings";
    for bad in [r#"{"X":1}"#, "[]", r#""x""#] {
        let payload = format!(r#"{{"auths":{{}},"HttpHeaders":{bad}}}"#);
        assert_eq!(add(&payload), Err(headers.to_owned()), "{payload}");
    }
    for good in [r#"{"X":"1","Y":null}"#, "{}", "null"] {
        let payload = format!(r#"{{"auths":{{}},"HttpHeaders":{good}}}"#);
        assert_eq!(add(&payload), Ok(Vec::new()), "{payload}");
    }
    let skipped = Skipped {
        source_name: "regcred".to_owned(),
        key: "a.io".to_owned(),
        problem: "its `email` must be a string",
    };
    assert_eq!(
        add(r#"{"auths":{"a.io":{"username":"u","email":5}}}"#),
        Ok(vec![skipped])
    );
}

#[test]
fn unusual_keys_are_parsed_as_in_go() {
    let cases = [
        // Go reads a key twice, and the second time its zone is no longer encoded.
        ("[fe80::1%25en0]:1", "[fe80::1%25en0]:1/a", false),
        ("[::1]", "1/a", true),
        ("[::1]", "2/a", false),
        ("qu%C3%A9.io", "qué.io/a", true),
        ("q]uay", "q]uay/a", true),
        ("quay.io?%zz", "quay.io/a", true),
        ("user:p%41@quay.io", "quay.io/a", true),
        ("https://https://quay.io", "https://quay.io", true),
        ("quay.io", "https://quay.io", false),
    ];
    for (key, target, expected) in cases {
        assert_eq!(tried(&[key], target).len(), usize::from(expected), "{key}");
    }
    for key in [
        "quay.io#%zz",
        "us er@quay.io",
        "%zz@quay.io",
        "qu%61y.io",
        "a:b:1",
        "[1.2.3.4]",
        "[::1]x",
        "[::1%25]",
        "a[::1]",
        "qu|ay.io",
    ] {
        let payload = format!(r#"{{"{key}":{{}}}}"#);
        let skipped = Keyring::new().add("regcred", payload.as_bytes(), Format::DockerCfg);
        assert_eq!(skipped.unwrap().len(), 1, "{key}");
    }
}

#[test]
fn invalid_entry_is_skipped_and_reported() {
    let mut keyring = Keyring::new();
    let payload = br#"{"auths":{
        "a.io":{"auth":"hunter2!"}, "b.io":{"auth":"aHVudGVyMg=="}, "c.io":{"username":7},
        "d e.io":{"username":"u"}, "e.io":"hunter2", "f.io/%zz":{}, "good.io":{"username":"u","password":"p"}}}"#;
    let skipped = keyring
        .add("regcred", payload, Format::DockerConfigJson)
        .unwrap();
    let told: Vec<_> = skipped.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "the entry `a.io` of regcred is skipped: its `auth` is not base64; it should be base64(username:password)",
            "the entry `b.io` of regcred is skipped: its `auth` has no colon; it should be base64(username:password)",
            "the entry `c.io` of regcred is skipped: its `username`, `password` and `auth` must be strings",
            "the entry `d e.io` of regcred is skipped: its key has an invalid host: write one such as `registry.example.com:5000`",
            "the entry `e.io` of regcred is skipped: it is not an object with `username` and `password`, or `auth`",
            "the entry `f.io/%zz` of regcred is skipped: its key's path has an invalid `%` escape: write the path unescaped",
        ]
    );
    assert_eq!(keyring.lookup("good.io/a").len(), 1);
}

#[test]
fn invalid_payload_is_refused_without_quoting() {
    let cases = [
        (
            "hunter2",
            "regcred holds no registry logins: it is not JSON (line 1, column 1)",
        ),
        (
            "[\"hunter2\"]",
            "regcred holds no registry logins: it is not a JSON object",
        ),
        (
            r#"{"auths":"hunter2"}"#,
            "regcred holds no registry logins: its `auths` is not an object",
        ),
    ];
    for (payload, expected) in cases {
        let mut keyring = Keyring::new();
        let error = keyring
            .add("regcred", payload.as_bytes(), Format::DockerConfigJson)
            .unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(keyring.is_empty());
    }
}

#[test]
fn passwords_are_hidden() {
    let keyring = keyring(r#"{"quay.io":{"username":"u","password":"hunter2"}}"#);
    assert_eq!(
        format!("{keyring:?}"),
        r#"[Credential { source: "regcred", key: "quay.io", username: "u", .. }]"#
    );
}

#[test]
fn identity_tokens_are_read_from_user_files_only() {
    let auth = BASE64_STANDARD.encode("00000000-0000-0000-0000-000000000000:");
    let payload = format!(
        r#"{{"auths":{{
            "acr.example.com":{{"auth":"{auth}","identitytoken":"t1"}},
            "bare.example.com":{{"identitytoken":"t2"}},
            "elsewhere.example.com":{{}},
            "odd.example.com":{{"identitytoken":7}},
            "plain.example.com":{{"username":"u","password":"p","identitytoken":""}}
        }},"credsStore":"desktop"}}"#
    );
    let read = |format| {
        let mut keyring = Keyring::new();
        let skipped = keyring.add("config.json", payload.as_bytes(), format);
        let skipped: Vec<_> = skipped.unwrap().into_iter().map(|s| s.problem).collect();
        let logins: Vec<_> = keyring
            .all()
            .map(|login| {
                let host = login.key().split('.').next().unwrap().to_owned();
                (host, login.username().to_owned(), login.proof().clone())
            })
            .collect();
        (logins, skipped)
    };
    let login =
        |host: &str, username: &str, proof: Proof| (host.to_owned(), username.to_owned(), proof);
    let password = |text: &str| Proof::Password(text.to_owned());
    let token = |text: &str| Proof::IdentityToken(text.to_owned());
    let nobody = "00000000-0000-0000-0000-000000000000";
    assert_eq!(
        read(Format::DockerConfig),
        (
            vec![
                login("acr", nobody, token("t1")),
                login("bare", "", token("t2")),
                login("plain", "u", password("p")),
            ],
            vec!["its `identitytoken` must be a string"]
        )
    );
    assert_eq!(
        read(Format::DockerConfigJson),
        (
            vec![
                login("acr", nobody, password("")),
                login("bare", "", password("")),
                login("elsewhere", "", password("")),
                login("odd", "", password("")),
                login("plain", "u", password("p")),
            ],
            vec![]
        )
    );
    assert_eq!(format!("{:?}", token("hunter2")), "IdentityToken");
}
