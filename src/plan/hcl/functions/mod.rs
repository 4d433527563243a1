//! The functions that are always there, by their subjects.

mod calendar;
mod collection;
mod csv;
mod encoding;
mod format;
mod function;
mod hash;
mod logic;
mod network;
mod number;
mod regex;
mod sequence;
mod set;
mod string;
mod time;
mod version;

pub(super) use function::{Arguments, Function, FunctionFailure};

/// All functions but those that take expressions rather than values.
const ALL: &[&[Function]] = &[
    collection::FUNCTIONS,
    encoding::FUNCTIONS,
    format::FUNCTIONS,
    hash::FUNCTIONS,
    logic::FUNCTIONS,
    network::FUNCTIONS,
    number::FUNCTIONS,
    regex::FUNCTIONS,
    sequence::FUNCTIONS,
    set::FUNCTIONS,
    string::FUNCTIONS,
    time::FUNCTIONS,
    version::FUNCTIONS,
];

/// The functions that take expressions.
pub(super) const OF_EXPRESSIONS: &[&str] = &["can", "convert", "try"];

/// Returns whether there is a function of this name without any file defining it.
pub fn is_function(name: &str) -> bool {
    names().any(|other| other == name)
}

/// Returns whether the function of this name gives the same on every day and machine.
pub fn is_reproducible(name: &str) -> bool {
    !matches!(name, "bcrypt" | "timestamp" | "uuidv4" | "homedir")
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let of_values = ALL.iter().copied().flatten().map(|function| function.name);
    OF_EXPRESSIONS.iter().copied().chain(of_values)
}

pub(super) fn find(name: &str) -> Option<&'static Function> {
    ALL.iter().copied().flatten().find(|function| function.name == name)
}
