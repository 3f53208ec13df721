//! The program: see [`epsiloscope::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    epsiloscope::cli::main()
}
