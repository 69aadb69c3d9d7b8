//! A pull-through cache of a registry of the other generation.

use resolver::{Failure, Keyring, Reference, Request};
use tempfile::TempDir;

use crate::support::registry::{Program, Registry, Settings};
use crate::support::{ask, failure, resolver};
use crate::{answer, plain, start_open};

struct Mirrored {
    _folders: [TempDir; 2],
    origin: Registry,
    mirror: Registry,
}

async fn start(program: Program) -> Mirrored {
    let other = match program {
        Program::Registry2 => Program::Registry3,
        _ => Program::Registry2,
    };
    let (folder, origin) = start_open(other).await;
    let own = TempDir::new().unwrap();
    let settings = Settings {
        distribution: &format!("proxy:\n  remoteurl: {}", plain(&origin)),
        ..Settings::default()
    };
    let mirror = Registry::start(program, own.path(), settings).await;
    Mirrored {
        _folders: [folder, own],
        origin,
        mirror,
    }
}

pub async fn it_answers_with_what_its_origin_has_and_follows_it(program: Program) {
    let Mirrored { origin, mirror, .. } = &start(program).await;
    let at = plain(mirror);
    for content in ["first", "second"] {
        let digest = origin.push("team/app", "v1", content).await;
        assert_eq!(
            ask(&resolver(), &at, &Keyring::new()).await.unwrap(),
            answer(&at, &digest, None)
        );
    }
}

pub async fn it_answers_from_what_it_keeps_when_its_origin_is_gone(program: Program) {
    let Mirrored {
        _folders,
        origin,
        mirror,
    } = start(program).await;
    let at = plain(&mirror);
    let digest = origin.push("team/app", "v1", "x").await;
    for origin in [Some(origin), None] {
        assert_eq!(
            ask(&resolver(), &at, &Keyring::new()).await.unwrap(),
            answer(&at, &digest, None),
            "with its origin: {}",
            origin.is_some()
        );
        drop(origin);
    }
    let by_digest = Reference::parse(&format!("{}/team/app@{digest}", mirror.host)).unwrap();
    let request = Request {
        reference: &by_digest,
        endpoint: None,
        keyring: &Keyring::new(),
        certificate_authority: None,
    };
    let resolved = resolver().resolve(&request).await.unwrap();
    assert_eq!(resolved.digest, digest);
}

pub async fn what_its_origin_does_not_have_is_told(program: Program) {
    let Mirrored { origin, mirror, .. } = &start(program).await;
    origin.push("team/app", "v2", "x").await;
    let expected = Failure::NotFoundOrNoAccess {
        status: 404,
        server_message: "MANIFEST_UNKNOWN: manifest unknown".to_owned(),
    };
    assert_eq!(failure(&plain(mirror)).await, expected);
}
