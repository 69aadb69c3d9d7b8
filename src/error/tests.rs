use std::time::Duration;

use kube::core::Status;
use kube::core::response::{StatusCause, StatusDetails};
use resolver::{ConnectFailure, Reference};

use super::*;

fn message() -> String {
    "no".to_owned()
}

fn what() -> String {
    "to apply Service rng".to_owned()
}

/// What is told of rng's image after this failure.
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
        object: object.into(),
        command: object.to_lowercase(),
        owner: owner.map(str::to_owned),
        name: "dockercoins".into(),
    }
}

fn contended(edit: &str) -> Error {
    Error::Contended {
        object: "Deployment rng".into(),
        field: "spec.replicas".into(),
        rival: "hpa".into(),
        edit: edit.into(),
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
            "the resource can't be read: no. It was stored under another schema: mend that field, or install the CRD \
             that belongs to this operator",
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
             one of the two, or move this one to a namespace of its own",
        ),
        (
            foreign("Service redis", None),
            "ForeignObject",
            Until::Mended,
            "Service redis is not the operator's: delete it, or hand it over with `kubectl annotate service redis \
             dockercoins.dev/adopt=dockercoins`",
        ),
        (
            Error::Leaving {
                object: "Service redis".into(),
            },
            "WaitingForDeletion",
            Until::TriedAgain,
            "Service redis is being deleted, and is created again when it is gone",
        ),
        (
            contended("spec.rng.replicas"),
            "Contended",
            Until::Mended,
            "hpa keeps changing spec.replicas of Deployment rng, and the operator changes it back ever more slowly: \
             stop that, or set spec.rng.replicas instead",
        ),
        (
            contended("nothing: the operator decides this field"),
            "Contended",
            Until::Mended,
            "hpa keeps changing spec.replicas of Deployment rng, and the operator changes it back ever more slowly: \
             stop that",
        ),
        (
            Error::Rejected {
                what: what(),
                message: message(),
            },
            "Rejected",
            Until::Mended,
            "the API server refused to apply Service rng: no",
        ),
        (
            Error::Forbidden {
                what: what(),
                message: message(),
            },
            "Forbidden",
            Until::Mended,
            "the operator may not do this: to apply Service rng: no. Grant it that permission in its role",
        ),
        (
            Error::Forbidden {
                what: what(),
                message: "services \"rng\" is forbidden: cannot set blockOwnerDeletion".into(),
            },
            "Forbidden",
            Until::Mended,
            "the operator may not do this: to apply Service rng: services \"rng\" is forbidden: cannot set blockOwnerDeletion. In its role, grant the verb update on dockercoins/finalizers",
        ),
        (
            Error::Forgotten {
                fields: "status.components[].digest".into(),
            },
            "OutdatedCRD",
            Until::Mended,
            "the cluster's CRD is older than this operator, and drops status.components[].digest: nothing new is rolled out, since it would be forgotten what. Upgrade it: `helm upgrade` with crds.enabled=true (and `--force-conflicts`, if it was changed by hand), or `dockercoins-operator crd | kubectl apply --server-side --force-conflicts --filename -`",
        ),
        (
            Error::Outdated {
                what: what(),
                message: message(),
            },
            "Outdated",
            Until::TriedAgain,
            "the cluster changed meanwhile: to apply Service rng: no",
        ),
        (
            Error::Api {
                what: what(),
                message: message(),
            },
            "APIServerError",
            Until::TriedAgain,
            "the API server failed to apply Service rng: no",
        ),
        (
            Error::Timeout {
                what: what(),
                seconds: 15,
            },
            "APIServerTimeout",
            Until::TriedAgain,
            "the API server did not answer within 15 s when asked to apply Service rng",
        ),
        (
            Error::Deposed { what: what() },
            "Deposed",
            Until::TriedAgain,
            "it was left to the replica that leads to apply Service rng",
        ),
        (
            Error::Panicked { message: message() },
            "InternalError",
            Until::Mended,
            "the operator failed on this resource, which is a bug: no. Others are served on; please report it with \
             the operator's log",
        ),
    ] {
        let waits = match error.needs_a_person() {
            true => Until::Mended,
            false => Until::TriedAgain,
        };
        assert_eq!(
            (error.reason(), waits, error.to_string().as_str()),
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
        assert_eq!(
            error.needs_a_person(),
            waits == Until::Mended,
            "{failure:?}"
        );
        assert_eq!(error.reason(), failure.reason());
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
        assert!(error.needs_a_person());
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
    assert!(error.needs_a_person());
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
    let rejected = || Error::Rejected {
        what: what(),
        message: message(),
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

/// What is made of an answer of the API server's.
fn answered(code: u16, message: &str) -> Error {
    let status = Status::failure(message, "").with_code(code);
    Error::from_api(what(), kube::Error::Api(status.boxed()))
}

#[test]
fn a_namespace_that_is_being_deleted_is_told_so_and_waits_for_its_end() {
    let cause = StatusCause {
        reason: "NamespaceTerminating".into(),
        message: "namespace demo is being terminated".into(),
        field: "metadata.namespace".into(),
    };
    let mut status = Status::failure("unable to create new content", "Forbidden").with_code(403);
    status.details = Some(StatusDetails {
        name: "rng".into(),
        group: String::new(),
        kind: "services".into(),
        uid: String::new(),
        causes: vec![cause],
        retry_after_seconds: 0,
    });
    let error = Error::from_api(what(), kube::Error::Api(status.boxed()));
    assert_eq!(
        (error.reason(), error.needs_a_person(), error.is_woken()),
        ("NamespaceTerminating", false, true)
    );
}

#[test]
fn an_answer_of_the_api_server_is_told_apart_by_what_helps() {
    let lacks = r#"services "rng" is forbidden: User "operator" cannot patch resource "services" in API group """#;
    let quota = r#"services "rng" is forbidden: exceeded quota: few, requested: services=1"#;
    for (code, message, reason) in [
        (400, "the body is no JSON", "Rejected"),
        (401, "Unauthorized", "APIServerError"),
        (403, lacks, "Forbidden"),
        (
            403,
            r#"services "rng" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"#,
            "Forbidden",
        ),
        (403, quota, "Rejected"),
        (
            403,
            r#"admission webhook "policy.example.com" denied the request: an image cannot be of this registry"#,
            "Rejected",
        ),
        (404, r#"namespaces "demo" not found"#, "Outdated"),
        (409, "the object has been modified", "Outdated"),
        (413, "the body is too large", "Rejected"),
        (422, r#"Service "rng" is invalid"#, "Rejected"),
        (429, "too many requests", "APIServerError"),
        (500, "etcd has no leader", "APIServerError"),
        (504, "took too long", "APIServerError"),
    ] {
        let error = answered(code, message);
        assert_eq!(error.reason(), reason, "{code} {message}");
        assert!(error.to_string().contains(message), "{error}");
        assert!(
            error.to_string().contains("to apply Service rng"),
            "{error}"
        );
    }
}

#[test]
fn a_crd_that_the_api_server_has_not_looked_up_yet_is_no_missing_permission() {
    let message = r#"services "rng" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion dockercoins.dev/v1alpha1 Kind DockerCoins: no matches for kind "DockerCoins""#;
    let error = answered(403, message);
    assert_eq!(
        (error.reason(), error.to_string().as_str()),
        (
            "Outdated",
            "the cluster changed meanwhile: to apply Service rng: the API server does not know the CRD in all its \
             parts yet"
        )
    );
}

#[test]
fn what_an_error_came_from_is_told_on_one_line_and_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }
    let layer = |text, source: Option<Layer>| Layer {
        text,
        source: source.map(Box::new),
    };
    let cause = layer("connection refused", None);
    let error = layer("can't connect: connection refused", Some(cause));
    let error = layer("the request failed", Some(error));
    assert_eq!(
        with_sources(&error),
        "the request failed: can't connect: connection refused"
    );
}
