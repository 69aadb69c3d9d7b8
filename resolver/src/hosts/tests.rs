use super::*;
use crate::names::Reference;

/// What containerd makes of good files stands in `tests/judges`; here is what differs from it, and
/// how refusals are told.
fn read(text: &str) -> Result<Vec<Host>, HostsError> {
    let registry = Endpoint::of(&Reference::parse("quay.io/a").unwrap()).unwrap();
    parse(Path::new("/certs.d/quay.io/hosts.toml"), text, &registry)
}

fn refusal(text: &str) -> String {
    match read(text) {
        Ok(hosts) => panic!("{text:?} is taken: {hosts:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn folders_are_looked_for_in_containerds_order() {
    let cases = [
        ("quay.io", vec!["quay.io", "_default"]),
        (
            "localhost:5000",
            vec!["localhost_5000_", "localhost:5000", "_default"],
        ),
        (
            "[2001:db8::1]:5000",
            vec!["[2001:db8::1]_5000_", "[2001:db8::1]:5000", "_default"],
        ),
    ];
    for (registry, expected) in cases {
        assert_eq!(folders(registry), expected);
    }
}

#[test]
fn what_a_host_may_be_asked_for_depends_on_tag_or_digest() {
    let cases = [
        (true, true, true, true),
        (true, false, false, true),
        (false, true, false, false),
        (false, false, false, false),
    ];
    for (pull, resolve, by_tag, by_digest) in cases {
        let capabilities = Capabilities { pull, resolve };
        assert_eq!(
            (capabilities.serve(false), capabilities.serve(true)),
            (by_tag, by_digest)
        );
    }
}

#[test]
fn refusals_name_file_table_key_and_what_to_write() {
    let known =
        "`capabilities`, `ca`, `client`, `skip_verify`, `header`, `override_path`, `dial_timeout`";
    let headed = "only tables with a header of their own are followed: write [host.\"https://mirror.example.com\"], and the host's keys below it";
    let pairs = "write a path, a list of paths, or a list of pairs such as [[\"client.cert\", \"client.key\"]]";
    let host = "it names no host: write a DNS name or an IP address (IPv6 in brackets), and a port from 1 to 65535 if there is one, such as https://mirror.example.com:5000";
    let cases = [
        (
            "capabilites = [\"pull\"]",
            format!("capabilites: there is no such key: write one of `server`, `host`, {known}"),
        ),
        (
            "Host = {}",
            format!("Host: there is no such key: write one of `server`, `host`, {known}"),
        ),
        (
            "[host.\"https://a\"]\nserver = \"https://b\"",
            format!("[host.\"https://a\"]: server: there is no such key: write one of {known}"),
        ),
        (
            "[host.\"https://a\"]\n[host.\"https://a\".rewrite]\n\"^x\" = \"y\"",
            format!("[host.\"https://a\"]: rewrite: there is no such key: write one of {known}"),
        ),
        ("host = 1", format!("host: {headed}")),
        ("[[host]]", format!("host: {headed}")),
        (
            "host = { \"https://a\" = {} }",
            format!("host: {headed}"),
        ),
        ("[host]\n\"https://a\" = {}", format!("host: {headed}")),
        (
            "[host]\n\"https://a\".ca = \"x\"",
            format!("host: {headed}"),
        ),
        ("host.\"https://a\".ca = \"x\"", format!("host: {headed}")),
        (
            "server = 1",
            "server: it is no text: write it in quotes".to_owned(),
        ),
        (
            "[host.\"https://a\"]\nskip_verify = \"true\"",
            "[host.\"https://a\"]: skip_verify: write true or false, without quotes".to_owned(),
        ),
        (
            "[host.\"https://a\"]\ncapabilities = [\"pulls\"]",
            "[host.\"https://a\"]: capabilities: write a list of \"pull\", \"resolve\", \"push\" and \"referrers\"".to_owned(),
        ),
        (
            "[host.\"https://a\"]\nca = \"\"",
            "[host.\"https://a\"]: ca: write a path, or a list of paths".to_owned(),
        ),
        (
            "[host.\"https://a\"]\nclient = [[\"a\"]]",
            format!("[host.\"https://a\"]: client: {pairs}"),
        ),
        (
            "[host.\"https://a\"]\ndial_timeout = \"-1s\"",
            "[host.\"https://a\"]: dial_timeout: \"-1s\" is no duration: write one such as \"1s\" or \"500ms\"".to_owned(),
        ),
        (
            "server = \"ftp://a\"",
            "server: write an address by https:// or http://".to_owned(),
        ),
        (
            "server = \"httpd.example.com\"",
            "server: write the scheme: \"https://httpd.example.com\"".to_owned(),
        ),
        (
            "server = \"https://bob:hunter2@a:5000/x\"",
            "server: there is a login in the address, which is not used: write \"https://a:5000/x\", and keep the login in a pull secret".to_owned(),
        ),
        (
            "[host.\"bob:hunter2@a\"]",
            "[host.\"a\"]: there is a login in the address, which is not used: write \"a\", and keep the login in a pull secret".to_owned(),
        ),
        (
            "[host.\"https://a?x=y\"]",
            "[host.\"https://a?x=y\"]: the path has the character '?': write letters, digits and -._~!$&'()*+,;=:@/ only".to_owned(),
        ),
        (
            "[host.\"https://a/%2e\"]",
            "[host.\"https://a/%2e\"]: the path has the character '%': write letters, digits and -._~!$&'()*+,;=:@/ only".to_owned(),
        ),
        ("server = \"https://\"", format!("server: {host}")),
        ("server = \"https://a:0\"", format!("server: {host}")),
        ("server = \"https:///x\"", format!("server: {host}")),
        (
            "[header]\n\"a b\" = \"x\"",
            "header: \"a b\" can't be a header's name".to_owned(),
        ),
        (
            "[header]\nhost = \"x\"",
            "header: `host` belongs to the connection: leave it out".to_owned(),
        ),
        (
            "[header]\nx-secret = \"hunter2\\n\"",
            "header: `x-secret` has characters that no header may have".to_owned(),
        ),
        (
            "[header]\nx = 1",
            "header: `x` is neither a text nor a list of texts".to_owned(),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            refusal(text),
            format!("/certs.d/quay.io/hosts.toml: {expected}"),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_toml_is_told_by_its_line_and_without_its_text() {
    let told = refusal("server = \"https://a\"\n[header]\nauthorization = \"Basic aHVudGVyMg==\n");
    assert!(
        told.starts_with("/certs.d/quay.io/hosts.toml: line 3: it is not TOML: "),
        "{told}"
    );
    assert!(!told.contains("aHVudGVyMg"), "{told}");
}

#[test]
fn values_of_headers_show_nowhere() {
    let hosts = read("[header]\nauthorization = \"Basic aHVudGVyMg==\"").unwrap();
    assert!(!format!("{hosts:?}").contains("aHVudGVyMg"));
    let headers = &hosts[0].settings.headers;
    assert_eq!(headers[0].1, "Basic aHVudGVyMg==");
}

#[test]
fn a_host_that_is_named_twice_is_asked_once() {
    let text = "[host.\"https://a\"]\n[host.\"https://b\"]\n[host.\"https://a\".header]\nx = \"y\"";
    let endpoints: Vec<_> = read(text)
        .unwrap()
        .iter()
        .map(|host| host.endpoint.to_string())
        .collect();
    assert_eq!(endpoints, ["https://a", "https://b", "https://quay.io"]);
}

#[test]
fn an_empty_key_file_means_that_the_key_is_with_the_certificate() {
    let hosts = read("client = [[\"client.pem\", \"\"]]").unwrap();
    let pair = ClientPair {
        certificate: "/certs.d/quay.io/client.pem".into(),
        key: None,
    };
    assert_eq!(hosts[0].settings.clients, [pair]);
}
