//! The resource in Git: the examples of `examples/gitops`, by Kustomize, by Flux's kustomize-controller, and by what
//! `kubectl wait`, Helm and Argo CD make of its status.
//!
//! Each test has namespaces, an operator, and where it takes one a kustomize-controller of its own. The pods stay
//! Pending, as in `tests/cluster`.
//!
//! `make test` runs them. By hand, with a cluster from `local/up --name NAME --no-node`:
//!
//! ```sh
//! set -a; . .local/NAME/env; for tool in KUBECTL HELM KUSTOMIZE KUSTOMIZE_CONTROLLER HEALTH FLUX_KUSTOMIZE_CRDS \
//!     FLUX_SOURCE_CRDS FLUX_HELM_CRDS ARGO_CRDS; do
//!     declare "$tool=$(local/tool "$(tr A-Z_ a-z- <<<"$tool")")"
//! done; set +a
//! cargo test --test gitops -- --ignored --test-threads=4
//! ```

mod flux;
mod health;
mod moments;
mod overlay;

mod examples;
mod reasons;
mod reconciled;
mod waiting;

#[path = "../cluster/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;
