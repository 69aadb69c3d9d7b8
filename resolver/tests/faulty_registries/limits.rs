//! Rate limits that a registry reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resolver::{Endpoint, Keyring, RateLimit, Reference, Request, Resolved, Shared};
use tokio::time::Instant;

use crate::support::server::{Server, reply};
use crate::support::{ask, key, keyring, resolver};
use crate::{INDEX, digest};

const BODY: &str = r#"{"manifests":[{"platform":{"os":"linux","architecture":"amd64"}}]}"#;

/// A registry with this many remaining pulls, whose index names a platform.
async fn start(left: Arc<AtomicU64>) -> Server {
    let digest = resolver::Digest::of(BODY.as_bytes()).to_string();
    Server::start(move |request| {
        let left = format!("{};w=21600", left.load(Ordering::SeqCst));
        let headers = [
            ("Content-Type", INDEX),
            ("Docker-Content-Digest", &digest),
            ("ratelimit-limit", "100;w=21600"),
            ("RateLimit-Remaining", &left),
        ];
        reply(request, "200 OK", &headers, BODY)
    })
    .await
}

struct Client {
    shared: Shared,
    endpoint: Endpoint,
}

impl Client {
    async fn digest(&self, keyring: &Keyring) -> Resolved {
        let reference = Reference::parse("registry.example.com/team/app:v1").unwrap();
        let request = self.request(&reference, keyring);
        self.shared.resolve(&request, Instant::now()).await.unwrap()
    }

    async fn platforms(&self, keyring: &Keyring, resolved: &Resolved) -> Vec<String> {
        let reference = resolved.reference.with_digest(&resolved.digest);
        let request = self.request(&reference, keyring);
        self.shared.platforms(&request).await.unwrap()
    }

    fn request<'a>(&'a self, reference: &'a Reference, keyring: &'a Keyring) -> Request<'a> {
        Request {
            reference,
            endpoint: Some(&self.endpoint),
            keyring,
            certificate_authority: None,
        }
    }
}

#[tokio::test]
async fn rate_limit_is_part_of_the_result() {
    let server = start(Arc::new(AtomicU64::new(76))).await;
    let none = Keyring::new();
    let resolved = ask(&resolver(), &server.address, &none).await.unwrap();
    let remaining = RateLimit {
        remaining: 76,
        limit: Some(100),
        window: Some(Duration::from_secs(21600)),
    };
    assert_eq!(resolved.remaining, Some(remaining));

    let silent = Server::start(crate::manifest).await;
    let resolved = ask(&resolver(), &silent.address, &none).await.unwrap();
    assert_eq!(
        (resolved.digest.to_string(), resolved.remaining),
        (digest(), None)
    );
}

#[tokio::test]
async fn platforms_are_not_read_near_the_rate_limit() {
    let left = Arc::new(AtomicU64::new(9));
    let server = start(left.clone()).await;
    let client = Client {
        shared: Shared::new(resolver()),
        endpoint: Endpoint::parse(&server.address).unwrap(),
    };
    let none = Keyring::new();
    let resolved = client.digest(&none).await;
    assert_eq!(client.platforms(&none, &resolved).await, [] as [&str; 0]);
    assert_eq!(server.lines(), ["HEAD /v2/team/app/manifests/v1"]);

    // The limit is an account's: another's few are not these logins'.
    let alice = keyring(&[("regcred", key(&server.address), "alice", "secret")]);
    assert_eq!(client.platforms(&alice, &resolved).await, ["linux/amd64"]);
    assert_eq!(server.lines().len(), 2);

    left.store(10, Ordering::SeqCst);
    client.digest(&none).await;
    assert_eq!(client.platforms(&none, &resolved).await, ["linux/amd64"]);
    let get = format!("GET /v2/team/app/manifests/{}", resolved.digest);
    assert_eq!(server.lines().last(), Some(&get));
}
