use kube::core::response::{StatusCause, StatusDetails};

use super::*;

fn request() -> Request {
    Request::about(Verb::Apply, "Service", "demo", "rng")
}

fn answered(code: u16, message: &str) -> ApiError {
    let status = Status::failure(message, "").with_code(code);
    ApiError::new(request(), kube::Error::Api(status.boxed()))
}

#[test]
fn an_answer_is_classified_by_what_a_person_would_do() {
    let lacks = r#"services "rng" is forbidden: User "operator" cannot patch resource "services" in API group """#;
    let owner = r#"services "rng" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on"#;
    let quota = r#"services "rng" is forbidden: exceeded quota: few, requested: services=1"#;
    let admission = r#"admission webhook "policy.example.com" denied the request: an image cannot be of this registry"#;
    for (code, message, expected, result) in [
        (400, "the body is no JSON", "Rejected", "error"),
        (401, "Unauthorized", "APIServerError", "error"),
        (403, lacks, "Forbidden", "forbidden"),
        (403, owner, "Forbidden", "forbidden"),
        (403, quota, "Rejected", "error"),
        (403, admission, "Rejected", "error"),
        (
            404,
            r#"namespaces "demo" not found"#,
            "Outdated",
            "conflict",
        ),
        (409, "the object has been modified", "Outdated", "conflict"),
        (413, "the body is too large", "Rejected", "error"),
        (422, r#"Service "rng" is invalid"#, "Rejected", "error"),
        (429, "too many requests", "APIServerError", "error"),
        (500, "etcd has no leader", "APIServerError", "error"),
        (504, "took too long", "APIServerError", "error"),
    ] {
        let error = answered(code, message);
        let text = error.to_string();
        assert_eq!((error.reason(), error.result()), (expected, Some(result)));
        assert!(text.contains(message), "{text}");
        assert!(text.contains("apply Service demo/rng"), "{text}");
    }
}

#[test]
fn a_terminating_namespace_is_told_by_its_cause() {
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
    let error = ApiError::new(request(), kube::Error::Api(status.boxed()));
    assert_eq!(error.reason(), "NamespaceTerminating");
}

#[test]
fn a_crd_not_yet_looked_up_is_a_conflict() {
    let message = r#"services "rng" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion dockercoins.dev/v1alpha1 Kind DockerCoins: no matches for kind "DockerCoins""#;
    assert_eq!(
        answered(403, message).to_string(),
        "the object changed before the operator could apply Service demo/rng: the API server does not know the CRD \
         in all its parts yet"
    );
}

#[test]
fn sources_are_told_on_one_line_and_once() {
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
