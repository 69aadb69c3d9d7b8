//! The chart, by Helm: against its own values, against a real API server, and on a real node.
//!
//! `make test` runs them, one after the other: the CRD, and who has it, belongs to the whole cluster. By hand, with
//! a cluster from `local/up --name NAME` (without a node, leave out `node`):
//!
//! ```sh
//! set -a; . .local/NAME/env; KUBECTL=$(local/tool kubectl) HELM=$(local/tool helm)
//! PROMETHEUS_CRDS=$(local/tool prometheus-crds); set +a
//! cargo test --test chart -- --ignored --test-threads=1
//! ```

mod broken_off;
mod helm;
mod life;
mod node;
mod older_crd;
mod releases;
mod values;

#[path = "../cluster/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;
