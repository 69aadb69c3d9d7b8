use std::time::Duration;

use kube::core::Status;
use kube::runtime::watcher;
use resolver::{ConnectFailure, Reference};

use super::*;
use crate::runtime::error::{Request, Verb};
use crate::runtime::watch::state::Target;

fn message() -> Message {
    "no".into()
}

fn request() -> Request {
    Request::about(Verb::Apply, "Service", "demo", "rng")
}

fn object(text: &str) -> ObjectKey {
    let (kind, name) = text.split_once(' ').unwrap();
    ObjectKey {
        kind: kind.to_owned().into(),
        name: name.to_owned(),
    }
}

/// The error of rng's image after this failure.
fn unresolved(failure: Failure) -> Error {
    Error::Unresolved {
        component: Component::Rng,
        error: Arc::new(ResolveError::new(
            Reference::parse("registry.example.com/rng:v9").unwrap(),
            None,
            failure,
        )),
    }
}

fn foreign(object: &str, owner: Option<&str>) -> Error {
    Error::Foreign {
        object: self::object(object),
        controller: owner.map(str::to_owned),
        resource: "dockercoins".into(),
    }
}

fn contended(edit: Option<&str>) -> Error {
    Error::Contended {
        object: object("Deployment rng"),
        field: Some(FieldPath::dotted("spec.replicas")),
        manager: Some("hpa".into()),
        edit: edit.map(FieldPath::dotted),
    }
}

/// Whether a failure waits for a person, or is tried again.
#[derive(Debug, PartialEq)]
enum Until {
    Mended,
    TriedAgain,
}

#[test]
fn each_failure_has_its_reason_its_words_and_someone_to_wait_for() {
    let invalid = |field: &str| Invalid {
        field: field.into(),
        problem: "it is wrong: write another".into(),
    };
    for (error, reason, until, words) in [
        (
            Error::Undecodable { message: message() },
            "InvalidSpec",
            Until::Mended,
            "the resource cannot be read: no. Fix that field, or install the CRD that belongs to this operator",
        ),
        (
            Error::Invalid(vec![invalid("spec.tag"), invalid("spec.rng.image")]),
            "InvalidSpec",
            Until::Mended,
            "spec.tag: it is wrong: write another; spec.rng.image: it is wrong: write another",
        ),
        (
            Error::NamesHeld {
                holder: "other".into(),
            },
            "NamesHeld",
            Until::Mended,
            "DockerCoins other already has the names hasher, redis, rng, webui and worker in this namespace: delete \
             one of the two, or move this one to another namespace",
        ),
        (
            foreign("Service redis", None),
            "ForeignObject",
            Until::Mended,
            "Service redis is not the operator's: delete it, or hand it over with `kubectl annotate service redis \
             dockercoins.dev/adopt=dockercoins`",
        ),
        (
            Error::AwaitsDeletion {
                object: object("Service redis"),
            },
            "WaitingForDeletion",
            Until::TriedAgain,
            "Service redis is being deleted; the operator creates it again when it is gone",
        ),
        (
            contended(Some("spec.rng.replicas")),
            "Contended",
            Until::Mended,
            "Deployment rng: hpa keeps changing spec.replicas, and the operator restores it with growing delays: stop \
             that, or set spec.rng.replicas instead",
        ),
        (
            contended(None),
            "Contended",
            Until::Mended,
            "Deployment rng: hpa keeps changing spec.replicas, and the operator restores it with growing delays: stop that",
        ),
        (
            Error::ChangedByAdmission {
                object: object("Deployment rng"),
                field: FieldPath::dotted("spec.selector"),
            },
            "ChangedByAdmission",
            Until::Mended,
            "Deployment rng: admission sets spec.selector to another value than the operator applies. Change the \
             admission webhook or policy, or the resource",
        ),
        (
            ApiError::Rejected {
                request: request(),
                message: message(),
            }
            .into(),
            "Rejected",
            Until::Mended,
            "the API server refused to apply Service demo/rng: no",
        ),
        (
            ApiError::Forbidden {
                request: request(),
                message: message(),
                blocks_deletion: false,
            }
            .into(),
            "Forbidden",
            Until::Mended,
            "the operator may not apply Service demo/rng: no. Grant this permission in the operator's role",
        ),
        (
            ApiError::Forbidden {
                request: request(),
                message: message(),
                blocks_deletion: true,
            }
            .into(),
            "Forbidden",
            Until::Mended,
            "the operator may not apply Service demo/rng: no. In the operator's role, grant the verb update on \
             dockercoins/finalizers",
        ),
        (
            Error::OutdatedCrd {
                fields: "status.components[].digest".into(),
            },
            "OutdatedCRD",
            Until::Mended,
            "the cluster's CRD is older than this operator and drops status.components[].digest: nothing new is rolled out, because a restart would forget it. Upgrade the CRD: `helm upgrade` with crds.enabled=true (and `--force-conflicts`, if it was changed by hand), or `dockercoins-operator crd | kubectl apply --server-side --force-conflicts --filename -`",
        ),
        (
            ApiError::Conflict {
                request: request(),
                message: message(),
            }
            .into(),
            "Outdated",
            Until::TriedAgain,
            "the object changed before the operator could apply Service demo/rng: no",
        ),
        (
            Error::Outdated,
            "Outdated",
            Until::TriedAgain,
            "the resource changed during the reconcile",
        ),
        (
            ApiError::Failed {
                request: request(),
                message: message(),
            }
            .into(),
            "APIServerError",
            Until::TriedAgain,
            "the API server failed to apply Service demo/rng: no",
        ),
        (
            ApiError::Timeout {
                request: request(),
                seconds: 15,
            }
            .into(),
            "APIServerTimeout",
            Until::TriedAgain,
            "the API server did not answer within 15 s when asked to apply Service demo/rng",
        ),
        (
            ApiError::NamespaceTerminating.into(),
            "NamespaceTerminating",
            Until::TriedAgain,
            "the namespace is being deleted, and everything in it with it",
        ),
        (
            ApiError::NotLeading { request: request() }.into(),
            "Deposed",
            Until::TriedAgain,
            "another replica leads, so this one did not apply Service demo/rng",
        ),
        (
            Error::Panicked { message: message() },
            "InternalError",
            Until::Mended,
            "the operator failed on this resource, which is a bug: no. Other resources are not affected; please report \
             it with the operator's log",
        ),
    ] {
        let waits = match error.is_stalled() {
            true => Until::Mended,
            false => Until::TriedAgain,
        };
        assert_eq!(
            (error.reason().name, waits, error.to_string().as_str()),
            (reason, until, words)
        );
    }
}

