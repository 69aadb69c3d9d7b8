//! Tests against a real cluster: one program, so that what they share is compiled and linked once.
//!
//! Each module is a step of `make test`, which brings up what the module needs and runs it with the number of
//! threads that it can take. `make test ONLY=drift` runs the tests that have `drift` in their path.

mod support;

mod chart;
mod cluster;
mod course;
mod gitops;
mod image;
mod monitoring;
mod node;
mod rights;
