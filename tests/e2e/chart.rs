//! The chart, by Helm: against its own values, against a real API server, and on a real node.
//!
//! `make test` runs them one after the other: the CRD, and who has it, belongs to the whole cluster.

mod broken_off;
mod helm;
mod life;
mod older_crd;
mod releases;
mod running;
mod values;