#[test]
fn of_what_a_registry_says_only_what_stays_as_it_is_waits_for_a_person() {
    let (host, by, detail) = ("a".to_owned(), "a".to_owned(), "b".to_owned());
    let said = String::new();
    for (failure, waits) in [
        (
            Failure::InvalidReference { host: host.clone() },
            Until::Mended,
        ),
        (
            Failure::NameNotResolved {
                host: host.clone(),
                detail: detail.clone(),
            },
            Until::TriedAgain,
        ),
        (
            Failure::ConnectionFailed {
                host: host.clone(),
                cause: ConnectFailure::Broken(detail.clone()),
            },
            Until::TriedAgain,
        ),
        (
            Failure::CertificateNotTrusted {
                host,
                detail: detail.clone(),
            },
            Until::Mended,
        ),
        (
            Failure::AuthenticationFailed {
                by: by.clone(),
                server_message: said.clone(),
            },
            Until::Mended,
        ),
        (
            Failure::NotFoundOrNoAccess {
                status: 404,
                server_message: said.clone(),
            },
            Until::Mended,
        ),
        (
            Failure::RateLimited {
                by: by.clone(),
                retry_after: None,
                server_message: said.clone(),
            },
            Until::TriedAgain,
        ),
        (
            Failure::RegistryError {
                by: by.clone(),
                status: 500,
                retry_after: None,
                server_message: said,
            },
            Until::TriedAgain,
        ),
        (
            Failure::InvalidAnswer {
                by: by.clone(),
                detail,
            },
            Until::TriedAgain,
        ),
        (
            Failure::Timeout {
                by,
                deadline: Duration::from_secs(20),
            },
            Until::TriedAgain,
        ),
    ] {
        let error = unresolved(failure.clone());
        assert_eq!(error.is_stalled(), waits == Until::Mended, "{failure:?}");
        assert_eq!(error.reason().name, failure.reason());
    }
}

