//! How the value of a flag is read, and how an error says which flag it lies in.

use std::str::FromStr;

use crate::error::{Error, escape};
use crate::plan::quantity;

/// Reads the value of a flag. Fails with the text that clap shows, to which the error's hint belongs.
pub fn value<T: FromStr<Err = Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: Error| {
        escape::line(&match error.hint {
            Some(hint) => format!("{} ({hint})", error.message),
            None => error.message,
        })
    })
}

/// Reads the value of a flag that is on or off, as docker's are: `--push`, `--push=true`, `--push=false`.
pub fn on_or_off(text: &str) -> Result<bool, String> {
    quantity::boolean(text).ok_or_else(|| "it must be true or false".to_owned())
}

/// Returns a function that says of an error that it lies in the value of the flag `--name`.
pub fn flag(name: &str) -> impl Fn(Error) -> Error {
    move |error| Error { message: format!("--{name}: {}", error.message), ..error.on_command_line() }
}
