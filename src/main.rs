//! The program: the command line in, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    match ocibake::cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ocibake::cli::show(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
