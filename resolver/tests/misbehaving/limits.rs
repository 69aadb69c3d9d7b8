//! What a registry says of its limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resolver::{Endpoint, Keyring, Reference, Remaining, Request, Resolved, Shared};
use tokio::time::Instant;

use crate::support::server::{Server, reply};
use crate::support::{ask, key, keyring, resolver};
use crate::{INDEX, digest};

const BODY: &str = r#"{"manifests":[{"platform":{"os":"linux","architecture":"amd64"}}]}"#;

/// A registry that has so many pulls left, and whose index names a platform.
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

struct Asking {
    shared: Shared,
    endpoint: Endpoint,
}

impl Asking {
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
async fn what_is_left_comes_with_the_answer() {
    let server = start(Arc::new(AtomicU64::new(76))).await;
    let none = Keyring::new();
    let resolved = ask(&resolver(), &server.address, &none).await.unwrap();
    let remaining = Remaining {
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
async fn where_few_pulls_are_left_none_is_spent_on_platforms() {
    let left = Arc::new(AtomicU64::new(9));
    let server = start(left.clone()).await;
    let asking = Asking {
        shared: Shared::new(resolver()),
        endpoint: Endpoint::parse(&server.address).unwrap(),
    };
    let none = Keyring::new();
    let resolved = asking.digest(&none).await;
    assert_eq!(asking.platforms(&none, &resolved).await, [] as [&str; 0]);
    assert_eq!(server.lines(), ["HEAD /v2/team/app/manifests/v1"]);

    // The limit is an account's: another's few are not these logins'.
    let alice = keyring(&[("regcred", key(&server.address), "alice", "secret")]);
    assert_eq!(asking.platforms(&alice, &resolved).await, ["linux/amd64"]);
    assert_eq!(server.lines().len(), 2);

    left.store(10, Ordering::SeqCst);
    asking.digest(&none).await;
    assert_eq!(asking.platforms(&none, &resolved).await, ["linux/amd64"]);
    let get = format!("GET /v2/team/app/manifests/{}", resolved.digest);
    assert_eq!(server.lines().last(), Some(&get));
}
