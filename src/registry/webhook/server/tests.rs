use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::telemetry::metrics::{Format, Snapshot};

mod limits;

const KEY: &str = "correct-horse-battery-staple";
const IMAGE: &str = r#"{"image": "registry.example.com/team/rng:v0.1"}"#;
/// The signature of [`IMAGE`] with [`KEY`], by `openssl dgst -sha256 -hmac`.
const IMAGE_SIGNED: &str = "03cebe923a91fef5d6d7f05e9bad7a4710e53d0d56de33631bc4eda44c63ba66";

/// No test takes this long, unless something hangs.
const TOO_LONG: Duration = Duration::from_secs(20);

/// Times that no test waits for, unless it shortens them.
const LIMITS: Limits = Limits {
    connections: 8,
    head: TOO_LONG,
    body: TOO_LONG,
    lifetime: TOO_LONG,
    grace: TOO_LONG,
    burst: 1000,
    refill: Duration::from_millis(1),
};

struct Running {
    address: std::net::SocketAddr,
    queue: Receiver<Vec<Push>>,
    telemetry: Arc<Telemetry>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn start(limits: Limits, places: usize) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, queue) = channel(places);
    let (stop, stopped) = oneshot::channel();
    let secret = Secret::parse(KEY).unwrap();
    let telemetry = Arc::new(Telemetry::new(1));
    let counting = Arc::clone(&telemetry);
    let served = tokio::spawn(serve(listener, secret, sender, limits, counting, async {
        stopped.await.unwrap();
    }));
    Running {
        address,
        queue,
        telemetry,
        stop,
        served,
    }
}

/// A request with everything that is sent of it.
fn request(method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let length = format!("Content-Length: {}", body.len());
    let lines = [&["Host: hooks.example.com", length.as_str()], headers].concat();
    format!(
        "{method} {path} HTTP/1.1\r\n{}\r\n\r\n{body}",
        lines.join("\r\n")
    )
}

fn post(body: &str) -> String {
    request(
        "POST",
        &format!("/hooks/{KEY}"),
        &["Connection: close"],
        body,
    )
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What comes back up to the connection's end.
    async fn send(&self, request: &str) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        Reply::rest(&mut stream).await
    }

    /// The next notification's images.
    async fn taken(&mut self) -> Vec<String> {
        let pushed = timeout(TOO_LONG, self.queue.recv()).await.unwrap().unwrap();
        pushed
            .into_iter()
            .map(|pushed| {
                let [host, tag] = [pushed.host, pushed.tag].map(Option::unwrap);
                format!("{host}/{}:{tag}", pushed.repository)
            })
            .collect()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(TOO_LONG, self.served).await.unwrap().unwrap();
    }
}

/// An answer: its status, its headers' lines in lowercase, its body.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<String>,
    body: String,
}

impl Reply {
    async fn rest(stream: &mut TcpStream) -> Reply {
        let mut text = String::new();
        let read = timeout(TOO_LONG, stream.read_to_string(&mut text));
        read.await.unwrap().unwrap();
        Reply::parse(&text)
    }

