//! How the value of a flag is read, and how an error says which flag it lies in.

use std::str::FromStr;

use crate::error::{Error, escape};

/// Reads the value of a flag. Fails with the text that clap shows, to which the error's hint belongs.
pub fn value<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| {
        escape::line(&match error.hint {
            Some(hint) => format!("{} ({hint})", error.message),
            None => error.message,
        })
    })
}

/// Returns a function that says of an error that it lies in the value of the flag `--name`.
pub fn flag(name: &str) -> impl Fn(Error) -> Error {
    move |error| Error { message: format!("--{name}: {}", error.message), ..error.on_command_line() }
}
