//! What holds for every body, however long, odd or broken.

use serde_json::{Value, json};

use super::*;

#[test]
fn long_or_non_json_payloads_are_rejected() {
    let image = br#"{"image": "redis:7"}"#;
    let padded = |length: usize| {
        let mut body = image.to_vec();
        body.resize(length, b' ');
        body
    };
    let deep = "[".repeat(100_000);
    let cases = [
        (padded(MAX_BODY), Ok(1)),
        (padded(MAX_BODY + 1), Err(PayloadError::TooLong)),
        (Vec::new(), Err(PayloadError::NotJson)),
        (
            b"payload=%7B%22zen%22%7D".to_vec(),
            Err(PayloadError::NotJson),
        ),
        (
            b"{\"image\": \"redis:7\"".to_vec(),
            Err(PayloadError::NotJson),
        ),
        (b"\xff\xfe".to_vec(), Err(PayloadError::NotJson)),
        (deep.into_bytes(), Err(PayloadError::NotJson)),
    ];
    for (body, expected) in cases {
        let read = read(&HeaderMap::new(), &body).map(|notice| match notice {
            Notification::Pushes(pushed) => pushed.len(),
            Notification::Validation { .. } => unreachable!("none of them is one"),
        });
        assert_eq!(read, expected);
    }
}

#[test]
fn at_most_a_hundred_pushes_are_taken_each_once() {
    let image = |n: usize| json!({ "image": format!("registry.example.com/rng:v{n}") });
    let many: Vec<Value> = (0..300).map(image).collect();
    let expected: Vec<String> = (0..100)
        .map(|n| format!("registry.example.com|rng|v{n}"))
        .collect();
    assert_eq!(said_by(&json!(many)), expected);

    let tags: Vec<String> = (0..300).map(|n| format!("v{n}")).collect();
    let body = changed("quay", &[("/updated_tags", json!(tags))]);
    assert_eq!(said_by(&body).len(), 100);

    assert_eq!(
        said_by(&json!([image(1), image(2), image(1)])),
        ["registry.example.com|rng|v1", "registry.example.com|rng|v2"]
    );
}

#[test]
fn at_most_a_thousand_events_are_parsed() {
    let mut events = vec![json!({"action": "pull"}); 999];
    events.push(json!({"image": "redis:7"}));
    assert_eq!(said_by(&json!(events)), ["docker.io|library/redis|7"]);
    events.insert(0, json!({"action": "pull"}));
    assert_eq!(said_by(&json!(events)), [""; 0]);
}

#[test]
fn envelopes_in_envelopes_come_to_an_end() {
    let within = |depth: usize| {
        (0..depth).fold(
            json!({"image": "redis:7"}),
            |data, _| json!({"specversion": "1.0", "type": "t", "data": data}),
        )
    };
    assert_eq!(said_by(&within(4)), ["docker.io|library/redis|7"]);
    assert_eq!(said_by(&within(5)), [""; 0]);
}

/// Bytes turned, lost and doubled, and pieces of one in the other: whatever is said of it holds to the limits,
/// and is made of names.
#[test]
fn any_input_yields_at_most_a_hundred_valid_names() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut taken = 0;
    for round in 0..20_000 {
        let (name, text) = FIXTURES[round % FIXTURES.len()];
        let mut body = text.as_bytes().to_vec();
        for _ in 0..random.usize(0..4) {
            let at = random.usize(0..body.len());
            let to = random
                .usize(at..body.len().min(at + 40) + 1)
                .min(body.len());
            match random.u8(0..4) {
                0 => body[at] = random.u8(..),
                1 => drop(body.drain(at..to)),
                2 => body.extend_from_within(at..to),
                _ => {
                    let (_, other) = FIXTURES[random.usize(0..FIXTURES.len())];
                    let piece = random.usize(0..other.len() - 20);
                    body.splice(at..to, other.bytes().skip(piece).take(20));
                }
            }
            if body.is_empty() {
                break;
            }
        }
        let pushed = pushed(&HeaderMap::new(), &body);
        assert!(pushed.len() <= MAX_PUSHES, "{name}");
        for pushed in pushed {
            let again = Push::named(
                pushed.host.as_deref(),
                &pushed.repository,
                pushed.tag.as_deref(),
            );
            assert_eq!(again, Some(pushed), "{name}");
            taken += 1;
        }
    }
    assert!(taken > 1000, "almost all are broken: {taken}");
}
