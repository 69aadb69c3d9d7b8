//! The command line.

use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser as _;
use tokio::runtime::Builder;

mod cli;

/// How many threads do the work: what it mostly does is wait. On a node with many processors more of them would take
/// memory, each with an arena of its own, and nothing else.
const THREADS: usize = 4;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let failure = ExitCode::from(cli.failure());
    let threads = available_parallelism().map_or(THREADS, |count| count.get().min(THREADS));
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(cli.run()),
        Err(error) => {
            eprintln!("dockercoins-operator: no threads can be started: {error}");
            return failure;
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("dockercoins-operator: {error}");
            failure
        }
    }
}
