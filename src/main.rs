//! The program: the command line in, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ocibake::cli::run(std::env::args_os()).into()
}
