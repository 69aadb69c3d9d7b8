use serde_json::Value;

use super::*;

#[test]
fn proxies_are_those_of_go() {
    let cases = include_str!("../../tests/judges/proxies/cases.json");
    for case in serde_json::from_str::<Vec<Value>>(cases).unwrap() {
        let text = |key: &str| case[key].as_str().unwrap();
        let proxies = Proxies::new(text("http"), text("https"), text("no")).unwrap();
        for (target, judged) in case["targets"].as_object().unwrap() {
            let found = proxies
                .proxy_for(&target.parse().unwrap())
                .map(Proxy::to_string);
            assert_eq!(found.unwrap_or_default(), *judged, "{target} in {case}");
        }
    }
}

#[test]
fn invalid_proxy_addresses_are_refused_without_quoting() {
    let address = "write one such as http://proxy.example.com:3128";
    let cases = [
        ("http://", address),
        ("http://bob:hunter2@", address),
        ("http://bob:hunter2@proxy:", address),
        ("http://proxy:0", address),
        ("http://proxy:65536", address),
        ("http://pro xy", address),
        (
            "socks5://bob:hunter2@proxy",
            "only http:// and https:// proxies are supported",
        ),
    ];
    for (text, problem) in cases {
        for (variable, refused) in [
            ("HTTP_PROXY", Proxies::new(text, "", "")),
            ("HTTPS_PROXY", Proxies::new("", text, "")),
        ] {
            assert_eq!(refused, Err(ProxyError { variable, problem }), "{text}");
        }
    }
}

#[test]
fn proxy_login_is_sent_and_never_shown() {
    let proxies = Proxies::new("", "http://b%40b:hunter%3A2@proxy:3128/x?y", "").unwrap();
    let target = Uri::from_static("https://quay.io/v2/");
    let proxy = proxies.proxy_for(&target).unwrap();
    assert_eq!(proxy.to_string(), "http://proxy:3128");
    assert_eq!(proxy.uri(), "http://proxy:3128/");
    // base64 of `b@b:hunter:2`.
    assert_eq!(proxy.authorization().unwrap(), "Basic YkBiOmh1bnRlcjoy");
    assert_eq!(
        format!("{proxies:?}"),
        "Proxies { http: None, https: Some(http://proxy:3128), no_proxy: [] }"
    );
}

#[test]
fn a_proxy_serves_its_own_scheme_only() {
    let proxies = Proxies::new("", "proxy:3128", "").unwrap();
    let of = |target| {
        proxies
            .proxy_for(&Uri::from_static(target))
            .map(Proxy::to_string)
    };
    assert_eq!(of("https://quay.io/"), Some("http://proxy:3128".to_owned()));
    assert_eq!(of("http://quay.io/"), None);
}
