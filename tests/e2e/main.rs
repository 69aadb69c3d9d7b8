//! Tests against a real cluster. They are one program, so that `support` is compiled and linked once.
//!
//! A module is a step of `make test`, which starts what the module needs and sets its number of threads.
//! `make test ONLY=drift` runs the tests with `drift` in their path.

mod support;

mod chart;
mod cluster;
mod course;
mod gitops;
mod image;
mod monitoring;
mod node;
mod rights;
