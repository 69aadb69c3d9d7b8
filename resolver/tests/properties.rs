//! Invariants of the parsers for arbitrary text.

use std::path::Path;

use proptest::prelude::*;
use resolver::{Digest, Endpoint, Format, Keyring, Prefix, Proxies, Reference, challenge, hosts};

/// Text close to a name: pieces of the grammar in any order, with other letters between.
fn near_names() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z0-9]{1,4}",
        3 => "[./:@_-]",
        1 => Just("docker.io/".to_owned()),
        1 => Just("localhost:5000/".to_owned()),
        1 => Just("[::1]:5000/".to_owned()),
        1 => Just("library/".to_owned()),
        1 => Just(format!("@sha256:{}", "0af9".repeat(16))),
        1 => Just(format!("@sha512:{}", "0af9".repeat(32))),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Text close to a `hosts.toml`.
fn near_hosts() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("[host.\"https://a.example\"]".to_owned()),
        "\\[host\\.\"(https?://)?[a-z.:/@\\[\\]0-9]{0,8}\"\\]",
        "server = \"(https?://)?[a-z.:/@%?0-9]{0,12}\"",
        "(ca|client|capabilities|header|host) = [\\[\"{][\\[\"a-z, =]{0,8}[\\]\"}]{1,2}",
        "dial_timeout = \"[-+0-9.hmsnuµ]{0,12}\"",
        "(skip_verify|override_path) = (true|false|1)",
        "\\PC{0,12}",
    ];
    prop::collection::vec(line, 0..6).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn normalised_reference_round_trips(text in near_names()) {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference.clone()));
            prop_assert_eq!(reference.clone().or_latest().or_latest(), reference.or_latest());
        }
    }

    #[test]
    fn the_familiar_form_means_the_same_image(text in near_names()) {
        if let Ok(reference) = Reference::parse(&text) {
            // Left to itself, a path such as `docker.io/x` on Docker Hub looks like a host and a
            // path: it has no short form that means it, upstream neither.
            let first = reference.repository().split('/').next().unwrap();
            if first != "localhost" && !first.contains('.') {
                prop_assert_eq!(Reference::parse(&reference.familiar()), Ok(reference));
            }
        }
    }

    #[test]
    fn reference_is_the_sum_of_its_parts(text in near_names()) {
        if let Ok(reference) = Reference::parse(&text) {
            let tag = reference.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
            let digest = reference.digest().map(|digest| format!("@{digest}")).unwrap_or_default();
            prop_assert_eq!(
                reference.to_string(),
                format!("{}/{}{tag}{digest}", reference.host(), reference.repository())
            );
        }
    }

    #[test]
    fn normalised_prefix_round_trips(text in near_names()) {
        if let Ok(prefix) = Prefix::parse(&text) {
            prop_assert_eq!(Prefix::parse(&prefix.to_string()), Ok(prefix.clone()));
            if let Ok(image) = prefix.image("rng", "v1") {
                prop_assert_eq!(image.host(), prefix.host());
                prop_assert_eq!(Reference::parse(&image.to_string()), Ok(image));
            }
        }
    }

    #[test]
    fn an_endpoint_is_read_as_itself(text in "(https?://)?[a-z0-9.:@/\\[\\]_-]{0,20}") {
        if let Ok(endpoint) = Endpoint::parse(&text) {
            prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
        }
    }

    #[test]
    fn any_text_is_parsed(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        let _ = (Reference::parse(&text), Prefix::parse(&text), Digest::parse(&text), Endpoint::parse(&text));
        let _ = challenge::parse([text.as_str()]);
        let mut keyring = Keyring::new();
        let _ = keyring.add("any", &bytes, Format::DockerConfigJson);
        let entry = [("auth", &text), ("username", &text)];
        let entry: std::collections::BTreeMap<_, _> = entry.into_iter().collect();
        let payload = serde_json::json!({ text.clone(): entry }).to_string();
        let _ = keyring.add("any", payload.as_bytes(), Format::DockerCfg);
        let _ = keyring.lookup(&text);
    }

    #[test]
    fn any_challenge_is_parsed(text in "((Basic|Bearer|realm|scope|service|x)[ ,=\"\\\\\t]{0,3}(\"[^\"]{0,5}\")?){0,6}") {
        let _ = challenge::parse([text.as_str()]);
    }

    #[test]
    fn parsed_hosts_have_valid_addresses(text in near_hosts()) {
        let registry = Endpoint::parse("https://quay.io").unwrap();
        match hosts::parse(Path::new("/a/hosts.toml"), &text, &registry) {
            Ok(hosts) => {
                prop_assert!(!hosts.is_empty());
                for host in hosts {
                    prop_assert_eq!(Endpoint::parse(&host.endpoint.to_string()), Ok(host.endpoint.clone()));
                    let address = format!("{}{}/a/manifests/b", host.endpoint, host.path);
                    prop_assert!(address.parse::<hyper::Uri>().is_ok(), "{}", address);
                }
            }
            Err(error) => prop_assert!(!error.problem.is_empty() && !error.problem.contains('\n')),
        }
    }

    #[test]
    fn any_no_proxy_list_is_parsed(list in "\\PC{0,24}") {
        prop_assert!(Proxies::new("proxy:1", "proxy:1", &list).is_ok());
    }
}
