//! The resource in Git: the examples of `examples/gitops`, by Kustomize, by Flux's kustomize-controller, and by what
//! `kubectl wait`, Helm and Argo CD make of its status.
//!
//! Each test has namespaces, an operator, and where it takes one a kustomize-controller of its own. The pods stay
//! Pending, as in `tests/e2e/cluster`.

mod flux;
mod health;
mod moments;
mod overlay;

mod examples;
mod reasons;
mod reconciled;
mod waiting;
