//! Tests of the Helm chart: its values, its objects on a real API server, and releases on a real node.
//!
//! The tests run one after the other, because each of them installs or removes the CRD of the whole cluster.

mod broken_off;
mod helm;
mod life;
mod older_crd;
mod releases;
mod running;
mod values;
