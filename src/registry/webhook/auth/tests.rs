use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

const KEY: &str = "correct-horse.battery_staple~1";

fn secret() -> Secret {
    Secret::parse(KEY).unwrap()
}

/// Headers, by name and value.
type Shown<'a> = &'a [(&'static str, &'a str)];

fn headers(pairs: Shown) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        })
        .collect()
}

#[test]
fn the_secret_is_accepted_in_path_or_header() {
    let path = format!("/hooks/{KEY}");
    let plain = format!("Bearer {KEY}");
    let lower = format!("bearer  {KEY}");
    let cases: [(&str, Shown); 7] = [
        (&path, &[]),
        ("/hooks", &[("authorization", KEY)]),
        ("/hooks/", &[("authorization", KEY)]),
        ("/hooks", &[("authorization", &plain)]),
        ("/hooks", &[("authorization", &lower)]),
        // Pub/Sub's own token, beside the secret in the address.
        (&path, &[("authorization", "Bearer eyJhbGciOiJSUzI1NiJ9")]),
        ("/hooks/else", &[("authorization", KEY)]),
    ];
    for (path, shown) in cases {
        assert_eq!(
            secret().authenticate(path, &headers(shown)),
            Ok(Credential::Secret),
            "{path} {shown:?}"
        );
    }
}

#[test]
fn a_wrong_secret_is_rejected() {
    let longer = format!("/hooks/{KEY}1");
    let below = format!("/hooks/{KEY}/more");
    let other_path = format!("/other/{KEY}");
    let basic = format!("Basic {KEY}");
    let cases: [(&str, Shown, AuthError); 12] = [
        ("/hooks", &[], AuthError::Missing),
        ("/hooks/", &[], AuthError::Missing),
        (&other_path, &[], AuthError::Missing),
        ("/hooks/else", &[], AuthError::Wrong),
        (&longer, &[], AuthError::Wrong),
        (&below, &[], AuthError::Wrong),
        (
            "/hooks/correct-horse.battery_staple~",
            &[],
            AuthError::Wrong,
        ),
        ("/hooks", &[("authorization", "")], AuthError::Wrong),
        ("/hooks", &[("authorization", "Bearer ")], AuthError::Wrong),
        ("/hooks", &[("authorization", &basic)], AuthError::Wrong),
        (
            "/hooks",
            &[("x-hub-signature-256", "sha256=00")],
            AuthError::Wrong,
        ),
        ("/hooks", &[("x-hub-signature-256", "")], AuthError::Wrong),
    ];
    for (path, shown, expected) in cases {
        assert_eq!(
            secret().authenticate(path, &headers(shown)),
            Err(expected),
            "{path} {shown:?}"
        );
    }
}

/// The values of GitHub's page about validating deliveries; OpenSSL computes the same. Its secret could not stand
/// in a path, so it is not parsed.
#[test]
fn githubs_own_example_of_a_signature_holds() {
    let secret = Secret {
        key: "It's a Secret to Everybody".to_owned(),
        hash: [0; 32],
    };
    let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    for hex in [hex.to_owned(), hex.to_uppercase()] {
        let shown = headers(&[("x-hub-signature-256", &format!("sha256={hex}"))]);
        let Ok(Credential::Signature(signature)) = secret.authenticate("/hooks", &shown) else {
            panic!("{shown:?} is not read as a signature");
        };
        assert!(secret.verify(b"Hello, World!", &signature));
        assert!(!secret.verify(b"Hello, World?", &signature));
        assert!(!self::secret().verify(b"Hello, World!", &signature));
    }
}

#[test]
fn a_malformed_signature_is_rejected() {
    let hex = "0af9".repeat(16);
    for text in [
        hex.clone(),
        format!("sha1={hex}"),
        format!("sha256={}", &hex[1..]),
        format!("sha256={hex}0"),
        format!("sha256=+{}", &hex[1..]),
        format!("sha256={}g", &hex[1..]),
        "sha256=".to_owned(),
    ] {
        assert_eq!(Signature::parse(text.as_bytes()), None, "{text}");
    }
    let upper = format!("sha256={}", hex.to_uppercase());
    let expected: Vec<u8> = [0x0a, 0xf9].repeat(16);
    assert_eq!(
        Signature::parse(upper.as_bytes()).map(|signature| signature.0.to_vec()),
        Some(expected)
    );
}

#[test]
fn a_secret_is_parsed_without_line_ends() {
    for text in [KEY.to_owned(), format!("{KEY}\n"), format!("{KEY}\r\n")] {
        let path = format!("/hooks/{KEY}");
        let secret = Secret::parse(&text).unwrap();
        assert_eq!(
            secret.authenticate(&path, &HeaderMap::new()),
            Ok(Credential::Secret)
        );
    }
}

#[test]
fn short_long_or_unsafe_secrets_are_rejected() {
    let long = "x".repeat(257);
    let cases = [
        ("", SecretError::TooShort { length: 0 }),
        ("\n", SecretError::TooShort { length: 0 }),
        ("fifteen-letters", SecretError::TooShort { length: 15 }),
        (&long, SecretError::TooLong { length: 257 }),
        ("with spaces in between", SecretError::Characters),
        ("a/slash/in/between/it", SecretError::Characters),
        ("percent%20percent%20", SecretError::Characters),
        ("ümläuts-are-no-ascii", SecretError::Characters),
    ];
    for (text, expected) in cases {
        assert_eq!(Secret::parse(text).err(), Some(expected), "{text}");
    }
}

#[test]
fn debug_output_hides_the_secret() {
    assert_eq!(format!("{:?}", secret()), "Secret { .. }");
    let error = Secret::parse("hunter2 hunter2 hunter2").unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
