use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn normalized(text: &str) -> String {
    Reference::parse(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .or_latest()
        .to_string()
}

#[test]
fn names_are_normalised_as_docker_does() {
    let pinned = format!("docker.io/library/redis:7@sha256:{HEX}");
    let cases = [
        ("alpine", "docker.io/library/alpine:latest"),
        ("alpine:3", "docker.io/library/alpine:3"),
        ("library/alpine", "docker.io/library/alpine:latest"),
        ("dockercoins/rng:v0.1", "docker.io/dockercoins/rng:v0.1"),
        ("docker.io/alpine", "docker.io/library/alpine:latest"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest"),
        (
            "registry-1.docker.io/library/alpine",
            "registry-1.docker.io/library/alpine:latest",
        ),
        ("docker.io:443/alpine", "docker.io:443/alpine:latest"),
        ("DOCKER.IO/alpine", "DOCKER.IO/alpine:latest"),
        ("localhost", "docker.io/library/localhost:latest"),
        ("localhost/alpine", "localhost/alpine:latest"),
        ("localhost:5000/alpine", "localhost:5000/alpine:latest"),
        ("foo.com:5000", "docker.io/library/foo.com:5000"),
        ("MyReg/foo", "MyReg/foo:latest"),
        (
            "gcr.io/google-containers/alpine-with-bash:1.0",
            "gcr.io/google-containers/alpine-with-bash:1.0",
        ),
        (
            "registry.mycompany.io:5000/myimage:awesome",
            "registry.mycompany.io:5000/myimage:awesome",
        ),
        ("[2001:db8::1]/a", "[2001:db8::1]/a:latest"),
        ("[2001:db8::1]:5000/a/b:c", "[2001:db8::1]:5000/a/b:c"),
        ("a.b/c__d/e---f.g:_A.b-c", "a.b/c__d/e---f.g:_A.b-c"),
        (&format!("redis:7@sha256:{HEX}"), &pinned),
        (
            &format!("redis@sha256:{HEX}"),
            &format!("docker.io/library/redis@sha256:{HEX}"),
        ),
    ];
    for (written, expected) in cases {
        assert_eq!(normalized(written), expected, "{written}");
    }
}

#[test]
fn parts_and_short_form_are_given() {
    let text = format!("quay.io/org/app:v1@sha256:{HEX}");
    let reference = Reference::parse(&text).unwrap();
    let digest = Digest::parse(&format!("sha256:{HEX}")).unwrap();
    assert_eq!(
        (
            reference.host(),
            reference.repository(),
            reference.tag(),
            reference.digest()
        ),
        ("quay.io", "org/app", Some("v1"), Some(&digest))
    );
    assert_eq!(reference.familiar(), text);
    assert_eq!(reference.without_digest().to_string(), "quay.io/org/app:v1");
    assert_eq!(reference.without_digest().with_digest(&digest), reference);
    for (written, familiar) in [
        ("docker.io/library/redis:7", "redis:7"),
        ("docker.io/org/app", "org/app"),
        ("docker.io/library/a/b", "library/a/b"),
        ("localhost/redis", "localhost/redis"),
    ] {
        assert_eq!(Reference::parse(written).unwrap().familiar(), familiar);
    }
}

#[test]
fn invalid_names_are_refused_with_a_reason() {
    let host = |host: &str| NameError::Host {
        host: host.to_owned(),
    };
    let path = |path: &str| NameError::Path {
        path: path.to_owned(),
    };
    let tag = |tag: &str| NameError::Tag {
        tag: tag.to_owned(),
    };
    let long = "x".repeat(256);
    let cases = [
        ("", NameError::EmptyReference),
        (
            HEX,
            NameError::ImageId {
                name: HEX.to_owned(),
            },
        ),
        (
            "Alpine",
            NameError::Uppercase {
                name: "Alpine".to_owned(),
                lowercase: "alpine".to_owned(),
            },
        ),
        (
            "a.b/C:x",
            NameError::Uppercase {
                name: "C".to_owned(),
                lowercase: "c".to_owned(),
            },
        ),
        ("ex_ample.com/foo", host("ex_ample.com")),
        ("-a.com/foo", host("-a.com")),
        ("foo.com:port/a", host("foo.com:port")),
        ("[fe80::1%25en0]/a", host("[fe80::1%25en0]")),
        ("[::1/a", host("[::1")),
        ("a..b", path("a..b")),
        ("a.b/", path("")),
        ("a/_b", path("a/_b")),
        ("a___b", path("a___b")),
        ("a.b//c", path("/c")),
        ("é", path("é")),
        ("a:", tag("")),
        ("a:-x", tag("-x")),
        ("a:٣", tag("٣")),
        ("a:b:c", tag("b:c")),
        (&format!("a:{long}"), tag(&long)),
        (
            &format!("a.b/{long}"),
            NameError::PathTooLong { length: 256 },
        ),
        (&"x".repeat(248), NameError::PathTooLong { length: 256 }),
        (
            "a@",
            NameError::DigestAlgorithm {
                digest: String::new(),
            },
        ),
        (
            "a@md5:0",
            NameError::DigestAlgorithm {
                digest: "md5:0".to_owned(),
            },
        ),
        (
            "a@sha256:0",
            NameError::DigestHex {
                digest: "sha256:0".to_owned(),
                algorithm: "sha256",
                length: 64,
            },
        ),
        (
            " alpine",
            NameError::Spaces {
                text: " alpine".to_owned(),
            },
        ),
        (
            "https://quay.io/a",
            NameError::Scheme {
                text: "https://quay.io/a".to_owned(),
                without: "quay.io/a".to_owned(),
            },
        ),
    ];
    for (written, expected) in cases {
        assert_eq!(Reference::parse(written), Err(expected), "{written}");
    }
}

#[test]
fn a_path_of_255_characters_is_taken_however_long_the_host() {
    let path = "x".repeat(255);
    let host = format!("{}.com:5000", "h".repeat(200));
    assert_eq!(
        Reference::parse(&format!("{host}/{path}"))
            .unwrap()
            .repository(),
        path
    );
}

#[test]
fn prefixes_are_normalised() {
    let cases = [
        ("docker.io/dockercoins", "docker.io/dockercoins"),
        ("dockercoins", "docker.io/dockercoins"),
        ("dockercoins/", "docker.io/dockercoins"),
        ("index.docker.io/dockercoins", "docker.io/dockercoins"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("a/b", "docker.io/a/b"),
        ("localhost", "localhost"),
        ("localhost:5000", "localhost:5000"),
        ("registry:5000", "registry:5000"),
        ("registry:5000/", "registry:5000"),
        (
            "registry.example.com/team/apps",
            "registry.example.com/team/apps",
        ),
        ("[::1]", "[::1]"),
        ("[fe80::abcd]:5000/x", "[fe80::abcd]:5000/x"),
    ];
    for (written, expected) in cases {
        let prefix = Prefix::parse(written).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(prefix.to_string(), expected, "{written}");
    }
}

#[test]
fn images_stand_below_their_prefix() {
    let image = |prefix: &str, name, tag| {
        Prefix::parse(prefix)
            .unwrap()
            .image(name, tag)
            .map(|image| image.to_string())
    };
    assert_eq!(
        image("dockercoins", "rng", "v0.1"),
        Ok("docker.io/dockercoins/rng:v0.1".to_owned())
    );
    assert_eq!(
        image("docker.io", "redis", "7"),
        Ok("docker.io/library/redis:7".to_owned())
    );
    assert_eq!(
        image("registry:5000", "rng", "v1"),
        Ok("registry:5000/rng:v1".to_owned())
    );
    assert_eq!(
        image("registry:5000", "rng", "v1@sha256:0"),
        Err(NameError::Tag {
            tag: "v1@sha256:0".to_owned()
        })
    );
    assert_eq!(
        image(&"x".repeat(252), "rng", "v1"),
        Err(NameError::PathTooLong { length: 256 })
    );
}

#[test]
fn invalid_prefixes_are_refused_with_a_fix() {
    let cases = [
        (
            "",
            "the registry prefix is empty: write a host and path such as `registry.example.com/team`, or a Docker Hub namespace such as `dockercoins`",
        ),
        (
            "/",
            "the registry prefix is empty: write a host and path such as `registry.example.com/team`, or a Docker Hub namespace such as `dockercoins`",
        ),
        (
            "https://quay.io/team",
            "`https://quay.io/team` has a scheme: write `quay.io/team`",
        ),
        (
            "http://registry:5000/team/",
            "`http://registry:5000/team` has a scheme: write `registry:5000/team`, and for plain HTTP the endpoint `http://registry:5000`",
        ),
        (
            "my team",
            "`my team` has spaces in it: an image name has none",
        ),
        (
            "quay.io/team\n",
            "`quay.io/team\\n` has spaces around it: write `quay.io/team`",
        ),
        (
            "quay.io/team@sha256:0",
            "the registry prefix `quay.io/team@sha256:0` has a digest: write `quay.io/team`; a digest belongs to one image",
        ),
        (
            "quay.io/team:v1",
            "the registry prefix `quay.io/team:v1` has a tag: write `quay.io/team`, and the tag in the field for it",
        ),
        (
            "dockercoins:v1",
            "the registry prefix `dockercoins:v1` has a tag: write `dockercoins`, and the tag in the field for it",
        ),
        (
            "a/b:5000",
            "the registry prefix `a/b:5000` has a tag: write `a/b`, and the tag in the field for it",
        ),
        (
            "DockerCoins",
            "`DockerCoins` has uppercase letters, which only a tag may have: write `dockercoins`",
        ),
        (
            "quay.io/Team",
            "`Team` has uppercase letters, which only a tag may have: write `team`",
        ),
        (
            "my_host.com/team",
            "`my_host.com` is not a registry host: write a DNS name without underscores, or an IPv6 address in brackets, and a port if there is one, for example `registry.example.com:5000`",
        ),
        (
            "quay.io/_team",
            "`_team` is not a repository name: write lowercase letters and digits, with single `.`, `_` or `-` between them and `/` between the parts, for example `team/app`",
        ),
        (
            "quay.io//",
            "an empty string is not a repository name: write lowercase letters and digits, with single `.`, `_` or `-` between them and `/` between the parts, for example `team/app`",
        ),
    ];
    for (written, expected) in cases {
        assert_eq!(
            Prefix::parse(written).map_err(|error| error.to_string()),
            Err(expected.to_owned()),
            "{written}"
        );
    }
}
