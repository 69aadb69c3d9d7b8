//! What the server does not put up with, and how it ends.

use serde_json::json;

use super::*;

/// The body that is announced never comes, and is not waited for.
#[tokio::test]
async fn unauthenticated_bodies_are_not_read() {
    let hooks = start(LIMITS, 8).await;
    let head = "POST /hooks/other HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n";
    assert_eq!(hooks.send(head).await.status, 403);
    hooks.stop().await;
}

#[tokio::test]
async fn a_long_body_is_rejected_announced_or_not() {
    let hooks = start(LIMITS, 8).await;
    let announced = MAX_BODY + 1;
    let head = format!("POST /hooks/{KEY} HTTP/1.1\r\nHost: a\r\n");
    let long = "the notification is longer than 256 KiB: send fewer events at once\n";

    let request = format!("{head}Content-Length: {announced}\r\n\r\n");
    let reply = hooks.send(&request).await;
    assert_eq!((reply.status, reply.body.as_str()), (413, long));

    // Exactly what is read before it is too long, so that nothing is left unread when the connection ends.
    let chunk = " ".repeat(announced);
    let request = format!("{head}Transfer-Encoding: chunked\r\n\r\n{announced:x}\r\n{chunk}");
    let reply = hooks.send(&request).await;
    assert_eq!((reply.status, reply.body.as_str()), (413, long));

    let full = format!("{IMAGE}{}", " ".repeat(MAX_BODY - IMAGE.len()));
    assert_eq!(hooks.send(&post(&full)).await.status, 204);
    hooks.stop().await;
}

#[tokio::test]
async fn a_slow_body_times_out() {
    let limits = Limits {
        body: Duration::from_millis(50),
        ..LIMITS
    };
    let hooks = start(limits, 8).await;
    let head = format!("POST /hooks/{KEY} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{{");
    let reply = hooks.send(&head).await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (408, "the notification did not arrive in time\n")
    );
    hooks.stop().await;
}

#[tokio::test]
async fn a_slow_head_ends_the_connection() {
    let limits = Limits {
        head: Duration::from_millis(50),
        ..LIMITS
    };
    let mut hooks = start(limits, 8).await;
    for begun in ["", "POST /hoo", "POST /hooks HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = hooks.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let read = timeout(TOO_LONG, stream.read_to_end(&mut rest));
        read.await.unwrap().unwrap();
    }
    assert!(hooks.queue.try_recv().is_err());
    hooks.stop().await;
}

#[tokio::test]
async fn a_long_head_is_rejected() {
    let hooks = start(LIMITS, 8).await;
    let many: Vec<String> = (0..crate::telemetry::http_server::HEADERS_MAX)
        .map(|n| format!("X-{n}: {n}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let ours = format!("/hooks/{KEY}");
    assert_eq!(
        hooks.send(&request("POST", &ours, &many, "")).await.status,
        431
    );
    hooks.stop().await;
}

#[tokio::test]
async fn unauthenticated_requests_have_a_rate_limit_of_their_own() {
    let limits = Limits {
        burst: 2,
        refill: Duration::from_secs(3600),
        ..LIMITS
    };
    let hooks = start(limits, 8).await;
    let strange = request("POST", "/hooks/other", &[], IMAGE);
    let mut strangers = Vec::new();
    for _ in 0..4 {
        strangers.push(hooks.send(&strange).await.status);
    }
    assert_eq!(strangers, [403, 403, 429, 429]);
    for _ in 0..2 {
        assert_eq!(hooks.send(&post(IMAGE)).await.status, 204);
    }
    let reply = hooks.send(&post(IMAGE)).await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (429, "too many requests: try again later\n")
    );
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
    hooks.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_answered_503() {
    let mut hooks = start(LIMITS, 1).await;
    assert_eq!(hooks.send(&post(IMAGE)).await.status, 204);
    let reply = hooks.send(&post(IMAGE)).await;
    assert_eq!(
        (
            reply.status,
            reply.body.as_str(),
            reply.header("retry-after")
        ),
        (503, "busy: try again later\n", Some("5"))
    );
    hooks.taken().await;
    assert_eq!(hooks.send(&post(IMAGE)).await.status, 204);
    hooks.stop().await;
}

#[tokio::test]
async fn more_connections_than_there_are_places_wait_for_one() {
    let limits = Limits {
        connections: 1,
        ..LIMITS
    };
    let mut hooks = start(limits, 8).await;
    let image =
        |name: &str| json!({ "image": format!("registry.example.com/{name}:1") }).to_string();
    let keep = |name: &str| request("POST", &format!("/hooks/{KEY}"), &[], &image(name));

    let mut first = hooks.connect().await;
    first.write_all(keep("one").as_bytes()).await.unwrap();
    assert_eq!(Reply::next(&mut first).await.status, 204);
    let mut second = hooks.connect().await;
    second
        .write_all(post(&image("three")).as_bytes())
        .await
        .unwrap();
    first.write_all(keep("two").as_bytes()).await.unwrap();
    assert_eq!(Reply::next(&mut first).await.status, 204);
    drop(first);
    assert_eq!(Reply::rest(&mut second).await.status, 204);

    for name in ["one", "two", "three"] {
        let expected = format!("registry.example.com/{name}:1");
        assert_eq!(hooks.taken().await, [expected]);
    }
    hooks.stop().await;
}

/// Begins a notification, tells the server to stop, and waits until it no longer listens.
async fn begun_before_the_end(hooks: &mut Running) -> TcpStream {
    let mut stream = hooks.connect().await;
    let waits = ["Connection: close", "Expect: 100-continue"];
    let whole = request("POST", &format!("/hooks/{KEY}"), &waits, IMAGE);
    let head = whole.strip_suffix(IMAGE).unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: it is under way.
    assert_eq!(Reply::next(&mut stream).await.status, 100);
    let stop = std::mem::replace(&mut hooks.stop, oneshot::channel().0);
    stop.send(()).unwrap();
    let refused = async {
        while TcpStream::connect(hooks.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(TOO_LONG, refused).await.unwrap();
    stream
}

#[tokio::test]
async fn a_request_under_way_is_answered_at_shutdown() {
    let mut hooks = start(LIMITS, 8).await;
    let mut stream = begun_before_the_end(&mut hooks).await;
    stream.write_all(IMAGE.as_bytes()).await.unwrap();
    assert_eq!(Reply::rest(&mut stream).await.status, 204);
    assert_eq!(hooks.taken().await, ["registry.example.com/team/rng:v0.1"]);
    timeout(TOO_LONG, hooks.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_hanging_request_does_not_block_shutdown() {
    let limits = Limits {
        grace: Duration::from_millis(50),
        ..LIMITS
    };
    let mut hooks = start(limits, 8).await;
    let _stream = begun_before_the_end(&mut hooks).await;
    timeout(TOO_LONG, hooks.served).await.unwrap().unwrap();
}