    /// One answer of a connection that goes on, whose body is empty.
    async fn next(stream: &mut TcpStream) -> Reply {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            text.push(timeout(TOO_LONG, stream.read_u8()).await.unwrap().unwrap());
        }
        Reply::parse(&String::from_utf8(text).unwrap())
    }

    fn parse(text: &str) -> Reply {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        Reply {
            status: status.parse().unwrap(),
            headers: lines.map(str::to_ascii_lowercase).collect(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[tokio::test]
async fn a_notification_is_queued() {
    let mut hooks = start(LIMITS, 8).await;
    let bearer = format!("Authorization: Bearer {KEY}");
    let signature = format!("X-Hub-Signature-256: sha256={IMAGE_SIGNED}");
    for sent in [
        post(IMAGE),
        request("POST", "/hooks", &["Connection: close", &bearer], IMAGE),
        request("POST", "/hooks/", &["Connection: close", &signature], IMAGE),
    ] {
        let reply = hooks.send(&sent).await;
        assert_eq!((reply.status, reply.body.as_str()), (204, ""), "{sent}");
        assert_eq!(
            hooks.taken().await,
            ["registry.example.com/team/rng:v0.1"],
            "{sent}"
        );
    }
    hooks.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_result() {
    let hooks = start(LIMITS, 1).await;
    let wrong = request(
        "POST",
        "/hooks/a-secret-that-is-wrong",
        &["Connection: close"],
        IMAGE,
    );
    for sent in [
        post(IMAGE),
        post(IMAGE),
        post("{}"),
        post("not JSON"),
        wrong,
    ] {
        hooks.send(&sent).await;
    }
    let text = hooks
        .telemetry
        .metrics
        .render(&Snapshot::default(), Format::Text);
    let lines = text
        .lines()
        .filter(|line| line.starts_with("dockercoins_pushes_total"));
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    let counted = ["no_push", "queue_full", "refused", "taken", "unreadable"]
        .map(|result| format!("dockercoins_pushes_total{{result=\"{result}\"}} 1"));
    assert_eq!(lines, counted);
    hooks.stop().await;
}

/// Method, path, headers and body, and the status and the words that they are answered.
type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a str, u16, &'a str);

#[tokio::test]
async fn rejected_requests_get_a_message_and_are_not_queued() {
    let mut hooks = start(LIMITS, 8).await;
    let ours = format!("/hooks/{KEY}");
    let other = "X-Hub-Signature-256: sha256=".to_owned() + &"00".repeat(32);
    let cases: [Case; 9] = [
        (
            "POST",
            "/",
            &[],
            IMAGE,
            404,
            "not found: notifications go to /hooks\n",
        ),
        (
            "POST",
            "/hooksmith",
            &[],
            IMAGE,
            404,
            "not found: notifications go to /hooks\n",
        ),
        (
            "GET",
            &ours,
            &[],
            "",
            405,
            "method not allowed: notifications are sent by POST\n",
        ),
        (
            "OPTIONS",
            &ours,
            &[],
            "",
            405,
            "method not allowed: notifications are sent by POST\n",
        ),
        ("POST", "/hooks", &[], IMAGE, 401, "the secret is missing\n"),
        (
            "POST",
            "/hooks/other",
            &[],
            IMAGE,
            403,
            "the secret or the signature is wrong\n",
        ),
        (
            "POST",
            "/hooks",
            &[&other],
            IMAGE,
            403,
            "the secret or the signature is wrong\n",
        ),
        (
            "OPTIONS",
            "/hooks/other",
            &["WebHook-Request-Origin: eventgrid.azure.net"],
            "",
            403,
            "the secret or the signature is wrong\n",
        ),
        (
            "POST",
            &ours,
            &[],
            "payload=%7B%7D",
            415,
            "the notification is not JSON: let the registry send it as application/json, or send {\"image\": \"registry.example.com/team/app:v1\"}\n",
        ),
    ];
    for (method, path, headers, body, status, words) in cases {
        // Without `Connection: close`: the server ends it.
        let reply = hooks.send(&request(method, path, headers, body)).await;
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (status, words),
            "{method} {path}"
        );
        let allowed = (status == 405).then_some("post, options");
        assert_eq!(reply.header("allow"), allowed, "{method} {path}");
        let challenge = (status == 401).then_some("bearer");
        assert_eq!(
            reply.header("www-authenticate"),
            challenge,
            "{method} {path}"
        );
        assert_eq!(reply.header("webhook-allowed-origin"), None);
    }
    assert!(hooks.queue.try_recv().is_err());
    hooks.stop().await;
}

#[tokio::test]
async fn an_event_without_a_push_is_answered_200() {
    let mut hooks = start(LIMITS, 8).await;
    let reply = hooks
        .send(&post(r#"{"zen": "Keep it logically awesome."}"#))
        .await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "no push was found in it, so there is nothing to do\n")
    );
    assert!(hooks.queue.try_recv().is_err());
    hooks.stop().await;
}

#[tokio::test]
async fn senders_that_ask_first_are_answered() {
    let hooks = start(LIMITS, 8).await;
    let code = "512d38b6-c7b8-40c8-89fe-f46f9e9622b6";
    let validation = json!([{
        "id": "1",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": code},
    }]);
    let reply = hooks.send(&post(&validation.to_string())).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.body, format!(r#"{{"validationResponse":"{code}"}}"#));

    let origin = "WebHook-Request-Origin: eventgrid.azure.net";
    let asks = ["Connection: close", origin, "WebHook-Request-Rate: 120"];
    let ours = format!("/hooks/{KEY}");
    let reply = hooks.send(&request("OPTIONS", &ours, &asks, "")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("webhook-allowed-origin"),
        Some("eventgrid.azure.net")
    );
    assert_eq!(reply.header("webhook-allowed-rate"), Some("60000"));
    assert_eq!(reply.header("allow"), Some("post, options"));
    hooks.stop().await;
}