#[test]
fn an_image_that_was_not_resolved_names_its_component() {
    let refused = Failure::ConnectionFailed {
        host: "registry.example.com:443".into(),
        cause: ConnectFailure::Broken("refused".into()),
    };
    assert_eq!(
        unresolved(refused).to_string(),
        "rng: registry.example.com/rng:v9: the connection to `registry.example.com:443` failed: refused"
    );
}

#[test]
fn an_address_that_is_not_allowed_comes_with_the_flag_that_allows_it() {
    for (address, flag) in [("127.0.0.1", "127.0.0.1/32"), ("::1", "::1/128")] {
        let error = unresolved(Failure::AddressNotAllowed {
            host: "registry.example.com:443".into(),
            address: address.parse().unwrap(),
            forbidden: resolver::address::Forbidden::Loopback,
        });
        assert!(error.is_stalled());
        let words = error.to_string();
        let advice = format!(". The operator's flag for that is --allow-registry-network {flag}");
        assert!(words.ends_with(&advice), "{words}");
    }
}

#[test]
fn an_address_in_a_network_that_is_denied_comes_with_the_flag_that_denies_it() {
    let error = unresolved(Failure::AddressNotAllowed {
        host: "registry.example.com:443".into(),
        address: "10.1.2.3".parse().unwrap(),
        forbidden: resolver::address::Forbidden::Denied("10.0.0.0/8".parse().unwrap()),
    });
    assert!(error.is_stalled());
    assert_eq!(
        error.to_string(),
        "rng: registry.example.com/rng:v9: `registry.example.com:443` is at 10.1.2.3, in the network 10.0.0.0/8: connections to it are not allowed: an administrator denied that network. The operator's flag for that is --deny-registry-network 10.0.0.0/8"
    );
}

#[test]
fn what_is_said_of_one_foreign_object_serves_for_another_of_the_same_owner_alone() {
    let chart = Some("Helm chart");
    let (a, b) = (
        foreign("Service rng", chart),
        foreign("Service redis", chart),
    );
    assert!(a.is_like(&b));
    assert!(!a.is_like(&foreign("Service redis", None)));
    let rejected = || {
        let (request, message) = (request(), message());
        Error::Api(ApiError::Rejected { request, message })
    };
    assert!(
        !rejected().is_like(&rejected()),
        "each refusal has words of its own"
    );
    assert_eq!(
        a.to_string(),
        "Service rng belongs to Helm chart: delete it, or hand it over with `kubectl annotate service rng \
         dockercoins.dev/adopt=dockercoins`"
    );
}

#[test]
fn a_failed_watch_has_the_reason_and_the_fix() {
    let failed = |kind: &'static str, code: u16| {
        let target = Target {
            kind,
            namespace: Some("demo".to_owned()),
        };
        let status = Box::new(Status::failure("as answered", "Reason").with_code(code));
        let error = watcher::Error::InitialListFailed(kube::Error::Api(status));
        let error = Error::from(WatchFailure::new(&target, error));
        (error.reason().name, error.to_string())
    };
    let cases = [
        (
            ("Service", 403),
            "Forbidden",
            "the operator may not list Service in namespace demo: as answered. Grant this permission in the operator's role",
        ),
        (
            ("DockerCoins", 404),
            "NotServed",
            "the cluster serves no DockerCoins: install the CRD: ",
        ),
        (
            ("HTTPRoute", 404),
            "NotServed",
            "the cluster serves no HTTPRoute: install Gateway API and a Gateway controller",
        ),
        (
            ("Ingress", 500),
            "APIServerError",
            "the API server failed to list Ingress in namespace demo: as answered (500)",
        ),
    ];
    for ((kind, code), reason, start) in cases {
        let (seen, text) = failed(kind, code);
        assert_eq!(seen, reason, "{kind} {code}");
        assert!(text.starts_with(start), "{text}");
    }
}
