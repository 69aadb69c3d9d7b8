//! Tests that need no cluster: the command line, the pages, and the layers of the source code.

mod command;
mod pages;
mod rooms;
