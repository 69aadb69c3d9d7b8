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
fn folders_are_searched_in_containerds_order() {
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
fn capabilities_depend_on_tag_or_digest() {
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
fn errors_name_file_table_key_and_fix() {
    let known =
        "`capabilities`, `ca`, `client`, `skip_verify`, `header`, `override_path`, `dial_timeout`";
    let headed = "hosts must be tables with a header of their own: write [host.\"https://mirror.example.com\"], and the host's keys below it";
    let pairs = "write a path, a list of paths, or a list of pairs such as [[\"client.cert\", \"client.key\"]]";
    let host = "the host is invalid: write a DNS name or an IP address (IPv6 in brackets), and a port from 1 to 65535 if there is one, such as https://mirror.example.com:5000";
    let cases = [
        (
            "capabilites = [\"pull\"]",
            format!("capabilites: unknown key: write one of `server`, `host`, {known}"),
        ),
        (
            "Host = {}",
            format!("Host: unknown key: write one of `server`, `host`, {known}"),
        ),
        (
            "[host.\"https://a\"]\nserver = \"https://b\"",
            format!("[host.\"https://a\"]: server: unknown key: write one of {known}"),
        ),
        (
            "[host.\"https://a\"]\n[host.\"https://a\".rewrite]\n\"^x\" = \"y\"",
            format!("[host.\"https://a\"]: rewrite: unknown key: write one of {known}"),
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
            "server: it must be a string: write it in quotes".to_owned(),
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
            "[host.\"https://a\"]: dial_timeout: \"-1s\" is not a duration: write one such as \"1s\" or \"500ms\"".to_owned(),
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
            "server: the address contains a login: write \"https://a:5000/x\", and keep the login in a pull secret".to_owned(),
        ),
        (
            "[host.\"bob:hunter2@a\"]",
            "[host.\"a\"]: the address contains a login: write \"a\", and keep the login in a pull secret".to_owned(),
        ),
        (
            "[host.\"https://a?x=y\"]",
            "[host.\"https://a?x=y\"]: the path has the character '?': write only letters, digits and -._~!$&'()*+,;=:@/".to_owned(),
        ),
        (
            "[host.\"https://a/%2e\"]",
            "[host.\"https://a/%2e\"]: the path has the character '%': write only letters, digits and -._~!$&'()*+,;=:@/".to_owned(),
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
            "header: `x-secret` has characters that are not allowed in a header".to_owned(),
        ),
        (
            "[header]\nx = 1",
            "header: `x` must be a string or a list of strings".to_owned(),
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
fn invalid_toml_is_reported_by_line_without_its_text() {
    let told = refusal("server = \"https://a\"\n[header]\nauthorization = \"Basic aHVudGVyMg==\n");
    assert!(
        told.starts_with("/certs.d/quay.io/hosts.toml: line 3: it is not TOML: "),
        "{told}"
    );
    assert!(!told.contains("aHVudGVyMg"), "{told}");
}

#[test]
fn header_values_are_never_shown() {
    let hosts = read("[header]\nauthorization = \"Basic aHVudGVyMg==\"").unwrap();
    assert!(!format!("{hosts:?}").contains("aHVudGVyMg"));
    let headers = &hosts[0].settings.headers;
    assert_eq!(headers[0].1, "Basic aHVudGVyMg==");
}

#[test]
fn duplicate_host_is_queried_once() {
    let text = "[host.\"https://a\"]\n[host.\"https://b\"]\n[host.\"https://a\".header]\nx = \"y\"";
    let endpoints: Vec<_> = read(text)
        .unwrap()
        .iter()
        .map(|host| host.endpoint.to_string())
        .collect();
    assert_eq!(endpoints, ["https://a", "https://b", "https://quay.io"]);
}

#[test]
fn empty_key_file_means_key_in_the_certificate_file() {
    let hosts = read("client = [[\"client.pem\", \"\"]]").unwrap();
    let pair = ClientPair {
        certificate: "/certs.d/quay.io/client.pem".into(),
        key: None,
    };
    assert_eq!(hosts[0].settings.clients, [pair]);
}
