//! Tests of `examples/gitops` with Kustomize and Flux's kustomize-controller, and of the health that `kubectl wait`,
//! Helm and Argo CD derive from the status.
//!
//! Each test has its own namespaces, operator and, where needed, kustomize-controller. All pods stay Pending, as in
//! `tests/e2e/cluster`.

mod flux;
mod health;
mod moments;
mod overlay;

mod examples;
mod reasons;
mod reconciled;
mod waiting;
