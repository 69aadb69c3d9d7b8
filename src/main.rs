//! The program `dockercoins-operator`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dockercoins_operator::cli::main()
}
