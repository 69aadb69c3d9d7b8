//! Resolves through Debian's `docker-registry` as a pull-through cache.

mod support;

use resolver::{Endpoint, Keyring, Resolved};
use resolver::{Failure, Reference};
use support::registry::{Program, Registry, Settings};
use support::{ask_for, configure, resolver_of};
use tempfile::TempDir;

const IMAGE: &str = "registry.example.com/team/app:v1";

#[tokio::test]
#[ignore = "needs docker-registry (Debian package); make test runs it"]
async fn tag_resolves_at_the_mirror_else_at_the_registry() {
    let (behind, before) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let registry = Registry::start(Program::Registry2, behind.path(), Settings::default()).await;
    let digest = registry.push("team/app", "v1", "x").await;
    let settings = format!("proxy:\n  remoteurl: http://{}", registry.host);
    let settings = Settings {
        distribution: &settings,
        ..Settings::default()
    };
    let mirror = Registry::start(Program::Registry2, before.path(), settings).await;
    let folder = TempDir::new().unwrap();
    let (resolver, none) = (resolver_of(folder.path()), Keyring::new());
    let [at_mirror, at_registry] =
        [&mirror, &registry].map(|registry| format!("http://{}", registry.host));
    let answer = |endpoint: &str| Resolved {
        reference: Reference::parse(IMAGE).unwrap(),
        digest: digest.clone(),
        media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
        credential: None,
        endpoint: Endpoint::parse(endpoint).unwrap(),
        remaining: None,
        plugins: Vec::new(),
    };

    let text = format!("server = \"{at_registry}\"\n[host.\"{at_mirror}\"]\n");
    configure(folder.path(), "registry.example.com", &text);
    assert_eq!(
        ask_for(&resolver, IMAGE, &none).await.unwrap(),
        answer(&at_mirror)
    );
    drop(mirror);
    assert_eq!(
        ask_for(&resolver, IMAGE, &none).await.unwrap(),
        answer(&at_registry)
    );
    let missing = "registry.example.com/team/app:v9";
    let error = ask_for(&resolver, missing, &none).await.unwrap_err();
    assert!(
        matches!(
            error.failure,
            Failure::NotFoundOrNoAccess { status: 404, .. }
        ),
        "{error}"
    );
    assert_eq!(error.also_asked[0].failure.reason(), "ConnectionFailed");
}
