//! Tests that need no cluster: the command line, the pages, and the imports between modules.

mod command;
mod pages;
mod rooms;
